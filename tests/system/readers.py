# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Several processes that read pairs (read_pairs.py) while a test does something to certfs."""

import os
import struct
import subprocess
import sys

from waiting import LIMIT_S, wait_for

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "read_pairs.py")


class Readers:
    def __init__(self, folder, directory, count):
        self.progress = [os.path.join(folder, f"reader-{i}") for i in range(count)]
        self.processes = [
            subprocess.Popen([sys.executable, "-B", PROGRAM, directory, path],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True)
            for path in self.progress]

    def __enter__(self):
        self.all_go_on()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()

    def counts(self):
        found = []
        for path in self.progress:
            try:
                with open(path, "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                data = b""
            found.append(struct.unpack("<Q", data)[0] if data else 0)
        return found

    def all_go_on(self):
        """Waits until each of them has begun a pair from now on, and finished it."""
        before = self.counts()
        wait_for(lambda: all(n >= b + 2 for n, b in zip(self.counts(), before)),
                 "every reader goes on")

    def faults(self):
        """Ends them; what went wrong for any of them."""
        found = []
        for process in self.processes:
            out, _ = process.communicate(timeout=LIMIT_S)
            found += out.splitlines()
            if process.returncode:
                found.append(f"a reader ended with {process.returncode}")
        return found
