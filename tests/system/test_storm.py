# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Everything at once while processes die: readers, writers, watchers and an order."""

import contextlib
import ctypes
import mmap
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from certificates import Authority, Pair
from front import Front
from mount import mounts
from ports import free_port
from waiting import LIMIT_S, wait_for

KILLS = int(os.environ.get("CERTFS_TEST_KILLS", "500"))
RELOADS = int(os.environ.get("CERTFS_TEST_RELOADS", "100"))
STOPPED_S = 3
READERS = 8
ROLES = ("fs", "net", "announce")
WRITTEN = ("app.example.com", "www.example.net")
NUMBERS = 65536
HELPER = os.path.join(os.environ["CERTFS_HELPERS"], "death_storm")


class Seen(ctypes.Structure):
    """death_storm.c has the same."""
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "pairs", "mixed", "failed", "failure", "behind", "back", "last", "events",
        "polled")]

    def faults(self):
        found = {name: getattr(self, name) for name in ("mixed", "failed", "behind", "back")
                 if getattr(self, name)}
        if self.failed:
            found["failure"] = os.strerror(self.failure)
        return found


class Board(ctypes.Structure):
    _fields_ = [("written", ctypes.c_uint64 * len(WRITTEN)),
                ("reader", Seen * 16), ("watcher", Seen * len(WRITTEN)),
                ("served", ctypes.c_uint8 * NUMBERS * len(WRITTEN))]


class Crowd:
    """The readers and watchers of death_storm.c."""

    def __init__(self, folder, directories):
        path = os.path.join(folder, "board")
        with open(path, "w+b") as file:
            file.truncate(ctypes.sizeof(Board))
            self.memory = mmap.mmap(file.fileno(), 0)
        self.board = Board.from_buffer(self.memory)
        self.command = [HELPER, path, str(READERS), *directories]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE)

    def end(self):
        """Whether all of them lived until now."""
        self.process.stdin.close()
        try:
            return self.process.wait(LIMIT_S) == 0
        finally:
            self.process.kill()
            self.process.wait()

    def readers(self):
        return self.board.reader[:READERS]

    def all_read(self, pairs):
        """Waits until each has begun that many pairs from now on, and finished them."""
        before = [r.pairs for r in self.readers()]
        wait_for(lambda: all(r.pairs > b + pairs for r, b in zip(self.readers(), before)),
                 "every reader goes on")

    def faults(self):
        everybody = [*self.readers(), *self.board.watcher]
        return [f for f in (one.faults() for one in everybody) if f]


class Writer(threading.Thread):
    """Copies one pair after the other into a directory; what cp says is what must hold."""

    def __init__(self, certfs, crowd, which, folder, files):
        super().__init__()
        self.certfs, self.crowd, self.which, self.files = certfs, crowd, which, files
        self.name_written = WRITTEN[which]
        self.source = os.path.join(folder, f"writer-{which}-")
        self.authority = Authority()
        self.number, self.good, self.failed, self.faults = 0, 0, [], []
        self.over = threading.Event()
        self.served = None

    def cp(self, file, content):
        path = self.source + file
        with open(path, "wb") as out:
            out.write(content)
        return subprocess.run(
            ["cp", path, self.certfs.path(self.name_written, file)], check=False,
            timeout=LIMIT_S, capture_output=True, text=True)

    def write(self):
        """Writes the next pair; whether that succeeded."""
        self.number += 1
        pair = Pair(self.authority, [self.name_written], serial=self.number)
        contents = {"combined.pem": pair.combined, "privkey.pem": pair.key,
                    "fullchain.pem": pair.fullchain}
        for file in self.files:
            done = self.cp(file, contents[file])
            if done.returncode != 0:
                if os.strerror(5) not in done.stderr:
                    self.faults.append(done.stderr)
                self.failed.append(self.number)
                break
        else:
            self.good += 1
            self.served = contents
            self.crowd.board.written[self.which] = self.number
        for file, content in (self.served or {}).items():
            if self.certfs.read(self.name_written, file) != content:
                self.faults.append(f"{file} after write {self.number} "
                                   f"({done.returncode}) is not what was written")
        return done.returncode == 0

    def run(self):
        try:
            while not self.over.is_set():
                self.write()
        except Exception as error:  # pylint: disable=broad-except
            self.faults.append(repr(error))

    def end(self):
        self.over.set()
        if self.is_alive():
            self.join()


