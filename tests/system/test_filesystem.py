# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The mount as people and programs see it."""

import errno
import grp
import mmap
import os
import pwd
import re
import stat
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import certificates
from mount import SERVED
from tracing import calls, stopped_after
from waiting import LIMIT_S, wait_for

HELPERS = os.environ["CERTFS_HELPERS"]
NAME, OTHER = "app.example.com", "other.example.com"
PAGES = ("policy", "status", "status.json")


def as_user(user, *command, groups=()):
    ids = pwd.getpwnam(user)
    return subprocess.run(command, user=ids.pw_uid, group=ids.pw_gid, extra_groups=groups,
                          capture_output=True, text=True, check=False, timeout=LIMIT_S)


def refused(function, *args):
    with pytest.raises(OSError) as error:
        function(*args)
    return error.value.errno


# What is in a directory

def test_mkdir_gives_a_usable_pair_at_once(plain):
    plain.mkdir(NAME)
    leaf = certificates.load(plain.read(NAME, "cert.pem"))
    assert certificates.belong_together(plain.read(NAME, "cert.pem"),
                                        plain.read(NAME, "privkey.pem"))
    assert certificates.names_of(leaf) == [NAME]
    assert isinstance(leaf.public_key().curve, ec.SECP256R1)
    assert leaf.not_valid_before <= certificates.now() < leaf.not_valid_after
    assert leaf.issuer == leaf.subject


def test_files_of_a_directory_are_certbots_and_pages(plain):
    plain.mkdir(NAME)
    assert sorted(os.listdir(plain.path(NAME))) == sorted([*SERVED, *PAGES])


def test_derived_files_hold_what_their_names_say(plain):
    plain.mkdir(NAME)
    cert, chain, fullchain, key, combined = (
        plain.read(NAME, f"{n}.pem")
        for n in ("cert", "chain", "fullchain", "privkey", "combined"))
    assert fullchain == cert == chain  # there are no intermediates
    assert len(certificates.split_pem(cert)) == 1
    assert key in combined and fullchain in combined


def test_modes_and_owners_keep_keys_from_others(plain):
    plain.mkdir(NAME)
    keys = grp.getgrnam("ssl-cert").gr_gid
    for name in SERVED:
        found = os.stat(plain.path(NAME, name))
        secret = name in ("privkey.pem", "combined.pem")
        assert stat.S_ISREG(found.st_mode)
        assert found.st_uid == 0
        assert found.st_mode & 0o777 == (0o640 if secret else 0o644)
        assert not secret or found.st_gid == keys
        assert found.st_nlink == 1
    assert stat.S_ISDIR(os.stat(plain.path(NAME)).st_mode)
    assert os.stat(plain.path(NAME)).st_mode & 0o777 == 0o755


def test_others_read_certificates_and_no_keys(plain):
    plain.mkdir(NAME)
    keys = grp.getgrnam("ssl-cert").gr_gid
    cert, key = plain.path(NAME, "fullchain.pem"), plain.path(NAME, "privkey.pem")
    assert as_user("nobody", "cat", cert).returncode == 0
    denied = as_user("nobody", "cat", key)
    assert denied.returncode == 1 and os.strerror(errno.EACCES) in denied.stderr
    assert "BEGIN" in as_user("nobody", "cat", key, groups=[keys]).stdout
    assert as_user("nobody", "mkdir", plain.path("x.example.com")).returncode == 1
    assert as_user("nobody", "cp", cert, key).returncode == 1


def test_scratch_files_are_for_their_owner_only(plain):
    plain.mkdir(NAME)
    path = plain.path(NAME, ".privkey.pem.AbCdEf")
    before = os.umask(0)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    finally:
        os.umask(before)
    keys = grp.getgrnam("ssl-cert").gr_gid
    for mode in (None, 0o644, 0o640):
        if mode:
            os.chmod(path, mode)  # goes along with a rename, and opens nothing
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        for command, why in (("cat", errno.ENOENT), ("tee", errno.EACCES)):
            denied = as_user("nobody", command, path, groups=[keys])
            assert denied.returncode == 1 and os.strerror(why) in denied.stderr


