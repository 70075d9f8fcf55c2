# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What a reader costs: no figures, which are the benchmark's, but what the kernel asks of
certfs. That does not depend on the machine."""

import os
import re
import subprocess

import pytest

from certificates import Authority, Pair
from mount import SERVED
from waiting import wait_for

NAME, OTHER = "app.example.com", "other.example.com"
PAGES = ("policy", "status", "status.json")
ROUNDS = 100
ENTRIES = len(SERVED) + len(PAGES)


def requests(certfs):
    """How often the kernel has asked so far, by operation."""
    metrics = certfs.read(".certfs", "metrics").decode()
    return {what: int(count) for what, count in re.findall(
        r'certfs_requests_total\{operation="(\w+)"\} (\d+)', metrics)}


def asked_by(certfs, action, rounds=1):
    before = requests(certfs)
    for _ in range(rounds):
        action()
    now = requests(certfs)
    return {what: now[what] - before[what] for what in now}


def cost(certfs, action):
    """What the kernel asks each time when `action` was done before and is done again. To a
    tenth: reading the counters costs something too."""
    action()
    asked = asked_by(certfs, action, ROUNDS)
    each = {what: round(count / ROUNDS, 1) for what, count in asked.items()}
    return {what: count for what, count in each.items() if count}


def read(certfs, name, file):
    """As a server does it: Python's own open() asks whether it is a terminal."""
    fd = os.open(certfs.path(name, file), os.O_RDONLY)
    try:
        while os.read(fd, 65536):
            pass
    finally:
        os.close(fd)


def read_all(certfs, name):
    for file in SERVED:
        read(certfs, name, file)


def stat_all(certfs, name):
    for file in SERVED:
        os.stat(certfs.path(name, file))


def test_stat_of_what_the_kernel_knows_asks_nothing(plain):
    plain.mkdir()
    wait_for(lambda: is_known(plain, NAME), "its caches were told of the mkdir")
    assert cost(plain, lambda: stat_all(plain, NAME)) == {}


def test_reading_again_asks_for_the_open_alone(plain):
    """RELEASE is sent behind the reader's back: close(2) does not wait for it."""
    plain.mkdir()
    wait_for(lambda: is_known(plain, NAME), "its caches were told of the mkdir")
    for file in SERVED:
        assert cost(plain, lambda: read(plain, NAME, file)) == {  # noqa: B023
            "open": 1, "release": 1}, file


def test_listing_a_directory_again_asks_for_no_name_in_it(plain):
    folder = plain.mkdir()
    asked = cost(plain, lambda: subprocess.run(["ls", "-l", folder], check=True,
                                               stdout=subprocess.DEVNULL))
    assert asked == {"opendir": 1, "releasedir": 1}


def test_listing_all_domains_again_asks_for_none_of_them(plain):
    for i in range(20):
        plain.mkdir(f"d{i}.example.com")
    asked = cost(plain, lambda: subprocess.run(["ls", "-l", plain.mountpoint], check=True,
                                               stdout=subprocess.DEVNULL))
    # The root itself: opendir(3) asks for it, and its last listing was a read of it.
    assert asked.pop("getattr") == 1
    assert set(asked) == {"opendir", "readdirplus", "releasedir"}


def is_known(certfs, name):
    """Whether reading asks for no name any more. What mkdir changed is told a moment later."""
    asked = asked_by(certfs, lambda: [stat_all(certfs, name), read_all(certfs, name)])
    return asked["lookup"] == 0


@pytest.fixture
def two(plain):
    """A certfs with two domains of which the kernel knows all, and a pair for the first."""
    for name in (NAME, OTHER):
        plain.mkdir(name)
        wait_for(lambda: is_known(plain, name), f"{name} is known")  # noqa: B023
    return plain, Pair(Authority(), [NAME])


def put(certfs, pair):
    """Its names are announced by renames, which the kernel asks about too."""
    with open(certfs.path(NAME, "combined.pem"), "wb") as out:
        out.write(pair.combined)
    certfs.wait_for_log(f"renamed the names of {NAME}: done")


def test_a_change_of_one_domain_costs_nobody_else(two):
    certfs, pair = two
    put(certfs, pair)
    other = asked_by(certfs, lambda: [stat_all(certfs, OTHER), read_all(certfs, OTHER)])
    # One open is that of the counters.
    assert other["open"] == len(SERVED) + 1
    assert other["lookup"] + other["getattr"] + other["read"] < len(SERVED)


def test_after_a_change_the_domains_own_files_cost_once_more(two):
    certfs, pair = two
    put(certfs, pair)
    asked = asked_by(certfs, lambda: read_all(certfs, NAME))
    assert certfs.read(NAME, "combined.pem") == pair.combined
    assert asked["lookup"] >= len(SERVED) and asked["read"] >= len(SERVED)
    wait_for(lambda: is_known(certfs, NAME), f"{NAME} is known again")
    assert cost(certfs, lambda: read_all(certfs, NAME)) == {
        "open": len(SERVED), "release": len(SERVED)}
