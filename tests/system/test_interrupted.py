# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Writers that end, or whose worker ends, between any two of their steps; a full scratch
space; writers that come together. What is served is the old pair or the new one, whole; and
who was told of success has installed."""

import contextlib
import errno
import itertools
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from certificates import Authority, Pair
from mount import SERVED
from tracing import calls, killed_at, stopped_after
from waiting import LIMIT_S, wait_for

NAME = "app.example.com"


class Story:
    """A directory with a custom pair, and another pair that is about to come."""

    def __init__(self, certfs, folder):
        self.certfs, self.authority, self.folder = certfs, Authority(), folder
        self.source = os.path.join(folder, "new.pem")
        self.target = os.path.join(certfs.mkdir(NAME), "combined.pem")
        self.count = itertools.count()
        self.old = self.new = None
        self.install()

    def pair(self):
        """Of a size of its own each: rsync compares size and time."""
        pair = Pair(self.authority, [NAME])
        pair.combined = b"#" * next(self.count) + b"\n" + pair.combined
        return pair

    def install(self):
        self.old = self.pair()
        with open(self.target, "wb") as file:
            file.write(self.old.combined)
        self.prepare()

    def prepare(self):
        self.new = self.pair()
        with open(self.source, "wb") as file:
            file.write(self.new.combined)

    def whole(self):
        """Which pair is served; it is one of both, in each of its files."""
        served = {file: self.certfs.read(NAME, file) for file in SERVED}
        pair = self.new if served["cert.pem"] == self.new.cert else self.old
        assert served == {"cert.pem": pair.cert, "chain.pem": pair.chain,
                          "fullchain.pem": pair.fullchain, "privkey.pem": pair.key,
                          "combined.pem": pair.combined}
        assert self.certfs.status(NAME)["waiting"] == []
        return pair

    def judge(self, status, what):
        """After the writer's end."""
        pair = self.whole()
        if status == 0:
            assert pair is self.new, f"a success that isn't one: {what}"
        if pair is self.new:
            self.old = self.new
            self.prepare()
        return pair

    def cp(self):
        return ["cp", self.source, self.target]

    def cp_p(self):
        return ["cp", "-p", self.source, self.target]

    def rsync(self):
        return ["rsync", "-t", self.source, self.target]

    def rsync_delayed(self):
        """By way of a folder."""
        return ["rsync", "-t", "--delay-updates", self.source, self.target]

    def sed(self):
        """Replaces the whole text by another file's."""
        return ["sed", "-i", "-e", f"1r {self.source}", "-e", "1,$d", self.target]


@pytest.fixture
def story(plain, folder):
    return Story(plain, folder)


# The writer is killed

@pytest.mark.parametrize("how", ["cp", "cp_p", "rsync", "rsync_delayed", "sed"])
def test_writer_killed_at_each_of_its_calls_leaves_a_whole_pair(story, folder, how):
    command = getattr(story, how)
    # rsync's processes mostly talk to each other.
    on = f"{story.source}|{story.certfs.mountpoint}" if how.startswith("rsync") else ""
    steps = calls(command(), folder, "new.pem", on)
    story.judge(0, "undisturbed")
    installed = []
    for call in steps:
        before = story.new
        status = killed_at(command(), folder, call)
        installed.append(story.judge(status, call) is before)
    # The kill comes before its call: what is installed was before the last ones.
    assert not installed[0] and len(steps) >= 5
    # Nothing is left that would be in the way of the next one.
    story.prepare()
    subprocess.run(command(), check=True, timeout=LIMIT_S)
    story.judge(0, "after all")