def test_own_owner_and_mode_are_kept(plain):
    plain.mkdir(NAME)
    key = plain.path(NAME, "privkey.pem")
    nobody = pwd.getpwnam("nobody")
    os.chown(key, nobody.pw_uid, -1)
    os.chmod(key, 0o400)
    plain.kill_worker("fs")
    found = os.stat(key)
    assert (found.st_uid, found.st_mode & 0o777) == (nobody.pw_uid, 0o400)
    assert "BEGIN" in as_user("nobody", "cat", key).stdout


def test_sizes_are_exact_and_files_can_be_mapped(plain):
    plain.mkdir(NAME)
    wait_for(lambda: b"looked at again now" not in plain.read(NAME, "status"),
             "the pages stay as they are for a while")
    for name in (*SERVED, *PAGES):
        content = plain.read(NAME, name)
        assert os.stat(plain.path(NAME, name)).st_size == len(content), name
    content = plain.read(NAME, "fullchain.pem")
    with open(plain.path(NAME, "fullchain.pem"), "rb") as file:
        with mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapped:
            assert mapped[:] == content


def test_read_at_any_offset(plain):
    plain.mkdir(NAME)
    whole = plain.read(NAME, "fullchain.pem")
    file = os.open(plain.path(NAME, "fullchain.pem"), os.O_RDONLY)
    try:
        for offset in (0, 1, 100, len(whole) - 1, len(whole), len(whole) + 4096):
            assert os.pread(file, 64, offset) == whole[offset:offset + 64]
    finally:
        os.close(file)


def test_inode_changes_with_a_generation_and_only_then(plain, folder):
    plain.mkdir(NAME)

    def look():
        return {name: (found.st_ino, found.st_mtime) for name in SERVED
                for found in [os.stat(plain.path(NAME, name))]}
    before = look()
    plain.kill_worker("fs")
    assert look() == before
    plain.restart()
    assert look() == before
    pair = certificates.Pair(certificates.Authority(), [NAME])
    with open(plain.path(NAME, "combined.pem"), "wb") as file:
        file.write(pair.combined)
    after = look()
    assert not {i for i, _ in before.values()} & {i for i, _ in after.values()}
    assert len({i for i, _ in after.values()}) == len(SERVED)


def test_an_open_file_goes_on_showing_what_was_opened(plain):
    plain.mkdir(NAME)
    before = plain.read(NAME, "fullchain.pem")
    file = os.open(plain.path(NAME, "fullchain.pem"), os.O_RDONLY)
    try:
        pair = certificates.Pair(certificates.Authority(), [NAME])
        with open(plain.path(NAME, "combined.pem"), "wb") as combined:
            combined.write(pair.combined)
        assert os.pread(file, 1 << 16, 0) == before
        assert plain.read(NAME, "cert.pem") == pair.cert
    finally:
        os.close(file)


# Listings

def test_dot_names_are_reachable_and_not_listed(plain):
    plain.mkdir(NAME)
    assert sorted(os.listdir(plain.mountpoint)) == sorted([NAME, "fallback"])
    assert {"status.json", "metrics", "events", "config"} <= set(
        os.listdir(plain.path(".certfs")))
    assert os.path.isdir(plain.path(".well-known", "acme-challenge"))


def test_listing_during_changes_neither_repeats_nor_loses(plain):
    kept = {f"keep{i:03}.example.com" for i in range(60)}
    for name in kept:
        plain.mkdir(name)
    over, faults = threading.Event(), []

    def change():
        i = 0
        while not over.is_set():
            plain.mkdir(f"come{i}.example.com")
            os.rmdir(plain.path(f"come{i}.example.com"))
            i += 1

    changer = threading.Thread(target=change)
    changer.start()
    try:
        for _ in range(30):
            names = os.listdir(plain.mountpoint)
            if len(names) != len(set(names)) or not kept <= set(names):
                faults.append(names)
    finally:
        over.set()
        changer.join()
    assert not faults


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return int(re.search(r"RssAnon:\s+(\d+)", file.read()).group(1))


