# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""rm, rm -r and mv: what they take away, and what they may not do by halves."""

import errno
import itertools
import os
import shutil
import subprocess

import pytest

from certificates import Authority, Pair
from mount import SERVED
from waiting import LIMIT_S

NAME, OTHER, ALIAS = "app.example.com", "other.example.com", "www.example.com"
PAGES = ("policy", "status", "status.json")


@pytest.fixture
def pair():
    return Pair(Authority(), [NAME, ALIAS])


@pytest.fixture
def turned(certfs, clock):
    """A certfs, and a function after which all that was to happen soon has happened."""
    daemon, hours = certfs(certfs=clock.settings), itertools.count(1)

    def later():
        hour, before = next(hours), daemon.status("fallback")["now"]
        clock(hour * 3600)
        daemon.wait_for_status("fallback", lambda s: s["now"][:13] > before[:13],
                               "has the new time")
        # What is due comes one after the other: this is due after all that was.
        put(daemon, f"{os.path.basename(daemon.mkdir(f'later{hour}.example.com'))}",
            Pair(Authority(), [f"later{hour}.example.com"]))
        command("rm", daemon.path(f"later{hour}.example.com", "cert.pem"))
        daemon.wait_for_source(f"later{hour}.example.com", "self-signed fallback")
    return daemon, later


def put(certfs, name, pair):
    with open(certfs.path(name, "combined.pem"), "wb") as out:
        out.write(pair.combined)


def state_of(certfs, name):
    status = certfs.status(name)
    return ({file: certfs.read(name, file) for file in SERVED}, status["serves"],
            status["waiting"], status["aliases"], status["next"]["what"])


def command(*words):
    return subprocess.run(words, check=False, capture_output=True, text=True,
                          timeout=LIMIT_S, env={**os.environ, "LC_ALL": "C"})


# rm -r is rmdir

@pytest.mark.parametrize("words", [["rm", "-r"], ["rm", "-rf"], ["rmdir"]])
def test_custom_certificate_is_kept_for_the_name_coming_back(turned, pair, words):
    daemon, later = turned
    daemon.mkdir(NAME)
    put(daemon, NAME, pair)
    assert command(*words, daemon.path(NAME)).returncode == 0
    assert os.listdir(daemon.mountpoint) == ["fallback"]
    later()
    daemon.mkdir(NAME)
    assert daemon.source(NAME) == "custom"
    assert daemon.read(NAME, "cert.pem") == pair.cert
    later()
    assert daemon.source(NAME) == "custom"


def test_managed_certificate_is_kept_for_the_name_coming_back(managed):
    daemon, ca = managed()
    daemon.mkdir(NAME)
    daemon.wait_for_source(NAME, "managed")
    before = state_of(daemon, NAME)[0]
    assert command("rm", "-r", daemon.path(NAME)).returncode == 0
    assert not os.path.exists(daemon.path(NAME))
    daemon.mkdir(NAME)
    assert state_of(daemon, NAME)[0] == before and ca.orders() == 1


def test_what_waits_and_scratch_files_go_with_rm_r(plain, pair):
    plain.mkdir(NAME)
    for file in ("notes", "privkey.pem"):
        with open(plain.path(NAME, file), "wb") as out:
            out.write(pair.key)
    assert command("rm", "-r", plain.path(NAME)).returncode == 0
    plain.mkdir(NAME)
    assert plain.status(NAME)["waiting"] == []
    assert sorted(os.listdir(plain.path(NAME))) == sorted([*SERVED, *PAGES])


def test_rm_r_of_all_leaves_the_fallback(turned, pair):
    daemon, later = turned
    for name in (NAME, OTHER):
        daemon.mkdir(name)
    put(daemon, "fallback", pair)
    before = state_of(daemon, "fallback")
    done = command("sh", "-c", f"rm -r {daemon.mountpoint}/*")
    assert done.returncode == 1 and os.strerror(errno.EPERM) in done.stderr
    assert os.listdir(daemon.mountpoint) == ["fallback"]
    later()
    assert state_of(daemon, "fallback") == before


def test_refused_rm_r_takes_nothing_away(turned, pair):
    daemon, later = turned
    daemon.mkdir(NAME)
    os.symlink(NAME, daemon.path(ALIAS))
    put(daemon, NAME, pair)
    before = state_of(daemon, NAME)
    done = command("rm", "-r", daemon.path(NAME))
    assert done.returncode == 1 and os.strerror(errno.EBUSY) in done.stderr
    daemon.wait_for_log(f"refused: .*{ALIAS}.*; its custom certificate stays, too")
    assert state_of(daemon, NAME) == before
    later()
    assert state_of(daemon, NAME) == before


def test_rm_r_of_an_alias_takes_the_alias_alone(plain, pair):
    plain.mkdir(NAME)
    os.symlink(NAME, plain.path(ALIAS))
    put(plain, NAME, pair)
    assert command("rm", "-r", plain.path(ALIAS)).returncode == 0
    assert plain.read(NAME, "cert.pem") == pair.cert
    assert plain.status(NAME)["aliases"] == []