WRITE_AND_DIE = """
import os, signal, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.write(fd, sys.stdin.buffer.read())
os.kill(os.getpid(), int(sys.argv[2]))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("file", ["combined.pem", "policy"])
def test_what_looks_whole_when_its_writer_is_killed_counts_for_nothing(story, file, how):
    """Key and leaf are a pair, though the chain was still to come."""
    data = story.new.key + story.new.cert if file == "combined.pem" else b"keep = 5\n"
    policy = story.certfs.read(NAME, "policy")
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE,
                           story.certfs.path(NAME, file), str(int(how))], input=data,
                          check=False, timeout=LIMIT_S)
    assert done.returncode == -how
    status = story.certfs.wait_for_status(NAME, lambda s: s["refused"], "tells of it")
    assert f"{file} was left unfinished by its writer" in status["refused"]["text"]
    assert story.whole() is story.old
    assert story.certfs.read(NAME, "policy") == policy


def test_policy_that_was_only_emptied_when_its_writer_is_killed_stays(story):
    with open(story.certfs.path(NAME, "policy"), "wb") as file:
        file.write(b"keep = 5\n")
    before = story.certfs.read(NAME, "policy")
    done = subprocess.run([sys.executable, "-c", WRITE_AND_DIE,
                           story.certfs.path(NAME, "policy"), str(int(signal.SIGKILL))],
                          input=b"", check=False, timeout=LIMIT_S)
    assert done.returncode == -signal.SIGKILL
    # Another write is done after whatever its end has left to be done.
    story.judge(subprocess.run(story.cp(), check=False, timeout=LIMIT_S).returncode, "cp")
    assert story.certfs.read(NAME, "policy") == before


# The worker is killed

@pytest.mark.parametrize("how", ["cp", "cp_p", "rsync", "rsync_delayed", "sed"])
def test_worker_killed_after_each_call_of_a_writer_leaves_a_whole_pair(story, folder, how):
    command = getattr(story, how)
    steps = calls(command(), folder, "new.pem", story.certfs.mountpoint)
    story.judge(0, "undisturbed")
    ends, stops = set(), 0
    for call in steps:
        before = story.new
        status, stopped = stopped_after(command(), folder, call,
                                        lambda: story.certfs.kill_worker("fs"))
        stops += stopped
        ends.add((status == 0, story.judge(status, call) is before))
    assert stops > len(steps) / 2
    # Some kills cost what was in work, others came before it or after its end.
    assert {(True, True), (False, False)} <= ends
    story.prepare()
    subprocess.run(command(), check=True, timeout=LIMIT_S)
    story.judge(0, "after all")


def test_worker_killed_after_each_call_leaves_one_policy_or_the_other(story, folder):
    new, keep = os.path.join(folder, "new.policy"), 2
    target = story.certfs.path(NAME, "policy")

    def prepare():
        with open(new, "w", encoding="utf-8") as file:
            file.write(f"keep = {keep}\nbefore = {keep}\n")

    def found():
        text = story.certfs.read(NAME, "policy").decode()
        return [int(n) for n in re.findall(r"^(?:keep|before) = (\d+)$", text, re.MULTILINE)]
    prepare()
    steps = calls(["cp", new, target], folder, "new.policy", story.certfs.mountpoint)
    assert found() == [keep, keep]
    for call in steps:
        old, keep = found(), keep + 1
        prepare()
        status, _ = stopped_after(["cp", new, target], folder, call,
                                  lambda: story.certfs.kill_worker("fs"))
        assert found() == [keep, keep] or (status != 0 and found() == old), call


def fails(function, *args):
    with pytest.raises(OSError) as error:
        function(*args)
    return error.value.errno


def in_the_middle(certfs, path, data):
    """A file that is being written while its worker dies."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    assert os.write(fd, data) == len(data)
    certfs.kill_worker("fs")
    return fd


@pytest.mark.parametrize("file", ["combined.pem", "policy", "new.tmp"])
@pytest.mark.parametrize("next_one", ["write", "pwrite", "fsync", "ftruncate", "close"])
def test_what_was_being_written_is_eio_at_its_next_operation(story, file, next_one):
    # Whole, it would count at the close of any process that is forked meanwhile.
    data = story.new.combined[:-9] if file == "combined.pem" else b"keep = 5"
    policy = story.certfs.read(NAME, "policy")
    fd = in_the_middle(story.certfs, story.certfs.path(NAME, file), data)
    later = {"write": (os.write, fd, data), "pwrite": (os.pwrite, fd, data, 0),
             "fsync": (os.fsync, fd), "ftruncate": (os.ftruncate, fd, 0)}.get(next_one)
    if later:
        assert fails(*later) == errno.EIO
    assert fails(os.close, fd) == errno.EIO
    assert story.whole() is story.old
    assert story.certfs.read(NAME, "policy") == policy
    assert not os.path.exists(story.certfs.path(NAME, "new.tmp"))


def test_scratch_file_of_a_dead_worker_is_not_its_successors(story):
    """A process that still has it open neither reads nor writes the next one's."""
    fd = in_the_middle(story.certfs, story.certfs.path(NAME, "first"), b"first")
    other = os.open(story.certfs.path(NAME, "second"), os.O_RDWR | os.O_CREAT, 0o600)
    os.write(other, b"second")
    assert fails(os.write, fd, b"FIRST") == errno.EIO
    assert fails(os.close, fd) == errno.EIO
    assert os.pread(other, 100, 0) == b"second"
    os.close(other)