def test_hundred_thousand_domains_list_without_holding_them(plain):
    assert plain.stop() == 0
    # AddressSanitizer keeps what was freed for a while; what counts here is memory in use.
    plain.env["ASAN_OPTIONS"] += ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    subprocess.run([os.path.join(HELPERS, "fill_store"), plain.store, "100000"],
                   check=True, timeout=4 * LIMIT_S, env={"ASAN_OPTIONS": "detect_leaks=0"})
    plain.start()
    before = resident_kib(plain.worker("fs"))
    names = os.listdir(plain.mountpoint)
    assert len(names) == len(set(names)) == 100001
    grown = resident_kib(plain.worker("fs")) - before
    # Names alone are some 2 MiB, a record of each far more; what is in work is bounded.
    assert grown < 16 * 1024
    # readdirplus, through a walk that wants the attributes of each.
    out = subprocess.run(["ls", "-lf", plain.mountpoint], capture_output=True, check=True,
                         timeout=LIMIT_S).stdout
    assert out.count(b".example.com") == 100000


# Names

@pytest.mark.parametrize("name, says", [
    ("App.example.com", "app.example.com"),
    ("bücher.example", "xn--bcher-kva.example"),
    ("under_score.example.com", "under_score"),
    ("-a.example.com", "-a.example.com"),
    ("a..example.com", "a..example.com"),
    ("app.example.com.", "app.example.com"),
    ("*.example.com", "example.com"),
    ("a" * 64 + ".example.com", "aaaa"),
    ("2001:DB8::1", "2001:db8::1"),
    (".hidden", "hidden"),
])
def test_bad_name_is_refused_with_a_reason(plain, name, says):
    assert refused(plain.mkdir, name) == errno.EINVAL
    plain.wait_for_log(rf"(?m)^.*(warning|notice).*{re.escape(says)}")
    assert os.listdir(plain.mountpoint) == ["fallback"]


@pytest.mark.parametrize("name", [
    "example.com", "intranet", "xn--bcher-kva.example", "192.0.2.1", "2001:db8::1",
    "wildcard_.example.com", "a.b.c.d.example.com",
])
def test_good_name_is_served(plain, name):
    plain.mkdir(name)
    identifier = name.replace("wildcard_.", "*.")
    leaf = certificates.load(plain.read(name, "cert.pem"))
    assert certificates.names_of(leaf) == [identifier]


def test_mkdir_of_what_is_there_is_eexist(plain):
    plain.mkdir(NAME)
    assert refused(plain.mkdir, NAME) == errno.EEXIST


def test_mkdir_below_a_directory_is_refused(plain):
    plain.mkdir(NAME)
    assert refused(os.mkdir, plain.path(NAME, "below.example.com")) in (
        errno.EPERM, errno.EACCES, errno.EINVAL)


# Aliases

def test_symlink_is_one_more_name_in_the_same_certificate(plain):
    plain.mkdir(NAME)
    os.symlink(NAME, plain.path("www.example.com"))
    assert os.readlink(plain.path("www.example.com")) == NAME
    wait_for(lambda: certificates.names_of(certificates.load(
        plain.read(NAME, "cert.pem"))) == [NAME, "www.example.com"], "both names are in it")
    assert plain.read("www.example.com", "cert.pem") == plain.read(NAME, "cert.pem")
    assert plain.status(NAME)["aliases"] == ["www.example.com"]


