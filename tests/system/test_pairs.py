# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A pair is always a pair, whatever rotates between its two opens."""

import json
import os
import subprocess

import pytest

from certificates import Authority, Pair

NAME = "app.example.com"
STORM = os.path.join(os.environ["CERTFS_HELPERS"], "pair_storm")
PAIRS = 16
ROTATION_US = 2000


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """A folder with 0.pem, 1.pem, …: key and chain in one file."""
    folder, authority = tmp_path_factory.mktemp("pairs"), Authority()
    for i in range(PAIRS):
        (folder / f"{i}.pem").write_bytes(Pair(authority, [NAME]).combined)
    return folder


def storm(certfs, pairs, seconds, how="stay", period_us=ROTATION_US):
    certfs.mkdir(NAME)
    with open(certfs.path(NAME, "combined.pem"), "wb") as out:
        out.write((pairs / "0.pem").read_bytes())
    out = subprocess.run([STORM, pairs, str(PAIRS), str(seconds), str(period_us), how,
                          certfs.path(NAME)], check=True, stdout=subprocess.PIPE,
                         timeout=seconds + 60).stdout
    print(out.decode())
    return json.loads(out)


def test_no_pair_is_mixed_by_rotations_every_two_milliseconds(plain, pairs):
    seen = storm(plain, pairs, 60)
    assert seen["failed"] == 0, os.strerror(seen["errno"])
    assert seen["mixed"] == 0
    assert seen["stale"] == 0
    # Two milliseconds are what is tried: each rotation is on disk before the next one.
    assert seen["pairs"] > 10000 and seen["rotations"] > 600


def test_readers_that_change_threads_get_pairs_too(plain, pairs):
    """300 rotations, ten a second: one a second is easier, and takes five minutes."""
    seen = storm(plain, pairs, 31, "move", 100000)
    assert seen["failed"] == 0, os.strerror(seen["errno"])
    assert seen["mixed"] == 0
    assert seen["pairs"] > 10000 and seen["rotations"] >= 300
