# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A pair is always a pair, whatever rotates between its two opens."""

import json
import os
import subprocess

import pool
from conftest import PAIRS

NAME = "app.example.com"
STORM = os.path.join(os.environ["CERTFS_HELPERS"], "pair_storm")
ROTATION_US = 2000


def run_storm(certfs, pairs, seconds, how="stay", period_us=ROTATION_US, read=None):
    """`read` says which directory is read, once it is there: that which is written."""
    certfs.mkdir(NAME)
    with open(certfs.path(NAME, "combined.pem"), "wb") as out:
        out.write((pairs / "0.pem").read_bytes())
    out = subprocess.run([STORM, pairs, str(PAIRS), str(seconds), str(period_us), how,
                          certfs.path(NAME), read() if read else certfs.path(NAME)],
                         check=True, stdout=subprocess.PIPE,
                         timeout=seconds + 60).stdout
    print(out.decode())
    return json.loads(out)


def test_no_pair_is_mixed_by_rotations_every_two_milliseconds(plain, pairs):
    seen = run_storm(plain, pairs, 60)
    assert seen["failed"] == 0, os.strerror(seen["errno"])
    assert seen["mixed"] == 0
    assert seen["stale"] == 0
    # Two milliseconds are what is tried: each rotation is on disk before the next one.
    assert seen["pairs"] > 10000 and seen["rotations"] > 600


def test_readers_that_change_threads_get_pairs_too(plain, pairs):
    """300 rotations, ten a second: one a second is easier, and takes five minutes."""
    seen = run_storm(plain, pairs, 31, "move", 100000)
    assert seen["failed"] == 0, os.strerror(seen["errno"])
    assert seen["mixed"] == 0
    assert seen["pairs"] > 10000 and seen["rotations"] >= 300


def test_goroutines_that_change_threads_get_pairs_too(plain, pairs, folder):
    directory = plain.mkdir(NAME)
    contents = [(pairs / f"{i}.pem").read_bytes() for i in range(PAIRS)]
    program = pool.build(folder)
    pool.rotate(os.path.join(directory, "combined.pem"), contents[-1:], 1, 0)
    seen = pool.run(program, directory, directory, contents, 300, 0.1)
    print(seen)
    assert seen["failed"] == 0, seen["first"]
    assert seen["mixed"] == 0
    assert seen["pairs"] > 10000
