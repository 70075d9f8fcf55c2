# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Owners, modes and shares: what users are given, and what they can't take from others."""

import contextlib
import errno
import os
import stat
import subprocess
import sys

import pytest

from certificates import Authority, Pair
from mount import SERVED
from users import APP, GROUP, OTHER, as_user, give
from waiting import LIMIT_S

NAME, ANOTHER = "app.example.com", "other.example.com"
PAGES = ("policy", "status", "status.json")
MIB = 1 << 20


@pytest.fixture
def pair():
    return Pair(Authority(), [NAME])


def mode(*parts):
    return stat.S_IMODE(os.stat(os.path.join(*parts)).st_mode)


def owner(*parts):
    found = os.stat(os.path.join(*parts))
    return found.st_uid, found.st_gid


def refused(function, *args):
    with pytest.raises(OSError) as error:
        function(*args)
    return error.value.errno


# What is kept

def test_owners_and_modes_are_kept_over_restarts_and_generations(plain, pair):
    directory = plain.mkdir(NAME)
    wanted = {"": 0o2750, "cert.pem": 0o640, "privkey.pem": 0o440, "combined.pem": 0o600,
              "policy": 0o640, "status": 0o440, "status.json": 0o400}
    for number, (name, bits) in enumerate(wanted.items()):
        os.chown(os.path.join(directory, name), APP + number, GROUP + number)
        os.chmod(os.path.join(directory, name), bits)

    def all_stand():
        for number, (name, bits) in enumerate(wanted.items()):
            assert owner(directory, name) == (APP + number, GROUP + number), name
            assert mode(directory, name) == bits, name
    all_stand()
    plain.kill_worker("fs")
    all_stand()
    with open(plain.path(NAME, "combined.pem"), "wb") as file:
        file.write(pair.combined)
    plain.wait_for_source(NAME, "custom")
    all_stand()
    plain.restart()
    all_stand()


# What is refused

@pytest.mark.parametrize("name, bits, says", [
    ("", 0o777, "everybody could replace the key of app.example.com: mode 0777"),
    ("", 0o1777, "everybody could replace the key"),
    ("privkey.pem", 0o644, "privkey.pem of app.example.com holds a key"),
    ("privkey.pem", 0o641, "holds a key"),
    ("privkey.pem", 0o642, "holds a key"),
    ("combined.pem", 0o604, "combined.pem of app.example.com holds a key"),
    ("cert.pem", 0o666, "everybody could write a file of app.example.com"),
    ("policy", 0o666, "everybody could write a file"),
])
def test_what_would_give_everybody_a_key_is_refused_with_a_reason(plain, name, bits, says):
    path = os.path.join(plain.mkdir(NAME), name)
    before = mode(path)
    assert refused(os.chmod, path, bits) == errno.EPERM
    assert mode(path) == before
    assert says in plain.text()
    done = subprocess.run(["chmod", f"{bits:o}", path], check=False, capture_output=True,
                          text=True)
    assert done.returncode == 1 and "Operation not permitted" in done.stderr


def test_whoever_wrote_a_file_opens_its_directory_to_nobody(plain, pair):
    directory = plain.mkdir(NAME)
    with open(os.path.join(directory, "combined.pem"), "wb") as file:
        file.write(pair.combined)
    assert refused(os.chmod, directory, 0o777) == errno.EPERM
    with open(os.path.join(directory, "fullchain.pem"), "wb") as file:
        file.write(pair.fullchain)
    assert refused(os.chmod, directory, 0o777) == errno.EPERM
    assert mode(directory) == 0o755


def test_acls_are_refused_as_by_any_filesystem_without_them(plain):
    directory = plain.mkdir(NAME)
    for path in (directory, plain.path(NAME, "privkey.pem")):
        done = subprocess.run(["setfacl", "-m", f"u:{APP}:r", path], check=False,
                              capture_output=True, text=True, env={"LC_ALL": "C"})
        assert done.returncode == 1 and "Operation not supported" in done.stderr
        assert refused(os.setxattr, path, "user.x", b"y") == errno.EOPNOTSUPP
    denied = as_user(APP, "cat", plain.path(NAME, "privkey.pem"))
    assert "Permission denied" in denied.stderr


