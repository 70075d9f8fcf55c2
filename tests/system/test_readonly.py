# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Read-only mounts of a running daemon's store: they cost nothing, and keep the promises."""

import errno
import os
import re
import subprocess
import time

import pytest

from certificates import Authority, Pair, belong_together
from mount import BINARY, SANITIZERS, SERVED, abort, mounts
from readers import Readers
from test_pairs import run_storm
from waiting import LIMIT_S, wait_for

NAME = "app.example.com"
STEP_S = 10


class ReadOnly:
    def __init__(self, certfs, folder):
        self.certfs, self.mountpoint = certfs, os.path.join(certfs.folder, folder)
        os.mkdir(self.mountpoint)

    def mount(self):
        return subprocess.run([BINARY, "mount", "-o", f"ro,of={self.certfs.mountpoint}",
                               self.mountpoint], capture_output=True, text=True,
                              check=False, timeout=LIMIT_S, env={**os.environ, **SANITIZERS})

    def path(self, *parts):
        return os.path.join(self.mountpoint, *parts)

    def read(self, *parts):
        with open(self.path(*parts), "rb") as file:
            return file.read()


@pytest.fixture
def readonly(plain):
    made = []

    def make(certfs=plain, folder="ro"):
        made.append(ReadOnly(certfs, folder))
        done = made[-1].mount()
        assert done.returncode == 0, done.stderr
        return made[-1]
    yield make
    for one in made:
        abort(one.mountpoint)


def requests(certfs, mount=0):
    """What the kernel has asked for a read-only mount, by operation."""
    text = certfs.read(".certfs", "metrics").decode()
    return {operation: int(count) for operation, count in re.findall(
        rf'certfs_readonly_requests_total{{mount="{mount}",operation="(\w+)"}} (\d+)', text)}


def read_plainly(path):
    """Python's open() asks whether the file is a terminal, which is one more request."""
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 65536)
    os.close(fd)


def put(certfs, pair, name=NAME):
    with open(certfs.path(name, "combined.pem"), "wb") as out:
        out.write(pair.combined)


def test_shows_what_is_served_and_takes_no_writes(plain, readonly):
    plain.mkdir()
    plain.mkdir("other.example.com")
    os.symlink(NAME, plain.path("www.example.com"))
    ro = readonly()
    # The alias has changed the fallback.
    wait_for(lambda: ro.read(NAME, "cert.pem") == plain.read(NAME, "cert.pem"),
             "nothing rotates")
    assert sorted(os.listdir(ro.mountpoint)) == sorted(os.listdir(plain.mountpoint))
    assert sorted(os.listdir(ro.path(NAME))) == sorted(SERVED)
    for file in SERVED:
        assert ro.read(NAME, file) == plain.read(NAME, file)
        ours, theirs = os.stat(ro.path(NAME, file)), os.stat(plain.path(NAME, file))
        for field in ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime", "st_ino"):
            assert getattr(ours, field) == getattr(theirs, field)
    assert ro.read("www.example.com", "cert.pem") == plain.read(NAME, "cert.pem")
    assert ro.read(".combined", f"{NAME}.pem") == plain.read(NAME, "combined.pem")
    old = (NAME, ".history", "1", "cert.pem")
    assert ro.read(*old) == plain.read(*old)
    for attempt in (lambda: os.mkdir(ro.path("new.example.com")),
                    lambda: open(ro.path(NAME, "cert.pem"), "wb"),
                    lambda: os.unlink(ro.path(NAME, "cert.pem")),
                    lambda: os.chmod(ro.path(NAME, "cert.pem"), 0o600)):
        with pytest.raises(OSError) as refused:
            attempt()
        assert refused.value.errno == errno.EROFS
    assert not os.path.exists(ro.path(NAME, "status"))
    assert not os.path.exists(ro.path(".certfs"))


def test_steady_state_asks_nothing(plain, readonly):
    plain.mkdir()
    ro = readonly()
    for file in SERVED:
        ro.read(NAME, file)
        os.stat(ro.path(NAME, file))
    before = requests(plain)
    path = ro.path(NAME, "fullchain.pem")
    for _ in range(100000):
        read_plainly(path)
    assert requests(plain) == before


def test_what_comes_and_goes_is_seen(plain, readonly):
    ro = readonly()
    with pytest.raises(FileNotFoundError):
        ro.read(NAME, "cert.pem")
    plain.mkdir()
    assert ro.read(NAME, "cert.pem") == plain.read(NAME, "cert.pem")
    os.chmod(plain.path(NAME, "privkey.pem"), 0o600)
    wait_for(lambda: os.stat(ro.path(NAME, "privkey.pem")).st_mode & 0o777 == 0o600,
             "the mode is seen")
    os.rmdir(plain.path(NAME))
    wait_for(lambda: not os.path.exists(ro.path(NAME)), "the directory is gone")
    os.symlink("fallback", plain.path("www.example.com"))
    assert os.readlink(ro.path("www.example.com")) == "fallback"
    plain.mkdir("other.example.com")
    subprocess.run(["ln", "-sfn", "other.example.com", plain.path("www.example.com")],
                   check=True, timeout=LIMIT_S)
    wait_for(lambda: os.readlink(ro.path("www.example.com")) == "other.example.com"
             and os.lstat(ro.path("www.example.com")).st_size == len("other.example.com"),
             "the alias points elsewhere")
    os.unlink(plain.path("www.example.com"))
    wait_for(lambda: not os.path.lexists(ro.path("www.example.com")), "the alias is gone")