# rm

@pytest.mark.parametrize("before", ["", "cat $0 >/dev/null; ", "cp $0 $1; cmp $0 $1; "])
def test_rm_after_others_have_read_takes_the_custom_certificate_away(plain, folder, pair,
                                                                     before):
    plain.mkdir(NAME)
    put(plain, NAME, pair)
    done = command("sh", "-c", f"{before} rm $0", plain.path(NAME, "cert.pem"),
                   os.path.join(folder, "copy"))
    assert (done.returncode, done.stderr) == (0, "")
    plain.wait_for_source(NAME, "self-signed fallback")


# mv

def installed(daemon, kind, pair):
    """A directory that serves what somebody wrote, or its fallback."""
    if kind != "fallback":
        daemon.mkdir(NAME)
    name = "fallback" if kind == "fallback" else NAME
    if kind != "self-signed":
        put(daemon, name, pair)
    return name


def in_process(source, target):
    """mv, by a language's library."""
    try:
        shutil.move(source, target)
    except OSError as error:
        return subprocess.CompletedProcess([], 1, stderr=os.strerror(error.errno))
    return subprocess.CompletedProcess([], 0, stderr="")


@pytest.mark.parametrize("kind", ["custom", "self-signed", "fallback"])
@pytest.mark.parametrize("move", [lambda *paths: command("mv", *paths), in_process],
                         ids=["mv", "shutil"])
def test_mv_out_of_the_mount_is_refused_for_each_file(turned, folder, pair, kind, move):
    daemon, later = turned
    name = installed(daemon, kind, pair)
    before = state_of(daemon, name)
    for file in (*SERVED, *PAGES):
        done = move(daemon.path(name, file), os.path.join(folder, "moved"))
        assert done.returncode == 1, file
        assert os.strerror(errno.EPERM) in done.stderr
        daemon.wait_for_log(rf"refused: {file}: served files can't be moved away: cp copies")
    assert state_of(daemon, name) == before
    later()
    assert state_of(daemon, name) == before


@pytest.mark.parametrize("kind", ["custom", "self-signed"])
def test_mv_of_a_directory_out_of_the_mount_is_refused(turned, folder, pair, kind):
    daemon, later = turned
    name = installed(daemon, kind, pair)
    before = state_of(daemon, name)
    done = command("mv", daemon.path(name), os.path.join(folder, "moved"))
    assert done.returncode == 1 and os.strerror(errno.EPERM) in done.stderr
    assert state_of(daemon, name) == before
    later()
    assert state_of(daemon, name) == before


def test_mv_of_a_scratch_file_out_of_the_mount_moves_it(plain, folder, pair):
    plain.mkdir(NAME)
    with open(plain.path(NAME, "notes"), "wb") as out:
        out.write(pair.key)
    moved = os.path.join(folder, "moved")
    assert command("mv", plain.path(NAME, "notes"), moved).returncode == 0
    with open(moved, "rb") as file:
        assert file.read() == pair.key
    assert not os.path.exists(plain.path(NAME, "notes"))


@pytest.mark.parametrize("source, target", [
    (NAME, "new.example.com"), (NAME, OTHER), (NAME, f"{OTHER}/{NAME}"), (NAME, ".combined"),
    ("fallback", "new.example.com"), (ALIAS, "new.example.com"), (NAME, ALIAS),
    (f"{NAME}/cert.pem", f"{NAME}/fullchain.pem"), (f"{NAME}/cert.pem", f"{NAME}/status"),
    (f"{NAME}/cert.pem", f"{OTHER}/cert.pem"), (f"{NAME}/cert.pem", "cert.pem"),
    (f"{NAME}/status", f"{NAME}/old"), (f"{NAME}/.history", "history"),
    (f"{NAME}/.history/2/cert.pem", f"{NAME}/cert.pem"),
    (f".combined/{NAME}.pem", f"{OTHER}/combined.pem"), (".certfs/events", "events"),
])
def test_rename_within_the_mount_is_refused_and_changes_nothing(plain, pair, source, target):
    for name in (NAME, OTHER):
        plain.mkdir(name)
    os.symlink(NAME, plain.path(ALIAS))
    put(plain, NAME, pair)
    before = state_of(plain, NAME), state_of(plain, OTHER), sorted(os.listdir(plain.mountpoint))
    with pytest.raises(OSError) as error:
        os.rename(plain.path(source), plain.path(target))
    assert error.value.errno in (errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EACCES)
    done = command("mv", "-T", plain.path(source), plain.path(target))
    assert done.returncode == 1 and done.stderr
    assert before == (state_of(plain, NAME), state_of(plain, OTHER),
                      sorted(os.listdir(plain.mountpoint)))


