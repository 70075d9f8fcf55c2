# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Supervisor and workers: who they are, and what happens when they die."""

import contextlib
import errno
import grp
import os
import pwd
import re
import signal
import subprocess

import pytest

from certificates import belong_together
from mount import mounts
from readers import Readers
from waiting import LIMIT_S, wait_for

HELPERS = os.environ["CERTFS_HELPERS"]
NAME = "app.example.com"


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def open_files(pid):
    folder = f"/proc/{pid}/fd"
    return [os.readlink(os.path.join(folder, number)) for number in os.listdir(folder)]


def is_alive(pid):
    """Its first thread may be dead while others still close what it held."""
    try:
        status = status_of(pid)
        return status["State"][0] not in "ZX" or int(status["Threads"]) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


# Names, users, secrets

def test_workers_have_names_and_users_of_their_own(plain):
    fs, net = plain.worker("fs"), plain.worker("net")
    ids = {pid: set(status_of(pid)["Uid"].split()) for pid in (plain.pid, fs, net)}
    assert ids[plain.pid] == {"0"}
    assert ids[fs] == {str(pwd.getpwnam("certfs").pw_uid)}
    assert ids[net] == {str(pwd.getpwnam("certfs-net").pw_uid)}


@pytest.mark.parametrize("role", ["fs", "net"])
def test_workers_have_no_capability_and_gain_none(plain, role):
    wait_for(lambda: plain.times_served(role), f"the {role} worker serves")
    status = status_of(plain.worker(role))
    for kind in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_net_worker_has_no_store_and_no_group_of_keys(plain):
    net = plain.worker("net")
    assert not [f for f in open_files(net) if f.startswith(plain.store)]
    with open(f"/proc/{net}/maps", encoding="utf-8") as file:
        assert plain.store not in file.read()
    groups = status_of(net)["Groups"].split()
    assert str(grp.getgrnam("ssl-cert").gr_gid) not in groups
    assert not [f for f in open_files(net) if "fuse" in f]


def test_store_is_closed_to_others(plain):
    assert os.stat(plain.store).st_mode & 0o7777 == 0o700
    assert os.stat(plain.store).st_uid == pwd.getpwnam("certfs").pw_uid


# The fs worker's death

def test_forty_kills_are_noticed_by_no_reader(plain, folder):
    directory = plain.mkdir(NAME)
    mount_id = mounts()[plain.mountpoint]
    with Readers(folder, directory, 8) as readers:
        for _ in range(40):
            plain.kill_worker("fs")
            readers.all_go_on()
        assert mounts()[plain.mountpoint] == mount_id
        assert readers.faults() == []


def test_change_in_flight_is_answered_by_the_next_worker(plain):
    names = [f"d{i}.example.com" for i in range(20)]
    with subprocess.Popen(["mkdir", *map(plain.path, names)], stderr=subprocess.PIPE,
                          text=True) as mkdir:
        for _ in range(5):
            plain.kill_worker("fs")
        assert mkdir.wait(LIMIT_S) == 0, mkdir.stderr.read()
    for name in names:
        assert belong_together(plain.read(name, "cert.pem"), plain.read(name, "privkey.pem"))


