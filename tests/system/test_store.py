# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The store: one daemon at a time, no newer format, and a full disk that is survived."""

import errno
import os
import subprocess

import pytest

from mount import mounts

HELPERS = os.environ.get("CERTFS_HELPERS", "")


def test_a_second_daemon_on_the_same_store_is_refused(plain, certfs, folder):
    plain.mkdir()
    second = certfs(start=False, name="second", mountpoint=os.path.join(folder, "second"))
    second.expect("another certfs")
    said = second.refuses_to_start()
    assert f"another certfs (process {plain.worker('fs')})" in said
    assert second.mountpoint not in mounts()
    assert "app.example.com" in os.listdir(plain.mountpoint)


def test_a_newer_format_is_refused(plain):
    plain.mkdir()
    assert plain.stop() == 0
    subprocess.run([os.path.join(HELPERS, "set_format"), plain.store], check=True)
    plain.expect("has format 99")
    said = plain.refuses_to_start()
    assert "has format 99" in said and "newer certfs" in said
    assert not plain.is_mounted()


def fill(path):
    """Leaves no byte of the filesystem free."""
    with open(path, "wb", buffering=0) as file:
        for size in (65536, 4096):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                assert error.errno == errno.ENOSPC


def make_until_refused(daemon):
    """Pages that the store has already may hold a few directories more."""
    made = []
    with pytest.raises(OSError) as refused:
        for number in range(10000):
            name = f"d{number}.example.com"
            daemon.mkdir(name)
            made.append(name)
    return made, refused.value.errno


def test_a_full_disk_refuses_mkdir_and_keeps_serving(certfs, tmpfs):
    disk = tmpfs("disk", "4m")
    daemon = certfs(store=os.path.join(disk, "store"))
    daemon.expect(r"ENOSPC|[Nn]o space|disk is full|is full")
    daemon.mkdir()
    before = daemon.read("app.example.com", "combined.pem")
    workers = daemon.children()
    fill(os.path.join(disk, "filler"))

    made, code = make_until_refused(daemon)
    assert code == errno.ENOSPC
    assert daemon.read("app.example.com", "combined.pem") == before
    assert set(made) <= set(os.listdir(daemon.mountpoint))
    assert daemon.children() == workers, "a full disk ends no worker"

    os.unlink(os.path.join(disk, "filler"))
    daemon.mkdir("later.example.com")
    assert b"BEGIN CERTIFICATE" in daemon.read("later.example.com", "cert.pem")
    assert daemon.restart().read("app.example.com", "combined.pem") == before