def test_attributes_of_what_belongs_to_certfs_are_refused(plain):
    plain.mkdir(NAME)
    for parts in ((), (".certfs",), (".certfs", "metrics"), (NAME, ".history"),
                  (NAME, ".history", "1", "privkey.pem")):
        assert refused(os.chmod, plain.path(*parts), 0o777) == errno.EPERM
        assert refused(os.chown, plain.path(*parts), APP, APP) == errno.EPERM
    assert refused(os.utime, plain.path(NAME, "status")) == errno.EPERM
    assert refused(os.truncate, plain.path(NAME, "status"), 0) in (errno.EPERM, errno.EACCES)


# An unprivileged owner

@pytest.fixture
def given(plain):
    give(APP, plain.mkdir(NAME))
    plain.mkdir(ANOTHER)
    return plain


def test_chown_r_gives_a_directory_with_all_that_is_in_it(given):
    assert owner(given.path(NAME)) == (APP, APP)
    for name in (*SERVED, *PAGES):
        assert owner(given.path(NAME, name)) == (APP, APP)
    given.kill_worker("fs")
    assert owner(given.path(NAME, "status")) == (APP, APP)


@pytest.mark.parametrize("how", [["cp"], ["cp", "-p"], ["mv"], ["install", "-m", "640"],
                                 ["rsync", "-a"]])
def test_its_owner_installs_there(given, pair, folder, how):
    source = os.path.join(folder, "app")
    os.mkdir(source)
    paths = pair.write(source)
    for path in (source, *paths.values()):
        os.chown(path, APP, APP)
    for path in paths.values():
        os.chmod(path, 0o640)
        os.utime(path, (1_500_000_000,) * 2)  # for rsync, which compares size and time
    for half, name in (("fullchain", "fullchain.pem"), ("key", "privkey.pem")):
        done = as_user(APP, *how, paths[half], given.path(NAME, name))
        assert (done.returncode, done.stderr) == (0, "")
    given.wait_for_source(NAME, "custom")
    assert as_user(APP, "cat", given.path(NAME, "privkey.pem")).stdout == pair.key.decode()
    assert as_user(APP, "cat", given.path(NAME, "fullchain.pem")).stdout == (
        pair.fullchain.decode())
    assert owner(given.path(NAME, "privkey.pem")) == (APP, APP)
    assert mode(given.path(NAME, "privkey.pem")) == 0o640
    given.wait_for_log(f"was installed by uid {APP}")
    done = as_user(APP, "rm", given.path(NAME, "cert.pem"))
    assert (done.returncode, done.stderr) == (0, "")
    given.wait_for_source(NAME, "self-signed fallback")


def test_nobody_sees_a_key_of_another(given, pair, folder):
    """Neither where it is served, nor kept, nor collected."""
    with open(given.path(NAME, "combined.pem"), "wb") as file:
        file.write(pair.combined)
    for name in ("privkey.pem", "combined.pem"):
        for parts in ((ANOTHER, name), (ANOTHER, ".history", "1", name),
                      (".combined", f"{ANOTHER}.pem")):
            denied = as_user(APP, "cat", given.path(*parts))
            assert denied.returncode == 1 and "Permission denied" in denied.stderr, parts
        for parts in ((NAME, name), (NAME, ".history", "2", name),
                      (".combined", f"{NAME}.pem")):
            assert as_user(OTHER, "cat", given.path(*parts)).returncode == 1
            assert "BEGIN" in as_user(APP, "cat", given.path(*parts)).stdout
    source = pair.write(folder)["combined"]
    for script in (f"cp {source} $0/combined.pem", f"mv {source} $0/combined.pem",
                   "rm $0/cert.pem", "touch $0/new", "chmod 700 $0", f"chown {APP} $0",
                   "touch $0/cert.pem", "rmdir $0", "mkdir $0/../new.example.com",
                   "ln -s app.example.com $0/../www.example.com"):
        done = as_user(APP, "sh", "-c", script, given.path(ANOTHER))
        assert done.returncode != 0 and "denied" in done.stderr or "permitted" in done.stderr
    assert given.source(ANOTHER) == "self-signed fallback"
    assert given.status(ANOTHER)["refused"] is None


