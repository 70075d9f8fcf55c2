# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The benchmark runs, and tells what it measured."""

import json
import os
import re
import subprocess
import sys

import pytest

from waiting import LIMIT_S

SOURCE = os.environ["CERTFS_SOURCE"]
HELPERS = os.path.join(os.path.dirname(os.environ["CERTFS_HELPERS"]), "bench")
LINES = ("open+read+close, 1 reader", "open+read+close, 4 readers", "stat",
         "ls -l of 100 domains")


def bench(folder, *options):
    done = subprocess.run(
        [sys.executable, "-B", os.path.join(SOURCE, "tests", "bench", "bench.py"), "--quick",
         "--only", "reading", *options], capture_output=True, text=True, check=False,
        env={**os.environ, "CERTFS_HELPERS": HELPERS, "TMPDIR": folder}, timeout=LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    assert os.listdir(folder) == []
    return done.stdout


@pytest.fixture
def place(folder):
    path = os.path.join(folder, "bench")
    os.mkdir(path, 0o755)
    return path


def test_the_benchmark_prints_each_line_of_its_table(place):
    heading, *lines = bench(place).splitlines()
    assert re.match(r"\d+ processors, \d+ GiB, Linux ", heading)
    assert len(lines) >= len(LINES)
    for what, line in zip(LINES, lines):
        assert re.match(re.escape(what) + r" +certfs +[\d.]+ .s +tmpfs +[\d.]+ .s +"
                        r"\([\d.]+\) +\w+ +[\d.]+ .s +\([\d.]+\)$", line)


def test_the_benchmark_tells_a_program_the_same(place):
    told = json.loads(bench(place, "--json"))
    assert [row["what"] for row in told["rows"]] == list(LINES)
    for row in told["rows"]:
        assert list(row["medians"])[:2] == ["certfs", "tmpfs"] and len(row["medians"]) == 3
        for name, ratio in row["ratios"].items():
            assert ratio == row["medians"]["certfs"] / row["medians"][name] > 0