def test_symlink_to_nothing_or_elsewhere_is_refused(plain):
    plain.mkdir(NAME)
    for target in ("absent.example.com", "/etc", "../x", f"{NAME}/cert.pem"):
        assert refused(os.symlink, target, plain.path("www.example.com")) in (
            errno.ENOENT, errno.EINVAL)
    assert not os.path.lexists(plain.path("www.example.com"))


def test_directory_with_an_alias_is_not_removed(plain):
    plain.mkdir(NAME)
    os.symlink(NAME, plain.path("www.example.com"))
    assert refused(os.rmdir, plain.path(NAME)) == errno.EBUSY
    os.unlink(plain.path("www.example.com"))
    os.rmdir(plain.path(NAME))
    assert os.listdir(plain.mountpoint) == ["fallback"]


ALIAS = "www.example.com"


def point(certfs, target, alias=ALIAS):
    """As ln -sfn does it."""
    subprocess.run(["ln", "-sfn", target, certfs.path(alias)], check=True, timeout=LIMIT_S)


def served_names(certfs, name):
    return certificates.names_of(certificates.load(certfs.read(name, "cert.pem")))


def test_ln_sfn_points_an_alias_to_another_directory(plain):
    for name in (NAME, OTHER):
        plain.mkdir(name)
    point(plain, NAME)
    assert os.readlink(plain.path(ALIAS)) == NAME
    assert plain.status(NAME)["aliases"] == [ALIAS]
    point(plain, OTHER)
    assert os.readlink(plain.path(ALIAS)) == OTHER
    assert os.lstat(plain.path(ALIAS)).st_size == len(OTHER)
    assert plain.read(ALIAS, "cert.pem") == plain.read(OTHER, "cert.pem")
    assert plain.status(NAME)["aliases"] == []
    assert plain.status(OTHER)["aliases"] == [ALIAS]
    assert served_names(plain, OTHER) == [OTHER, ALIAS]
    point(plain, OTHER)
    assert plain.status(OTHER)["aliases"] == [ALIAS]
    assert sorted(os.listdir(plain.mountpoint)) == sorted([NAME, OTHER, ALIAS, "fallback"])
    os.rmdir(plain.path(NAME))
    plain.wait_for_log(f"{ALIAS} is an alias of {OTHER}, and of {NAME} no more")


def test_symlink_of_another_name_becomes_an_alias_by_its_rename(plain):
    plain.mkdir(NAME)
    link = plain.path("CuAbCdEf")
    os.symlink(NAME, link)
    assert os.readlink(link) == NAME and os.lstat(link).st_size == len(NAME)
    assert as_user("nobody", "ls", "-d", link).returncode != 0
    assert plain.status(NAME)["aliases"] == []
    assert refused(os.rename, link, plain.path(NAME)) == errno.EISDIR
    assert refused(os.rename, link, plain.path("No.Name")) == errno.EINVAL
    os.rename(link, plain.path(ALIAS))
    assert not os.path.lexists(link)
    assert plain.status(NAME)["aliases"] == [ALIAS]


def test_symlink_of_another_name_can_be_unlinked(plain):
    plain.mkdir(NAME)
    link = plain.path(".1234.tmp")
    os.symlink(NAME, link)
    assert refused(os.symlink, NAME, link) == errno.EEXIST
    os.unlink(link)
    assert not os.path.lexists(link)
    assert plain.status(NAME)["aliases"] == []


def test_symlink_that_was_meant_for_an_alias_is_refused(plain):
    plain.mkdir(NAME)
    for name in ("WWW.example.com", "www_x.example.com", "-www.example.com"):
        assert refused(os.symlink, NAME, plain.path(name)) == errno.EINVAL