READ_APPENDING = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_APPEND)
sys.stdout.write(os.read(fd, 1 << 16).decode())
"""


def test_key_that_waits_is_read_back_by_its_writer_only(plain, pair):
    directory = plain.mkdir(NAME)
    path = plain.path(NAME, "privkey.pem")
    os.chown(directory, -1, GROUP)
    os.chmod(directory, 0o775)
    os.chown(path, -1, GROUP)
    os.chmod(path, 0o660)
    served = plain.read(NAME, "privkey.pem").decode()
    assert as_user(APP, "sh", "-c", 'cat > "$0"', path, groups=[GROUP],
                   text=pair.key.decode()).returncode == 0

    def read_by(uid):
        done = as_user(uid, sys.executable, "-c", READ_APPENDING, path, groups=[GROUP])
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout
    assert read_by(OTHER) == served
    assert read_by(APP) == pair.key.decode() == read_by(0)


def test_owner_without_privileges_gives_nothing_away(given):
    for name in ("", "privkey.pem", "policy"):
        done = as_user(APP, "chown", str(OTHER), given.path(NAME, name))
        assert done.returncode == 1
        assert owner(given.path(NAME, name))[0] == APP
    assert as_user(APP, "chmod", "600", given.path(NAME, "privkey.pem")).returncode == 0
    assert mode(given.path(NAME, "privkey.pem")) == 0o600
    assert as_user(APP, "chmod", "604", given.path(NAME, "privkey.pem")).returncode == 1
    assert mode(given.path(NAME, "privkey.pem")) == 0o600


def test_group_of_a_directory_writes_there(plain, pair):
    directory = plain.mkdir(NAME)
    subprocess.run(["chgrp", "-R", str(GROUP), directory], check=True)
    subprocess.run(["chmod", "-R", "g+w", directory], check=True)
    done = as_user(APP, "tee", plain.path(NAME, "combined.pem"), groups=[GROUP],
                   text=pair.combined.decode())
    assert done.returncode == 0
    plain.wait_for_source(NAME, "custom")
    assert as_user(OTHER, "tee", plain.path(NAME, "combined.pem"),
                   text=pair.combined.decode()).returncode == 1


# Scratch files

def test_scratch_files_are_invisible_to_others(plain):
    directory = plain.mkdir(NAME)
    os.chown(directory, -1, GROUP)
    os.chmod(directory, 0o775)
    both = {"groups": [GROUP]}
    assert as_user(APP, "sh", "-c", "echo secret > $0/.key.AbCdEf", directory,
                   **both).returncode == 0
    with open(os.path.join(directory, "roots"), "wb") as file:
        file.write(b"secret\n")
    assert as_user(APP, "ls", "-A", directory).stdout.split().count(".key.AbCdEf") == 1
    for command in (["ls", "-A"], ["ls", "-lA"], ["find"]):
        shown = as_user(OTHER, *command, directory, **both)
        assert "AbCdEf" not in shown.stdout + shown.stderr and "roots" not in shown.stdout
        assert "roots" not in as_user(APP, *command, directory, **both).stdout
    for script in ("cat $0/$1", "stat $0/$1", "rm $0/$1", "mv $0/$1 $0/mine",
                   "ln $0/$1 $0/mine"):
        for name in (".key.AbCdEf", "roots"):
            done = as_user(OTHER, "sh", "-c", script, directory, name, **both)
            assert done.returncode == 1 and "No such file" in done.stderr, script
    # Its name is taken all the same, and not by whoever comes next.
    done = as_user(OTHER, "sh", "-c", "echo x > $0/.key.AbCdEf", directory, **both)
    assert done.returncode != 0 and "Permission denied" in done.stderr
    for script in ("echo x > $0/mine; mv $0/mine $0/.key.AbCdEf",
                   "echo x > $0/mine; mv -n $0/mine $0/.key.AbCdEf",
                   "mv $0/cert.pem $0/.key.AbCdEf"):
        done = as_user(OTHER, "sh", "-c", script, directory, **both)
        assert done.returncode != 0 and "Permission denied" in done.stderr, script
    assert as_user(APP, "cat", f"{directory}/.key.AbCdEf").stdout == "secret\n"
    assert {".key.AbCdEf", "roots"} <= set(os.listdir(directory))


FLOOD = """
import errno, os, sys
directory, size, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
made, why = 0, None
try:
    while made < most:
        with open(f"{directory}/flood{os.getuid()}-{made}", "wb", buffering=0) as file:
            while file.tell() < size:
                file.write(b"x" * (size - file.tell()))
        made += 1
