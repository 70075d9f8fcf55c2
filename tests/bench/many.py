# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What a million domains cost beside an empty store, or one of a thousand."""

import contextlib
import itertools
import os
import re
import statistics
import subprocess
import time

from certificates import Authority, Pair
from measuring import HELPERS, in_turn, timed
from mount import Certfs
from places import disk
from table import QUIETLY

READS = 100 # so few that hardly any of a thousand is drawn twice
NAME = "d0000000.example.com"


class Filled(Certfs):
    """A store with domains, as mkdir and the engine leave them, stopped."""

    def __init__(self, folder, count):
        path = os.path.join(folder, f"with-{count}")
        os.mkdir(path, 0o755)
        super().__init__(path, certfs=QUIETLY)
        self.count = count
        self.start()
        self.stop()
        if count:
            subprocess.run([os.path.join(HELPERS, "make_domains"), self.store, str(count)],
                           check=True)

    def first_byte(self):
        """Milliseconds from its start until somebody has read a byte."""
        path = self.path(NAME if self.count else "fallback", "cert.pem")
        begun = time.perf_counter()
        self.launch()
        while not self._has_read(path):
            assert self.is_running(), self.tail()
            time.sleep(0.0005)
        return 1000 * (time.perf_counter() - begun)

    @staticmethod
    def _has_read(path):
        try:
            with open(path, "rb", buffering=0) as file:
                return len(file.read(1)) == 1
        except FileNotFoundError:
            return False

    def start_and_stop(self):
        taken = self.first_byte()
        self.stop()
        return taken

    def memory(self):
        """MiB that the fs worker holds itself. The pages of the store that it has mapped
        are the kernel's page cache, there with or without it."""
        with open(f"/proc/{self.worker('fs')}/status", encoding="utf-8") as file:
            text = file.read()
        return sum(int(kib) for kib in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", text)) / 1024

    def random_reads(self, reads, seed):
        """Microseconds that one takes."""
        out = subprocess.run([os.path.join(HELPERS, "random_reader"), self.mountpoint,
                              str(self.count), str(reads), str(seed)], check=True,
                             stdout=subprocess.PIPE).stdout
        return int(out) / 1000

    def list_names(self):
        """Microseconds a name."""
        taken = timed(lambda: subprocess.run(f"ls {self.mountpoint} | wc -l", shell=True,
                                             check=True, stdout=subprocess.DEVNULL))
        return 1e6 * taken / (self.count + 1)


def measure_start(scale, table, stores):
    table.add("start to the first byte", "ms", in_turn(scale.turns, {
        name: store.start_and_stop for name, store in stores.items()}))
    memory = {}
    for name, store in stores.items():
        store.first_byte()
        memory[name] = store.memory()
        store.stop()
    table.add("memory of the fs worker", "MiB", memory)


def measure_reads(scale, table, stores):
    """The kernel knows none of the domains at first, then those that are read again."""
    seeds = {name: itertools.count() for name in stores}
    again = {name: [] for name in stores}

    def first(name, store):
        seed = next(seeds[name])
        store.first_byte()
        taken = store.random_reads(READS, seed)
        again[name].append(store.random_reads(READS, seed))
        store.stop()
        return taken
    table.add("open+read+close, never read before", "µs", in_turn(scale.turns, {
        name: lambda name=name, store=store: first(name, store)
        for name, store in stores.items()}))
    table.add("open+read+close of the same again", "µs", {
        name: statistics.median(values[1:]) for name, values in again.items()})
    for store in stores.values():
        store.first_byte()
    table.add("open+read+close of any domain", "µs", in_turn(scale.turns, {
        name: lambda name=name, store=store: store.random_reads(50 * READS,
                                                                next(seeds[name]))
        for name, store in stores.items()}))


def measure_listing(table, stores):
    before = {name: store.memory() for name, store in stores.items()}
    table.add("ls | wc -l, each name", "µs", in_turn(3, {
        name: store.list_names for name, store in stores.items()}))
    for name, store in stores.items():
        grown = store.memory() - before[name]
        table.note(f"after listing {name} domains the fs worker holds {grown:.1f} MiB more")


class Changes:
    """mkdir, rmdir and cp, each on disk when it returns."""

    def __init__(self, root, contents, on_disk):
        self.root, self.on_disk = root, on_disk
        self.contents = itertools.cycle(contents)
        os.makedirs(os.path.join(root, NAME), exist_ok=True)

    def _sync(self, folder):
        if not self.on_disk:
            return
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(fd)
        os.close(fd)

    def mkdir(self, name):
        os.mkdir(os.path.join(self.root, name))
        self._sync(self.root)

    def rmdir(self, name):
        os.rmdir(os.path.join(self.root, name))
        self._sync(self.root)

    def copy(self, _):
        folder = os.path.join(self.root, NAME)
        target = os.path.join(folder, "combined.pem")
        path = target + ".new" if self.on_disk else target
        with open(path, "wb", buffering=0) as out:
            out.write(next(self.contents))
            if self.on_disk:
                os.fsync(out.fileno())
        if self.on_disk:
            os.rename(path, target)
            self._sync(folder)


def each_ms(operation, count):
    names = [f"m{i}.example.com" for i in range(count)]
    return 1000 * timed(lambda: [operation(name) for name in names]) / count


def measure_changes(scale, table, store, on_disk, kind):
    authority = Authority()
    contents = [Pair(authority, [NAME]).combined for _ in range(2)]
    places = {"certfs": Changes(store.mountpoint, contents, False),
              kind: Changes(on_disk, contents, True)}
    taken = {what: {name: [] for name in places} for what in ("mkdir", "rmdir", "cp")}

    def round_of(name, place):
        taken["mkdir"][name].append(each_ms(place.mkdir, scale.changes))
        taken["rmdir"][name].append(each_ms(place.rmdir, scale.changes))
        taken["cp"][name].append(each_ms(place.copy, scale.changes))
        return 0
    in_turn(3, {name: lambda name=name, place=place: round_of(name, place)
                for name, place in places.items()})
    for what, of in taken.items():
        table.add(f"{what}, on disk", "ms", {
            name: statistics.median(values[1:]) for name, values in of.items()})


def run_many(scale, table, folder):
    with contextlib.ExitStack() as stack:
        def filled(count):
            store = Filled(folder, count)
            stack.callback(store.clean_up)
            return store
        many, few, empty = filled(scale.many), filled(scale.few), filled(0)
        name_of = {many: f"{scale.many:,}", few: f"{scale.few:,}", empty: "empty"}
        measure_start(scale, table, {name_of[one]: one for one in (many, empty)})
        both = {name_of[one]: one for one in (many, few)}
        measure_reads(scale, table, both)
        measure_listing(table, both)
        kind, on_disk = disk(stack, folder, table)
        measure_changes(scale, table, many, on_disk, kind)
