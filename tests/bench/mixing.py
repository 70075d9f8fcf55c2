# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""How many pairs a rotation mixes for readers that change threads between their two opens:
goroutines (pool.go), and threads that hand each half on (pair_storm.c). Those that stay in
their threads get none: that is a test."""

import contextlib
import json
import os
import subprocess

import pool
from certificates import Authority, Pair
from measuring import HELPERS
from mount import Certfs
from table import QUIETLY

NAME = "app.example.com"
PAIRS = 16
STORM = os.path.join(os.path.dirname(HELPERS), "system", "pair_storm")
RATES = (500, 20, 1)


class Rotating:
    def __init__(self, certfs, folder, seconds):
        self.folder, self.seconds = folder, seconds
        self.directory = certfs.mkdir(NAME)
        authority = Authority()
        self.contents = [Pair(authority, [NAME]).combined for _ in range(PAIRS)]
        for i, content in enumerate(self.contents):
            with open(os.path.join(folder, f"{i}.pem"), "wb") as out:
                out.write(content)
        self.pool = pool.build(folder)

    def goroutines(self, rate):
        self._begin()
        return pool.run(self.pool, self.directory, self.directory, self.contents,
                        rate * self.seconds, 1 / rate)

    def threads(self, rate):
        self._begin()
        out = subprocess.run([STORM, self.folder, str(PAIRS), str(self.seconds),
                              str(1000000 // rate), "move", self.directory], check=True,
                             stdout=subprocess.PIPE).stdout
        return json.loads(out)

    def _begin(self):
        """What is there before must be one of ours."""
        pool.rotate(os.path.join(self.directory, "combined.pem"), self.contents[:1], 1, 0)


def run_mixing(scale, table, folder):
    with contextlib.ExitStack() as stack:
        certfs = Certfs(folder, certfs=QUIETLY)
        stack.callback(certfs.clean_up)
        certfs.start()
        rotating = Rotating(certfs, folder, scale.rotating_s)
        for rate in RATES:
            mixed = {}
            for name, read in (("goroutines", rotating.goroutines),
                               ("threads", rotating.threads)):
                seen = read(rate)
                assert seen["failed"] == 0, seen
                mixed[name] = seen["mixed"] / seen["rotations"]
                table.note(f"{rate} rotations a second: {name} read {seen['pairs']:,} pairs "
                           f"during {seen['rotations']:,}, {seen['mixed']} were mixed")
            table.tell(f"mixed pairs a rotation, {rate} a second", "", mixed)