def test_rotation_takes_its_steps_and_then_costs_nothing_again(plain, readonly):
    plain.mkdir()
    ro = readonly()
    old = ro.read(NAME, "cert.pem")
    pair = Pair(Authority(), [NAME])
    begun = time.monotonic()
    put(plain, pair)
    assert ro.read(NAME, "cert.pem") == old
    wait_for(lambda: ro.read(NAME, "cert.pem") != old, "the new one is served")
    assert time.monotonic() - begun > STEP_S - 1
    assert belong_together(ro.read(NAME, "cert.pem"), ro.read(NAME, "privkey.pem"))

    def asks_nothing():
        before = requests(plain)
        for _ in range(10):
            read_plainly(ro.path(NAME, "cert.pem"))
        return requests(plain) == before
    wait_for(asks_nothing, "nothing is asked any more")
    assert time.monotonic() - begun > 2 * STEP_S - 1
    assert ro.read(NAME, "cert.pem") == pair.cert


@pytest.mark.parametrize("period_s", [3, 25])
def test_no_pair_is_mixed(plain, pairs, readonly, period_s):
    def read():
        """Once what was there before the storm's pairs is gone."""
        ro = readonly()
        wait_for(lambda: ro.read(NAME, "cert.pem") == plain.read(NAME, "cert.pem"),
                 "the first pair is served")
        return ro.path(NAME)
    seen = run_storm(plain, pairs, 60, "behind", period_s * 1000000, read)
    assert seen["failed"] == 0, os.strerror(seen["errno"])
    assert seen["mixed"] == 0
    assert seen["pairs"] > 10000 and seen["rotations"] >= 60 // period_s


def test_rotation_goes_on_under_another_worker(plain, readonly, folder):
    """The worker dies between a change and its switch, where pairs of two generations are read."""
    plain.mkdir()
    ro = readonly()
    with Readers(folder, ro.path(NAME), 20) as readers:
        for _ in range(2):
            new = Pair(Authority(), [NAME])
            put(plain, new)
            readers.all_go_on()
            plain.kill_worker("fs")
            readers.all_go_on()
            wait_for(lambda: ro.read(NAME, "cert.pem") == new.cert, "the new one is served")
            plain.kill_worker("fs")
            readers.all_go_on()
        assert readers.faults() == []


def test_several_live_side_by_side_and_one_that_is_unmounted_harms_none(plain, readonly):
    plain.mkdir()
    one, two = readonly(folder="one"), readonly(folder="two")
    assert one.read(NAME, "cert.pem") == two.read(NAME, "cert.pem")
    subprocess.run(["umount", one.mountpoint], check=True)
    assert os.listdir(one.mountpoint) == []
    assert two.read(NAME, "cert.pem") == plain.read(NAME, "cert.pem")
    plain.kill_worker("fs")
    assert two.read(NAME, "privkey.pem") == plain.read(NAME, "privkey.pem")


def test_death_of_the_worker_reaches_no_reader(plain, readonly, folder):
    plain.mkdir()
    ro = readonly()
    with Readers(folder, ro.path(NAME), 4) as readers:
        for _ in range(10):
            plain.kill_worker("fs")
            put(plain, Pair(Authority(), [NAME]))
            readers.all_go_on()
        assert readers.faults() == []


def test_stop_takes_them_away(plain, readonly):
    ro = readonly()
    assert plain.stop() == 0
    assert ro.mountpoint not in mounts()
    assert os.listdir(ro.mountpoint) == []


def test_mount_of_no_daemon_says_so(plain):
    ro = ReadOnly(plain, "ro")
    assert plain.stop() == 0
    done = ro.mount()
    assert done.returncode != 0
    assert plain.mountpoint in done.stderr
    assert ro.mountpoint not in mounts()


def test_mount_on_what_is_no_empty_folder_says_so(plain):
    ro = ReadOnly(plain, "ro")
    with open(ro.path("file"), "wb"):
        pass
    done = ro.mount()
    assert done.returncode != 0
    assert "not empty" in done.stderr
    assert plain.read("fallback", "cert.pem")


def test_mount_again_at_once_after_an_unmount(plain, readonly):
    plain.mkdir()
    ro = readonly()
    for _ in range(3):
        subprocess.run(["umount", ro.mountpoint], check=True)
        done = ro.mount()
        assert done.returncode == 0, done.stderr
        assert ro.read(NAME, "cert.pem") == plain.read(NAME, "cert.pem")
