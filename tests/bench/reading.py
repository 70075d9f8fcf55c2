# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What a reader waits for."""

import contextlib
import os
import subprocess

from measuring import HELPERS, in_turn, readers, timed
from mount import Certfs
from places import disk, readonly, tmpfs
from table import QUIETLY
from waiting import wait_for

NAME = "app.example.com"


def copy_served(certfs, others):
    """The same tree as in the mount, in each of the other places."""
    files = {file: certfs.read(NAME, file) for file in os.listdir(certfs.path(NAME))}
    for path in others:
        for name in os.listdir(certfs.mountpoint):
            os.mkdir(os.path.join(path, name))
        for file, content in files.items():
            with open(os.path.join(path, NAME, file), "wb") as out:
                out.write(content)


def listing(path):
    """Milliseconds that `ls -l` takes."""
    return 1000 * timed(lambda: subprocess.run(["ls", "-l", path], check=True,
                                               stdout=subprocess.DEVNULL))


def cheapest(stack, folder, certfs):
    """A FUSE filesystem that holds one file and does nothing that it need not."""
    path, content = os.path.join(folder, "fuse"), os.path.join(folder, "content")
    mountpoint = os.path.join(path, NAME)
    os.makedirs(mountpoint)
    with open(content, "wb") as out:
        out.write(certfs.read(NAME, "fullchain.pem"))
    process = stack.enter_context(subprocess.Popen(
        [os.path.join(HELPERS, "cheapest"), content, mountpoint]))
    stack.callback(process.terminate)
    wait_for(lambda: os.listdir(path) and os.path.exists(
        os.path.join(mountpoint, "fullchain.pem")), "the cheapest filesystem serves")
    return path


def measure_reading(scale, table, places, asking):
    def by_place(operation, count, where):
        return {name: lambda path=path: readers(
            operation, os.path.join(path, NAME, "fullchain.pem"), scale.round_ms, count)
                for name, path in where.items()}
    for count in (1, 4):
        table.add_both(f"open+read+close, {count} reader{'s' if count > 1 else ''}", "µs",
                       in_turn(scale.rounds, by_place("read", count, {**places, **asking})))
    table.add("stat", "µs", in_turn(scale.rounds, by_place("stat", 1, places)))
    table.add(f"ls -l of {scale.domains} domains", "ms", in_turn(scale.rounds, {
        name: lambda path=path: listing(path) for name, path in places.items()}))


def run_reading(scale, table, folder):
    with contextlib.ExitStack() as stack:
        certfs = Certfs(folder, certfs=QUIETLY)
        stack.callback(certfs.clean_up)
        certfs.start()
        certfs.mkdir(NAME)
        for i in range(scale.domains - 1):
            certfs.mkdir(f"d{i}.example.com")
        memory, (kind, on_disk) = tmpfs(stack, folder), disk(stack, folder, table)
        copy_served(certfs, [memory, on_disk])
        measure_reading(scale, table,
                        {"certfs": certfs.mountpoint, "tmpfs": memory, kind: on_disk},
                        {"FUSE": cheapest(stack, folder, certfs),
                         "read-only": readonly(stack, certfs)})
