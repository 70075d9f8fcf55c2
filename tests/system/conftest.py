# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What every system test gets: a folder of its own, and the programs it asks for.

All that a test started is ended after it, however it went; a test fails when the log of
its certfs has a line that it did not announce, and the session when something is left.
"""

import os
import shutil
import subprocess
import tempfile
import threading

import pytest

import service
from acme_server import AcmeServer
from certificates import Authority, Pair
from challtestsrv import Challtestsrv
from fake_ca import FakeCa
from gate import Gate
from mount import Certfs, abort, mounts
from nginx import Nginx
from pebble import Pebble
from ports import free_port, listens

BASE = tempfile.gettempdir()
PAIRS = 16
PREFIX = f"certfs-test-{os.getpid()}-"

# A test that takes longer hangs, on the slowest of machines.
TEST_LIMIT_S = float(os.environ.get("CERTFS_TEST_HANGS", "900"))


def ours():
    return [folder for folder in mounts()
            if folder.startswith(os.path.join(BASE, PREFIX))]


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left():
    yield
    left = [f"mount {folder}" for folder in ours()]
    left += [f"process {pid} of {name}" for name, session in service.started
             for pid in service.processes_of_session(session)]
    assert not left, f"left behind: {left}"


@pytest.fixture
def folder():
    """Passable for everyone: certfs' workers and nginx are users of their own."""
    path = tempfile.mkdtemp(prefix=PREFIX, dir=BASE)
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def running(folder, request):
    """Services in the order in which they were made; ended in the opposite one."""
    services = []
    hung = threading.Timer(TEST_LIMIT_S, lambda: [abort(m) for m in ours()])
    hung.daemon = True
    hung.start()
    yield services
    hung.cancel()
    for one in reversed(services):
        if isinstance(one, Certfs):
            one.clean_up()
        else:
            one.stop()
    bad = {one.name: one.unexpected() for one in services
           if isinstance(one, (AcmeServer, Certfs))}
    failed = getattr(request.node, "failed", False)
    for one in services:
        if failed or bad.get(one.name):
            request.node.add_report_section("teardown", one.name, one.tail(200))
    assert not any(bad.values()), f"there is what nobody announced: {bad}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True


@pytest.fixture
def certfs(folder, running):
    """certfs(acme={...}, ...) starts one; start=False makes one without starting it."""
    def make(start=True, **how):
        one = Certfs(how.pop("folder", folder), **how)
        running.append(one)
        return one.start() if start else one
    return make


@pytest.fixture
def plain(certfs):
    """certfs that orders nothing."""
    return certfs()


@pytest.fixture
def dns(folder, running):
    running.append(Challtestsrv(folder))
    return running[-1].start()


@pytest.fixture
def pebble(folder, running, dns):
    """pebble(env={...}, ...) starts one."""
    def make(http_port=None, **how):
        one = Pebble(folder, dns, http_port or free_port(), **how)
        running.append(one)
        return one.start()
    return make


@pytest.fixture
def managed(certfs, pebble):
    """managed(env={...}, ...) is a (certfs, pebble) where the one orders from the other."""
    def make(env=None, eab=False, validity_s=None, listen=None, **sections):
        ca = pebble(env=env, eab=eab, validity_s=validity_s)
        acme = {**ca.settings(), **sections.pop("acme", {})}
        listener = {"listen": f"127.0.0.1:{listen or ca.http_port}"}
        return certfs(acme=acme, http_01=listener, **sections), ca
    return make


@pytest.fixture
def acme_server(folder, running):
    """acme_server(roots=2, ...) starts one; its client's violations fail the test."""
    def make(**options):
        running.append(AcmeServer(folder, **options))
        return running[-1].start()
    return make


@pytest.fixture
def gated(certfs, pebble):
    """Like managed, with a gate before the listener; (certfs, pebble, gate)."""
    gates = []

    def make(env=None, **sections):
        ca, listen = pebble(env=env), free_port()
        gates.append(Gate(ca.http_port, listen))
        daemon = certfs(acme=ca.settings(), http_01={"listen": f"127.0.0.1:{listen}"},
                        **sections)
        return daemon, ca, gates[-1]
    yield make
    for gate in gates:
        gate.close()


@pytest.fixture
def fake(folder):
    """fake(dir=function, ...) starts a scripted CA with these steps replaced."""
    made = []

    def make(**steps):
        made.append(FakeCa(folder, **steps))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def nginx(folder, running):
    """nginx(port, servers) starts one."""
    def make(port, servers):
        assert not listens(port)
        running.append(Nginx(folder, port, servers))
        return running[-1].start()
    return make


@pytest.fixture
def tmpfs(folder):
    """tmpfs(name, size) mounts a small filesystem and returns its folder."""
    made = []

    def make(name, size):
        path = os.path.join(folder, name)
        os.mkdir(path)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs",
                        path], check=True)
        made.append(path)
        return path
    yield make
    for path in made:
        subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def clock(folder):
    """clock(seconds) turns the clock of a certfs that has [certfs] clock-offset-file."""
    path = os.path.join(folder, "clock-offset")

    def turn(seconds):
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{seconds}\n")
    turn(0)
    turn.path = path
    turn.settings = {"clock-offset-file": path}
    return turn


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """A folder with 0.pem, 1.pem, …: key and chain in one file."""
    folder, authority = tmp_path_factory.mktemp("pairs"), Authority()
    for i in range(PAIRS):
        (folder / f"{i}.pem").write_bytes(Pair(authority, ["app.example.com"]).combined)
    return folder