except OSError as error:
    why = errno.errorcode[error.errno]
print(made, why)
"""


def flood(uid, directory, size, most=1000):
    done = as_user(uid, sys.executable, "-c", FLOOD, directory, str(size), str(most),
                   groups=[GROUP])
    assert done.returncode == 0, done.stderr
    made, why = done.stdout.split()
    return int(made), why


@pytest.fixture
def shared(plain):
    directory = plain.mkdir(NAME)
    subprocess.run(["chgrp", "-R", str(GROUP), directory], check=True)
    subprocess.run(["chmod", "-R", "g+w", directory], check=True)
    return plain


def all_can_install(certfs, uids):
    """Through a scratch file of theirs."""
    authority = Authority()
    for uid in uids:
        pair = Pair(authority, [NAME])
        script = "cat > $0/new && mv $0/new $0/combined.pem"
        done = as_user(uid, "sh", "-c", script, certfs.path(NAME), groups=[GROUP],
                       text=pair.combined.decode())
        assert (done.returncode, done.stderr) == (0, "")
        assert certfs.read(NAME, "cert.pem") == pair.cert


def test_flood_of_bytes_takes_no_space_from_others(shared):
    directory = shared.path(NAME)
    assert flood(APP, directory, 2 * MIB) == (0, "EFBIG")
    os.unlink(f"{directory}/flood{APP}-0")
    assert flood(APP, directory, MIB) == (2, "EDQUOT")
    all_can_install(shared, [OTHER, 0])
    for uid in range(APP + 10, APP + 15):
        assert flood(uid, directory, MIB) == (2, "EDQUOT")
    # What users have together is used up, root's share is not.
    assert flood(OTHER, directory, MIB) == (0, "ENOSPC")
    all_can_install(shared, [0])
    assert flood(0, directory, MIB) == (4, "EDQUOT")


def test_flood_of_names_takes_no_place_from_others(shared):
    assert flood(APP, shared.path(NAME), 1) == (64, "EDQUOT")
    all_can_install(shared, [OTHER, 0])


HOLD = """
import errno, os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
how = os.O_RDONLY if sys.argv[2] == "read" else os.O_WRONLY
held = []
os.setgroups([int(sys.argv[4])])
os.setuid(int(sys.argv[3]))
try:
    while len(held) < 8000:
        held.append(os.open(sys.argv[1], how))
        if sys.argv[2] == "fill":
            os.write(held[-1], b"x" * (1 << 20))
    print("all")
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(path, how, uid):
    """A user who holds as many open as he gets."""
    with subprocess.Popen([sys.executable, "-c", HOLD, path, how, str(uid), str(GROUP)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            assert process.wait(LIMIT_S) == 0


@pytest.mark.parametrize("file, how", [("combined.pem", "write"), ("combined.pem", "fill"),
                                       ("status", "read")])
def test_flood_of_open_files_keeps_nobody_else_from_writing(shared, file, how):
    with holding(shared.path(NAME, file), how, APP) as why:
        assert why == "EDQUOT"
        all_can_install(shared, [OTHER, 0])
        assert as_user(OTHER, "cat", shared.path(NAME, "status")).returncode == 0
    all_can_install(shared, [APP])