def test_refused_mv_of_a_directory_says_what_to_do_instead(plain):
    plain.mkdir(NAME)
    done = command("mv", plain.path(NAME), plain.path("new.example.com"))
    assert done.returncode == 1 and os.strerror(errno.EPERM) in done.stderr
    plain.wait_for_log(f"refused: {NAME}: directories and served files keep their names: "
                       "mkdir makes a new one")


# mv to a name beside it

def test_backup_by_rename_is_a_copy_for_the_owner_of_what_was_served(plain, pair):
    plain.mkdir(NAME)
    put(plain, NAME, pair)
    os.chown(plain.path(NAME), 12345, 12345)
    before = state_of(plain, NAME)[0]
    # Who may write in the directory may move a key, and may read it as little as before.
    code = "import os, sys; os.rename(*sys.argv[1:]); print(os.listdir('.'))"
    done = subprocess.run(["python3", "-c", code, "privkey.pem", "privkey.pem.bak"],
                          cwd=plain.path(NAME), user=12345, group=12345, extra_groups=[],
                          check=True, capture_output=True, text=True, timeout=LIMIT_S)
    assert "privkey.pem.bak" not in done.stdout and "'privkey.pem'" in done.stdout
    found = os.stat(plain.path(NAME, "privkey.pem.bak"))
    assert (found.st_uid, found.st_mode & 0o7777) == (0, 0o600)
    assert plain.read(NAME, "privkey.pem.bak") == pair.key
    assert state_of(plain, NAME)[0] == before
    # Nobody has written it anew: as after an rm.
    plain.wait_for_source(NAME, "self-signed fallback")
    assert plain.read(NAME, "privkey.pem.bak") == pair.key


def test_backup_that_is_moved_back_is_the_custom_certificate_again(turned, pair):
    daemon, later = turned
    daemon.mkdir(NAME)
    put(daemon, NAME, pair)
    os.chmod(daemon.path(NAME, "fullchain.pem"), 0o604)
    before, attributes = state_of(daemon, NAME)[0], os.stat(daemon.path(NAME, "fullchain.pem"))
    paths = daemon.path(NAME, "fullchain.pem"), daemon.path(NAME, "fullchain.pem~")
    assert command("mv", *paths).returncode == 0
    assert command("mv", *reversed(paths)).returncode == 0
    later()
    assert daemon.source(NAME) == "custom" and state_of(daemon, NAME)[0] == before
    assert not os.path.exists(paths[1])
    after = os.stat(paths[0])
    assert (after.st_mode, after.st_uid, after.st_gid, int(after.st_mtime)) == (
        attributes.st_mode, attributes.st_uid, attributes.st_gid, int(attributes.st_mtime))


@pytest.mark.parametrize("edit", ["sed -i.bak 1d $0", "perl -i.bak -ne 'print if $. > 1' $0"])
def test_refused_edit_with_a_backup_leaves_the_old_pair_and_the_backup(turned, pair, edit):
    daemon, later = turned
    daemon.mkdir(NAME)
    put(daemon, NAME, pair)
    before = state_of(daemon, NAME)
    assert command("sh", "-c", edit, daemon.path(NAME, "fullchain.pem")).returncode != 0
    assert daemon.read(NAME, "fullchain.pem.bak") == pair.fullchain
    assert state_of(daemon, NAME) == before
    later()
    assert state_of(daemon, NAME) == before


def test_backup_of_policy_is_what_it_was(plain):
    plain.mkdir(NAME)
    before = plain.read(NAME, "policy")
    done = command("sed", "-i.bak", "-e", "$a keep = 7", plain.path(NAME, "policy"))
    assert (done.returncode, done.stderr) == (0, "")
    assert plain.read(NAME, "policy.bak") == before
    assert b"keep = 7\n" in plain.read(NAME, "policy")


def test_backup_over_another_replaces_it(plain, pair):
    plain.mkdir(NAME)
    put(plain, NAME, pair)
    for text in ("first", "second"):
        done = command("sed", "-i.bak", "-e", f"1i # {text}", plain.path(NAME, "cert.pem"))
        assert (done.returncode, done.stderr) == (0, "")
    assert plain.read(NAME, "cert.pem.bak") == b"# first\n" + pair.cert
    assert plain.read(NAME, "cert.pem") == b"# second\n# first\n" + pair.cert


@pytest.mark.parametrize("content", ["the same", "another key"])
def test_file_that_is_renamed_over_after_its_rm_is_a_replacement(turned, pair, content):
    daemon, later = turned
    daemon.mkdir(NAME)
    put(daemon, NAME, pair)
    before = state_of(daemon, NAME)[0]
    with open(daemon.path(NAME, "new"), "wb") as out:
        out.write(pair.key if content == "the same" else Pair(Authority(), [NAME]).key)
    done = command("sh", "-c", 'cd "$0" && rm privkey.pem && mv new privkey.pem',
                   daemon.path(NAME))
    assert (done.returncode, done.stderr) == (0, "")
    later()
    assert daemon.source(NAME) == "custom" and state_of(daemon, NAME)[0] == before