@pytest.fixture
def write_lock(plain):
    """Holds the store's write lock until release() is called: changes wait."""
    holder = subprocess.Popen([os.path.join(HELPERS, "hold_lock"), plain.store],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def release():
        holder.stdin.close()
        assert holder.wait(LIMIT_S) == 0
    assert holder.stdout.readline() == "held\n"
    yield release
    holder.kill()
    holder.wait()


@contextlib.contextmanager
def holding(directory):
    """Holds the kernel's lock of a directory until release() is called: the caches are not
    told what changed in it, and whoever tells them can't be killed."""
    with subprocess.Popen([os.path.join(HELPERS, "hold_directory"), directory],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        def release():
            holder.stdin.close()
            assert holder.wait(LIMIT_S) == 0
        try:
            assert holder.stdout.readline() == "held\n"
            yield release
        finally:
            holder.kill()


def threads_beyond_signals(pid):
    """Names of those that wait in the kernel where no signal reaches them."""
    found = []
    for tid in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), \
                open(f"/proc/{pid}/task/{tid}/stat", encoding="utf-8") as file:
            name, _, rest = file.read().partition("(")[2].rpartition(")")
            if rest.split()[0] == "D":
                found.append(name)
    return found


def test_lifeline_of_the_fs_worker_ends_with_it_alone(plain):
    """A table of descriptors that another thread shares closes with the last of them."""
    fs, threads = plain.worker("fs"), {}
    wait_for(lambda: plain.times_served("fs"), "the fs worker serves")
    for tid in os.listdir(f"/proc/{fs}/task"):
        with open(f"/proc/{fs}/task/{tid}/comm", encoding="utf-8") as file:
            threads[file.read().strip()] = open_files(f"{fs}/task/{tid}")
    pipe, = threads.pop("certfs: life")
    assert pipe.startswith("pipe:")
    assert not [name for name, files in threads.items() if pipe in files]
    assert open_files(plain.pid).count(pipe) == 1  # the other end


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGUSR2])
def test_worker_that_cannot_be_reaped_is_replaced(plain, pairs, how):
    """At once, while a thread of it still waits; the log says how it died, and no error."""
    source, other = pairs / "0.pem", "other.example.com"
    directory = plain.mkdir(NAME)
    plain.mkdir(other)
    dead = []
    with holding(directory) as release, \
            subprocess.Popen(["cp", source, plain.path(NAME, "combined.pem")]) as cp:
        for _ in range(3):
            dead.append(plain.worker("fs"))
            wait_for(lambda: threads_beyond_signals(dead[-1]) == ["certfs: notify"],
                     "the caches of a directory are told while its lock is held")
            plain.kill_worker("fs", how)
            assert belong_together(plain.read(other, "cert.pem"),
                                   plain.read(other, "privkey.pem"))
        for pid in dead:
            assert threads_beyond_signals(pid) == ["certfs: notify"]
        release()
        assert cp.wait(LIMIT_S) == 0
    wait_for(lambda: not [pid for pid in dead if os.path.exists(f"/proc/{pid}")],
             "the dead are reaped once the lock is free")


def mkdirs(certfs):
    """How many mkdir(2) a worker has taken up. A process in mkdir(2) may still look names up."""
    found = re.search(r'certfs_requests_total\{operation="mkdir"\} (\d+)',
                      certfs.read(".certfs", "metrics").decode())
    return int(found.group(1))


@contextlib.contextmanager
def mkdir_that_waits(certfs, name):
    before = mkdirs(certfs)
    with subprocess.Popen(["mkdir", certfs.path(name)], stderr=subprocess.PIPE,
                          text=True) as process:
        try:
            wait_for(lambda: mkdirs(certfs) > before, "mkdir waits for the store")
            yield process
        finally:
            process.kill()


@pytest.fixture
def crashing(certfs):
    """Crashes are the kernel's here, not the sanitizer's to report."""
    return certfs(env={"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:handle_segv=0"})


class TestDeathsOnOneRequest:
    @pytest.fixture
    def plain(self, crashing):
        return crashing

    def test_third_death_on_one_request_answers_eio(self, plain, write_lock):
        plain.expect(r"has ended 3 workers and is answered with an error")
        with mkdir_that_waits(plain, NAME) as mkdir:
            for _ in range(3):
                assert mkdir.poll() is None
                plain.kill_worker("fs", signal.SIGSEGV)
            write_lock()
            assert mkdir.wait(LIMIT_S) == 1
            assert os.strerror(errno.EIO) in mkdir.stderr.read()
        assert plain.answers()
        assert NAME not in os.listdir(plain.mountpoint)

    def test_two_deaths_on_one_request_are_forgiven(self, plain, write_lock):
        with mkdir_that_waits(plain, NAME) as mkdir:
            for _ in range(2):
                plain.kill_worker("fs", signal.SIGSEGV)
            assert mkdir.poll() is None
            write_lock()
            assert mkdir.wait(LIMIT_S) == 0, mkdir.stderr.read()
        assert belong_together(plain.read(NAME, "cert.pem"), plain.read(NAME, "privkey.pem"))


