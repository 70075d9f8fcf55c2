# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The store: who may open it, and what a full disk does."""

import errno
import os
import subprocess

import pytest

from certificates import belong_together

HELPERS = os.environ["CERTFS_HELPERS"]
NAME = "app.example.com"


def put_row(mount, table, key, value):
    """What certfs would never write itself."""
    subprocess.run([os.path.join(HELPERS, "put_row"), mount.store, table, key.hex(), value.hex()],
                   check=True)


def test_newer_format_is_refused_with_a_reason(plain):
    assert plain.stop() == 0
    # The record's version, then the format in little-endian.
    put_row(plain, "meta", b"format", bytes([1, 99, 0, 0, 0]))
    plain.expect("format 99")
    said = plain.refuses_to_start()
    assert "has format 99" in said
    assert "newer certfs" in said
    assert not plain.is_mounted()


def test_second_daemon_on_one_store_is_refused(plain, certfs, folder):
    plain.mkdir(NAME)
    second = certfs(start=False, name="second", store=plain.store,
                    mountpoint=os.path.join(folder, "mnt2"))
    second.expect(r"store")
    said = second.refuses_to_start()
    assert plain.store in said
    assert not second.is_mounted()
    assert belong_together(plain.read(NAME, "cert.pem"), plain.read(NAME, "privkey.pem"))


def test_what_mkdir_acknowledged_is_there_after_a_kill(plain):
    certificates = {}
    for i in range(5):
        name = f"d{i}.example.com"
        plain.mkdir(name)
        certificates[name] = plain.read(name, "cert.pem")
    plain.process.kill()
    plain.process.wait()
    plain.start()
    for name, certificate in certificates.items():
        assert plain.read(name, "cert.pem") == certificate


def test_listing_fails_rather_than_leave_names_out(plain):
    names = [f"d{i}.example.com" for i in range(3)]
    for name in names:
        plain.mkdir(name)
    # An installed domain's row that ends after its second byte. The fallback is number 1.
    put_row(plain, "domains", (3).to_bytes(4, "big"), bytes([1, 1]))
    plain.expect("damaged")
    with pytest.raises(OSError) as failure:
        os.listdir(plain.mountpoint)
    assert failure.value.errno == errno.EIO
    for name in (names[0], names[2]):
        assert belong_together(plain.read(name, "cert.pem"), plain.read(name, "privkey.pem"))


def fill(path):
    """Takes all the room that a filesystem has."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC


def make_until_refused(certfs, most=3000):
    """Pages that LMDB has free already take in a few; then the disk is asked for more."""
    for i in range(most):
        try:
            certfs.mkdir(f"full{i}.example.com")
        except OSError as error:
            return error.errno
    return 0


@pytest.fixture
def full(certfs, tmpfs):
    """(certfs, filler) whose store is on a disk without room."""
    disk = tmpfs("disk", "16M")
    daemon = certfs(store=os.path.join(disk, "store"))
    daemon.expect(r"space|full|ENOSPC")
    daemon.mkdir(NAME)
    filler = os.path.join(disk, "filler")
    fill(filler)
    return daemon, filler


def test_full_disk_refuses_the_change_and_goes_on_serving(full):
    daemon, _ = full
    before = daemon.read(NAME, "cert.pem")
    assert make_until_refused(daemon) == errno.ENOSPC
    assert daemon.read(NAME, "cert.pem") == before
    assert belong_together(before, daemon.read(NAME, "privkey.pem"))
    assert NAME in os.listdir(daemon.mountpoint)


def test_room_again_is_enough_to_recover(full):
    daemon, filler = full
    assert make_until_refused(daemon) == errno.ENOSPC
    fs = daemon.worker("fs")
    os.unlink(filler)
    daemon.mkdir("after.example.com")
    assert belong_together(daemon.read("after.example.com", "cert.pem"),
                           daemon.read("after.example.com", "privkey.pem"))
    assert daemon.worker("fs") == fs


def test_full_disk_survives_a_worker(full):
    daemon, _ = full
    assert make_until_refused(daemon) == errno.ENOSPC
    before = daemon.read(NAME, "cert.pem")
    daemon.kill_worker("fs")
    assert daemon.read(NAME, "cert.pem") == before