def test_alias_is_one_or_the_other_whenever_a_worker_is_killed(plain, folder):
    targets = [NAME, OTHER]
    for name in targets:
        plain.mkdir(name)
    point(plain, NAME)
    steps = calls(["ln", "-sfn", OTHER, plain.path(ALIAS)], folder, ALIAS, plain.mountpoint)
    ends = set()
    for call in steps:
        before = os.readlink(plain.path(ALIAS))
        after = targets[before == NAME]
        status, _ = stopped_after(["ln", "-sfn", after, plain.path(ALIAS)], folder, call,
                                  lambda: plain.kill_worker("fs"))
        now = os.readlink(plain.path(ALIAS))
        assert now == after or (status != 0 and now == before), call
        assert {n: plain.status(n)["aliases"] for n in targets} == {
            now: [ALIAS], targets[now == NAME]: []}
        ends.add(status == 0)
    assert ends == {True, False}  # a kill between the two steps of ln has cost the symlink


# Folders of temporary files

def test_folder_in_a_directory_is_its_owners_alone_and_holds_files(plain):
    plain.mkdir(NAME)
    path = plain.path(NAME, ".~tmp~")
    os.mkdir(path, 0o755)
    assert os.stat(path).st_mode & 0o7777 == 0o700
    assert as_user("nobody", "ls", "-d", path).returncode != 0
    assert refused(os.mkdir, path) == errno.EEXIST
    assert refused(os.mkdir, os.path.join(path, "deeper")) == errno.EPERM
    assert refused(os.symlink, NAME, os.path.join(path, "link")) == errno.EPERM
    for name in ("cert.pem", "status"):
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            file.write(name)
    assert sorted(os.listdir(path)) == ["cert.pem", "status"]
    assert ".~tmp~" in os.listdir(plain.path(NAME))
    assert plain.read(NAME, ".~tmp~", "cert.pem") == b"cert.pem"
    assert refused(os.rmdir, path) == errno.ENOTEMPTY
    assert refused(os.unlink, path) == errno.EISDIR
    subprocess.run(["rm", "-r", path], check=True, timeout=LIMIT_S)
    assert ".~tmp~" not in os.listdir(plain.path(NAME))