class Orderer(threading.Thread):
    """An order under way at any time.

    A CA has no way to say that it has made an order but its answer to newOrder (RFC 8555
    §7.4): while that is on its way nothing is killed. From then on anything may die."""

    def __init__(self, certfs, calm, lives):
        super().__init__()
        self.certfs, self.calm, self.lives = certfs, calm, lives
        self.names, self.faults = [], []
        self.over = threading.Event()

    def is_stored(self, name):
        status = self.certfs.status(name)
        return status["serves"]["source"] == "managed" or \
            (status["order"] or {}).get("url")

    def order(self):
        name = f"n{len(self.names)}.example.com"
        with self.calm:
            wait_for(self.lives.all_serve, "all workers serve")
            self.certfs.mkdir(name)
            self.names.append(name)
            wait_for(lambda: self.is_stored(name), f"the order for {name} is stored")
        self.certfs.wait_for_source(name, "managed")

    def run(self):
        try:
            while not self.over.is_set():
                self.order()
        except Exception as error:  # pylint: disable=broad-except
            self.faults.append(repr(error))

    def end(self):
        self.over.set()
        if self.is_alive():
            self.join()


class Lives:
    """What became of each worker, by the log: how often it served, and whether it does."""

    LINE = re.compile(r" the (\w+) worker (starts|serves|was killed|ended)")

    def __init__(self, certfs):
        self.file = open(certfs.log, encoding="utf-8", errors="replace")
        self.rest, self.lock = "", threading.Lock()
        self.served, self.died = dict.fromkeys(ROLES, 0), dict.fromkeys(ROLES, 0)
        self.last = {}

    def look(self):
        with self.lock:
            text = self.rest + self.file.read()
            whole, _, self.rest = text.rpartition("\n")
            for role, what in self.LINE.findall(whole):
                self.last[role] = what
                self.served[role] += what == "serves"
                self.died[role] += what in ("was killed", "ended")
        return self

    def all_serve(self):
        return set(self.look().last.values()) == {"serves"}

    def close(self):
        self.file.close()


def worker_of(certfs, role):
    """Its pid, if it lives; faster than ps."""
    with open(f"/proc/{certfs.pid}/task/{certfs.pid}/children", encoding="ascii") as file:
        for pid in file.read().split():
            with contextlib.suppress(OSError), \
                    open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                comm, _, rest = stat.read().partition("(")[2].rpartition(")")
                if comm == f"certfs: {role}"[:15] and rest.split()[0] not in "ZX":
                    return int(pid)
    return None