def test_finished_scratch_file_is_lost_with_its_worker_and_its_rename_fails(story):
    path = story.certfs.path(NAME, "new.tmp")
    with open(path, "wb") as file:
        file.write(story.new.combined)
    story.certfs.kill_worker("fs")
    assert fails(os.rename, path, story.target) == errno.ENOENT
    assert story.whole() is story.old


# No room

@contextlib.contextmanager
def full_scratch_space(certfs):
    """Root's share of it is used up but for some bytes."""
    made = []
    with pytest.raises(OSError) as full:
        while True:
            made.append(certfs.path("full.example.com", f"fill{len(made)}"))
            with open(made[-1], "wb", buffering=0) as file:
                while file.tell() < 1 << 20:
                    file.write(b"x" * min(1 << 16, (1 << 20) - file.tell()))
    assert full.value.errno == errno.EDQUOT
    yield
    for path in made:
        os.unlink(path)


@pytest.mark.parametrize("how", ["rsync", "rsync_delayed", "sed"])
def test_full_scratch_space_fails_the_writer_and_the_old_pair_stays(story, how):
    command = getattr(story, how)
    story.certfs.mkdir("full.example.com")
    with full_scratch_space(story.certfs):
        done = subprocess.run(command(), check=False, timeout=LIMIT_S,
                              stderr=subprocess.PIPE)
        assert done.returncode != 0 and b"Disk quota exceeded" in done.stderr
        assert story.whole() is story.old
        # Who writes to the name itself needs none.
        done = subprocess.run(story.cp(), check=False, timeout=LIMIT_S)
        assert done.returncode == 0
        story.judge(0, "cp")
    subprocess.run(command(), check=True, timeout=LIMIT_S)
    story.judge(0, "with room again")


# All at once

WRITERS = 64


def test_last_close_of_many_writers_wins(story):
    pairs = [story.pair() for _ in range(WRITERS)]
    opened = [os.open(story.target, os.O_WRONLY | os.O_TRUNC) for _ in pairs]
    for fd, pair in zip(opened, pairs):
        half = len(pair.combined) // 2
        assert os.write(fd, pair.combined[:half]) == half
    for fd, pair in zip(reversed(opened), reversed(pairs)):
        assert os.write(fd, pair.combined[len(pair.combined) // 2:])
    assert story.whole() is story.old
    # Any order but that of the opens and that of the writes.
    for i in sorted(range(WRITERS), key=lambda i: (i * 37) % WRITERS):
        os.close(opened[i])
        story.new = pairs[i]
        assert story.whole() is story.new
        story.old = story.new


def test_writers_at_the_same_time_leave_one_of_their_pairs_whole(story, folder):
    pairs = [story.pair() for _ in range(WRITERS)]
    begin, closes = threading.Barrier(WRITERS), [None] * WRITERS

    def write(i):
        begin.wait()
        fd = os.open(story.target, os.O_WRONLY | os.O_TRUNC)
        data = pairs[i].combined
        for at in range(0, len(data), 500):
            os.pwrite(fd, data[at:at + 500], at)
        from_s = time.monotonic()
        os.close(fd)
        closes[i] = (from_s, time.monotonic())

    threads = [threading.Thread(target=write, args=(i,)) for i in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT_S)
    assert None not in closes
    cert = story.certfs.read(NAME, "cert.pem")
    winner = next(i for i, pair in enumerate(pairs) if pair.cert == cert)
    story.new = pairs[winner]
    assert story.whole() is story.new
    # Nobody's close began after the winner's had ended.
    assert max(began for began, _ in closes) <= closes[winner][1]


def test_writers_by_rename_at_the_same_time_leave_one_of_their_pairs_whole(story, folder):
    """Processes, each with a scratch file of its own."""
    count = 32
    pairs = [story.pair() for _ in range(count)]
    script = 'cat "$0" > "$1.$2" && mv "$1.$2" "$1"'
    sources = []
    for i, pair in enumerate(pairs):
        sources.append(os.path.join(folder, f"{i}.pem"))
        with open(sources[-1], "wb") as file:
            file.write(pair.combined)
    writers = [subprocess.Popen(["sh", "-c", script, source, story.target, str(i)])
               for i, source in enumerate(sources)]
    assert [writer.wait(LIMIT_S) for writer in writers] == [0] * count
    cert = story.certfs.read(NAME, "cert.pem")
    story.new = next(pair for pair in pairs if pair.cert == cert)
    assert story.whole() is story.new
    wait_for(lambda: len(os.listdir(story.certfs.path(NAME))) == len(SERVED) + 3,
             "no scratch file is left")