def test_file_out_of_a_folder_is_installed_by_its_rename(plain):
    plain.mkdir(NAME)
    pair = certificates.Pair(certificates.Authority(), [NAME])
    path = plain.path(NAME, ".~tmp~", "combined.pem")
    os.mkdir(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(pair.combined)
    assert plain.source(NAME) != "custom"
    os.rename(path, plain.path(NAME, "combined.pem"))
    assert plain.read(NAME, "cert.pem") == pair.cert
    assert os.listdir(os.path.dirname(path)) == []
    os.rmdir(os.path.dirname(path))


def test_folder_is_no_file_and_stays_in_its_directory(plain):
    for name in (NAME, OTHER):
        plain.mkdir(name)
    os.mkdir(plain.path(NAME, "new"))
    assert refused(os.rename, plain.path(NAME, "new"), plain.path(OTHER, "new")) == errno.EPERM
    assert refused(os.rename, plain.path(NAME, "new"), plain.path("new")) == errno.EPERM
    assert refused(os.rename, plain.path(NAME, "new"),
                   plain.path(NAME, "cert.pem")) == errno.ENOTDIR
    os.rename(plain.path(NAME, "new"), plain.path(NAME, "newer"))
    os.rmdir(plain.path(NAME, "newer"))
    for page in ("status", ".history"):
        assert refused(os.mkdir, plain.path(NAME, page)) == errno.EEXIST


def test_folder_is_lost_with_its_worker(plain):
    plain.mkdir(NAME)
    os.mkdir(plain.path(NAME, "new"))
    with open(plain.path(NAME, "new", "cert.pem"), "wb") as file:
        file.write(b"text")
    folder = os.open(plain.path(NAME, "new"), os.O_RDONLY | os.O_DIRECTORY)
    plain.kill_worker("fs")
    assert refused(os.rename, plain.path(NAME, "new", "cert.pem"),
                   plain.path(NAME, "cert.pem")) == errno.ENOENT
    os.mkdir(plain.path(NAME, "new"))  # another one, in which nothing of the old one is
    assert os.listdir(plain.path(NAME, "new")) == []
    with pytest.raises(OSError) as error:
        os.open("late", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
    assert error.value.errno == errno.ENOENT
    os.close(folder)


# Removal

def test_rmdir_keeps_the_certificate_for_the_name_coming_back(plain):
    plain.mkdir(NAME)
    before = plain.read(NAME, "fullchain.pem"), plain.read(NAME, "privkey.pem")
    os.rmdir(plain.path(NAME))
    assert refused(os.stat, plain.path(NAME)) == errno.ENOENT
    plain.mkdir(NAME)
    assert (plain.read(NAME, "fullchain.pem"), plain.read(NAME, "privkey.pem")) == before


def test_rm_r_of_a_directory_means_rmdir(plain):
    plain.mkdir(NAME)
    subprocess.run(["rm", "-r", plain.path(NAME)], check=True, timeout=LIMIT_S)
    assert os.listdir(plain.mountpoint) == ["fallback"]


def test_fallback_can_not_be_removed(plain):
    assert refused(os.rmdir, plain.path("fallback")) == errno.EPERM


# The rest

def test_statfs_tells_of_the_store(plain):
    found = os.statvfs(plain.mountpoint)
    disk = os.statvfs(plain.store)
    assert found.f_namemax >= 253
    # Others write to the disk at the same time.
    assert (found.f_bavail * found.f_frsize
            == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2))
    assert found.f_blocks > found.f_bavail


def requests(certfs, operation):
    text = certfs.read(".certfs", "metrics").decode()
    found = re.search(rf'^certfs_requests_total{{operation="{operation}"}} (\d+)$', text,
                      re.MULTILINE)
    return int(found.group(1)) if found else 0


def test_extended_attributes_cost_one_request_at_most(plain):
    plain.mkdir(NAME)
    for _ in range(20):
        assert refused(os.getxattr, plain.path(NAME, "cert.pem"), "user.x") == errno.ENOTSUP
        assert refused(os.listxattr, plain.path(NAME, "cert.pem")) == errno.ENOTSUP
    assert requests(plain, "getxattr") <= 1
    assert requests(plain, "listxattr") <= 1


def test_reading_again_asks_for_one_open_and_no_read(plain):
    plain.mkdir(NAME)
    plain.read(NAME, "cert.pem")
    opens, reads = requests(plain, "open"), requests(plain, "read")
    for _ in range(20):
        plain.read(NAME, "cert.pem")
    # The metrics are files too: the second look at them is one open and a read or two.
    assert requests(plain, "open") - opens in range(20, 25)
    assert requests(plain, "read") - reads < 10


def test_mount_is_nosuid_nodev_noexec(plain):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        line = next(line for line in file if f" {plain.mountpoint} " in line)
    assert {"nosuid", "nodev", "noexec"} <= set(line.split()[5].split(","))
    assert "default_permissions" in line and "allow_other" in line


def test_times_of_directories_tell_of_changes_alone(plain, tmp_path):
    directory = plain.mkdir(NAME)
    # tar warns of a file that changes under it, and compares times to do so.
    for _ in range(2):
        done = subprocess.run(["tar", "-cf", tmp_path / "all.tar", "-C", plain.mountpoint, "."],
                              capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    before = os.stat(directory).st_mtime, os.stat(plain.mountpoint).st_mtime
    wait_for(lambda: int(time.time()) > int(before[0]), "the next second")
    pair = certificates.Pair(certificates.Authority(), [NAME])
    with open(plain.path(NAME, "combined.pem"), "wb") as out:
        out.write(pair.combined)
    assert os.stat(directory).st_mtime > before[0]
    assert os.stat(plain.mountpoint).st_mtime == before[1]
    plain.mkdir("other.example.com")
    assert os.stat(plain.mountpoint).st_mtime > before[1]