class Storm:
    def __init__(self, certfs, ca, folder):
        self.certfs, self.ca = certfs, ca
        self.calm = threading.Lock()
        self.mount = mounts()[certfs.mountpoint]
        directories = [certfs.mkdir(name) for name in WRITTEN]
        self.crowd = Crowd(folder, directories)
        self.writers = [
            Writer(certfs, self.crowd, 0, folder, ["combined.pem"]),
            Writer(certfs, self.crowd, 1, folder, ["privkey.pem", "fullchain.pem"])]
        self.lives = Lives(certfs)
        self.orderer = Orderer(certfs, self.calm, self.lives)

    def __enter__(self):
        for name in WRITTEN:
            self.certfs.wait_for_source(name, "managed")  # ordered once, and no more
        for writer in self.writers:
            assert writer.write(), "without a storm a write succeeds"
        self.crowd.start()
        self.crowd.all_read(10)
        for thread in (*self.writers, self.orderer):
            thread.start()
        return self

    def __exit__(self, *_):
        for thread in (*self.writers, self.orderer):
            thread.end()
        if self.crowd.process.poll() is None:
            self.crowd.end()
        self.lives.close()

    def go_on(self):
        for thread in (*self.writers, self.orderer):
            assert thread.faults == []
        assert not self.crowd.faults()

    def all_serve(self):
        wait_for(self.lives.all_serve, "all workers serve")
        self.crowd.all_read(2)

    def watchers_know(self):
        board = self.crowd.board
        wait_for(lambda: [w.last for w in board.watcher] == list(board.written),
                 "the watchers have read what was written last")

    def check(self):
        """Ends it; what must hold now."""
        for thread in (*self.writers, self.orderer):
            thread.end()
            assert thread.faults == []
        self.all_serve()
        self.watchers_know()
        for writer in self.writers:
            assert writer.write()
        self.watchers_know()
        self.crowd.all_read(2)
        readers, watchers = self.crowd.readers(), self.crowd.board.watcher
        print(f"{sum(r.pairs for r in readers)} pairs read; writes that succeeded: "
              f"{[w.good for w in self.writers]}, that failed: "
              f"{[len(w.failed) for w in self.writers]}; orders: {self.ca.orders()}; "
              f"events: {[w.events for w in watchers]}, news that none told: "
              f"{[w.polled for w in watchers]}")
        assert self.crowd.faults() == []
        for which, writer in enumerate(self.writers):
            assert [n for n in writer.failed if self.crowd.board.served[which][n]] == [], \
                "a write that failed was served"
            assert writer.good > 10
        assert self.ca.orders() == len(WRITTEN) + len(self.orderer.names)
        assert len(self.orderer.names) > 1
        assert mounts()[self.certfs.mountpoint] == self.mount
        assert self.crowd.end(), "a reader or watcher ended by itself"


@pytest.fixture
def storm(certfs, pebble, folder):
    """A storm around a certfs that orders; a validation takes up to three seconds."""
    ca, listen = pebble(env={"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "3"}), \
        free_port()
    front = Front(ca.http_port, listen)
    daemon = certfs(acme=ca.settings(), http_01={"listen": f"127.0.0.1:{listen}"})
    try:
        with Storm(daemon, ca, folder) as one:
            yield one
    finally:
        front.close()


def kill(storm, chance, role):
    """Kills that worker at a moment that readers and chance choose."""
    if chance.random() < 0.5:
        storm.crowd.all_read(chance.randrange(20))
    with storm.calm:
        lives = storm.lives.look()
        pid = wait_for(lambda: worker_of(storm.certfs, role), f"there is a {role} worker")
        served, died = lives.served[role], lives.died[role]
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: lives.look().died[role] > died, "its death is noticed")
        if chance.random() < 0.25:
            wait_for(lambda: lives.look().served[role] > served,
                     f"another {role} worker serves")


def test_storm_of_kills_is_noticed_by_nobody(storm):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}, {KILLS} kills")
    chance = random.Random(seed)
    storm.certfs.expect(r"worker was killed by signal 9 ")
    for _ in range(KILLS):
        kill(storm, chance, chance.choice(ROLES))
        storm.go_on()
    storm.check()


def test_storm_of_reloads_is_noticed_by_nobody(storm):
    for _ in range(RELOADS):
        with storm.calm:
            done = storm.certfs.command("reload", storm.certfs.mountpoint)
        assert done.returncode == 0, done.stderr
        storm.go_on()
    storm.check()


@pytest.mark.parametrize("role", ["net", "announce"])
def test_stopped_worker_delays_nobody(storm, role):
    wait_for(lambda: len(storm.orderer.names) > 1, "orders go on")
    storm.orderer.end()  # orders are what net is for
    os.kill(storm.certfs.worker(role), signal.SIGSTOP)
    try:
        written = list(storm.crowd.board.written)
        end = time.monotonic() + STOPPED_S
        while time.monotonic() < end:
            storm.crowd.all_read(10)
        wait_for(lambda: all(now > before + 3 for now, before in
                             zip(storm.crowd.board.written, written)),
                 "every writer goes on")
        storm.go_on()
    finally:
        os.kill(storm.certfs.worker(role), signal.SIGCONT)
    assert not any(writer.failed for writer in storm.writers)
    storm.check()