# The net worker's death

def test_killed_net_worker_goes_on_with_its_order(gated):
    certfs, ca, gate = gated()
    certfs.mkdir(NAME)
    wait_for(lambda: gate.arrived, "the CA has asked for the token")
    certfs.kill_worker("net")
    gate.open.set()
    certfs.wait_for_source(NAME, "managed")
    assert ca.orders() == 1


def test_killed_fs_worker_goes_on_with_its_order(gated):
    certfs, ca, gate = gated()
    certfs.mkdir(NAME)
    wait_for(lambda: gate.arrived, "the CA has asked for the token")
    certfs.kill_worker("fs")
    gate.open.set()
    certfs.wait_for_source(NAME, "managed")
    assert ca.orders() == 1


def test_restart_in_mid_order_goes_on_with_it(gated):
    certfs, ca, gate = gated()
    certfs.mkdir(NAME)
    wait_for(lambda: gate.arrived, "the CA has asked for the token")
    certfs.restart()
    gate.open.set()
    certfs.wait_for_source(NAME, "managed")
    assert ca.orders() == 1
    assert ca.requests("sign-me-up") <= 2


# The supervisor's end

def test_sigterm_leaves_nothing(plain):
    plain.mkdir(NAME)
    pids = [plain.pid, *plain.children().values()]
    before = os.stat(os.path.dirname(plain.mountpoint)).st_mode
    assert plain.stop() == 0
    assert not plain.is_mounted()
    assert not [pid for pid in pids if is_alive(pid)]
    assert os.listdir(plain.mountpoint) == []
    assert os.stat(os.path.dirname(plain.mountpoint)).st_mode == before
    assert plain.start().read(NAME, "cert.pem")


def test_sigterm_under_readers_ends_all_the_same(plain, folder):
    directory = plain.mkdir(NAME)
    with Readers(folder, directory, 4):
        assert plain.stop() == 0
    assert not plain.is_mounted()


def test_mount_cleans_up_after_a_killed_supervisor(plain):
    directory = plain.mkdir(NAME)
    before = plain.read(NAME, "cert.pem")
    workers = plain.children().values()
    plain.process.kill()
    plain.process.wait()
    wait_for(lambda: not any(map(is_alive, workers)), "the workers end with the supervisor")
    with pytest.raises(OSError) as error:
        os.listdir(directory)
    assert error.value.errno == errno.ENOTCONN
    plain.start()
    assert plain.read(NAME, "cert.pem") == before
    assert len([m for m in mounts() if m == plain.mountpoint]) == 1


def test_worker_that_is_told_to_end_is_replaced(plain, folder):
    directory = plain.mkdir(NAME)
    with Readers(folder, directory, 2) as readers:
        plain.kill_worker("fs", signal.SIGTERM)
        readers.all_go_on()
        assert readers.faults() == []


def test_hanging_worker_is_replaced(certfs, folder):
    daemon = certfs(certfs={"store": os.path.join(folder, "store"), "log-level": "debug",
                            "hang-limit": "2"})
    daemon.expect(r"hang|answer|stop|kill|requests wait")
    daemon.mkdir(NAME)
    fs = daemon.worker("fs")
    os.kill(fs, signal.SIGSTOP)
    assert subprocess.run(["ls", daemon.mountpoint], check=True, timeout=LIMIT_S,
                          capture_output=True).stdout
    assert daemon.worker("fs") != fs


def test_mountpoint_that_is_not_empty_is_refused(certfs):
    daemon = certfs(start=False)
    with open(daemon.path("something"), "w", encoding="utf-8"):
        pass
    assert "empty" in daemon.refuses_to_start()


def test_background_mount_answers_when_the_command_returns(certfs):
    daemon = certfs(start=False)
    done = daemon.command("mount", "-c", daemon.config, daemon.mountpoint)
    try:
        assert done.returncode == 0, done.stderr
        assert daemon.is_mounted()
        assert "fallback" in os.listdir(daemon.mountpoint)
    finally:
        subprocess.run(["umount", daemon.mountpoint], check=True)
