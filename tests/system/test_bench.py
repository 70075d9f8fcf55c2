# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The benchmark runs, and tells what it measured."""

import json
import os
import re
import subprocess
import sys

import pytest

from mount import SANITIZERS
from waiting import LIMIT_S

SOURCE = os.environ["CERTFS_SOURCE"]
HELPERS = os.path.join(os.path.dirname(os.environ["CERTFS_HELPERS"]), "bench")
READING = ("open+read+close, 1 reader", "open+read+close, 1 reader, read-only",
           "open+read+close, 4 readers", "open+read+close, 4 readers, read-only", "stat",
           "ls -l of 100 domains")
OTHERS = {
    "many": ("start to the first byte", "memory of the fs worker",
             "open+read+close, never read before", "open+read+close of the same again",
             "open+read+close of any domain", "ls | wc -l, each name", "mkdir, on disk",
             "rmdir, on disk", "cp, on disk"),
    "serving": tuple(f"{what}{mount}"
                     for what in ("nginx: check of 200 names", "nginx: reload",
                                  "HAProxy: check of 200 names", "HAProxy: reload")
                     for mount in ("", ", read-only")),
    "mixing": ("mixed pairs a rotation, 500 a second",
               "mixed pairs a rotation, 20 a second",
               "mixed pairs a rotation, 1 a second"),
}


def bench(folder, *options):
    done = subprocess.run(
        [sys.executable, "-B", os.path.join(SOURCE, "tests", "bench", "bench.py"), "--quick",
         *options], capture_output=True, text=True, check=False,
        env={**os.environ, **SANITIZERS, "CERTFS_HELPERS": HELPERS, "TMPDIR": folder},
        timeout=4 * LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.listdir(folder) == []
    return done.stdout


@pytest.fixture
def place(folder):
    path = os.path.join(folder, "bench")
    os.mkdir(path, 0o755)
    return path


def test_the_benchmark_prints_each_line_of_its_table(place):
    heading, *lines = bench(place, "--only", "reading").splitlines()
    assert re.match(r"\d+ processors, \d+ GiB, Linux ", heading)
    assert len(lines) >= len(READING)
    for what, line in zip(READING, lines):
        assert re.match(re.escape(what) + r" +(certfs|read-only) +[\d.]+ .s"
                        r"( +\w+ +[\d.]+ .s +\([\d.]+\)){2,3}$", line)


def test_the_benchmark_tells_a_program_the_same(place):
    told = json.loads(bench(place, "--json", "--only", "reading"))
    assert [row["what"] for row in told["rows"]] == list(READING)
    for row in told["rows"]:
        ours = "read-only" if row["what"].endswith("read-only") else "certfs"
        assert list(row["medians"])[:2] == [ours, "tmpfs"]
        assert ("FUSE" in row["medians"]) == row["what"].startswith("open")
        for name, ratio in row["ratios"].items():
            assert ratio == row["medians"][ours] / row["medians"][name] > 0


@pytest.mark.parametrize("part", OTHERS)
def test_the_benchmark_measures_its_other_parts(place, part):
    told = json.loads(bench(place, "--json", "--only", part))
    assert [row["what"] for row in told["rows"]] == list(OTHERS[part])
    assert all(len(row["medians"]) == 2 for row in told["rows"])
