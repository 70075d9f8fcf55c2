# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""certfs as a service of systemd, in a machine of its own."""

import os
import re
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "system"))

# pylint: disable=wrong-import-position
from machine import CONFIG, Machine
from waiting import wait_for


@pytest.fixture(scope="session")
def machine():
    one = Machine()
    try:
        one.make()
        one.boot()
        yield one
    finally:
        one.end()


@pytest.fixture
def folder():
    path = tempfile.mkdtemp(prefix="certfs-systemd-")
    yield path
    shutil.rmtree(path)


class Service:
    """certfs.service."""

    def __init__(self, machine):
        self.machine = machine
        self.mountpoint = machine.path("/etc/certs")

    def systemctl(self, verb, check=True):
        done = self.machine.run("systemctl", verb, "certfs")
        assert not check or done.returncode == 0, f"{done.stderr}\n{self.log()}"
        return done.returncode

    def show(self, name):
        return self.machine.run("systemctl", "show", "certfs", "-p", name,
                                "--value").stdout.strip()

    def log(self):
        return self.machine.run("journalctl", "--no-pager", "-u", "certfs", "-n",
                                "200").stdout

    def main(self):
        return int(self.show("MainPID"))

    def workers(self):
        """Those that a reload waits for."""
        out = self.machine.run("ps", "-o", "pid=,args=", "--ppid", str(self.main())).stdout
        pids = {line.split()[0] for line in out.splitlines()
                if line.split()[2:] in (["fs"], ["net"])}
        assert len(pids) == 2, out
        return pids

    def program(self):
        return self.machine.run("readlink", f"/proc/{self.main()}/exe").stdout.strip()

    def mount_id(self, mountpoint="/etc/certs"):
        return self.machine.run("findmnt", "-n", "-o", "ID", mountpoint).stdout.strip()

    def configure(self, text):
        with open(self.machine.inside("etc/certfs.conf"), "w", encoding="utf-8") as file:
            file.write(text)

    def kill(self):
        """kill -9 of the supervisor; returns when another one serves."""
        old = self.main()
        assert self.machine.run("kill", "-9", str(old)).returncode == 0
        wait_for(lambda: self.main() not in (0, old)
                 and self.show("ActiveState") == "active",
                 f"another supervisor serves\n{self.log()}")

    def mkdirs(self):
        """How many mkdir(2) a worker has taken up."""
        return int(re.search(r'certfs_requests_total\{operation="mkdir"\} (\d+)',
                             self.read(".certfs", "metrics").decode()).group(1))

    def status(self):
        """What an administrator sees: systemctl's line, and certfs' page."""
        return self.show("StatusText"), self.machine.run("certfs", "status").stdout

    def path(self, *parts):
        return os.path.join(self.mountpoint, *parts)

    def read(self, *parts):
        with open(self.path(*parts), "rb") as file:
            return file.read()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    if outcome.get_result().failed:
        item.failed = True


@pytest.fixture
def service(machine, request):
    one = Service(machine)
    one.configure(CONFIG)
    shutil.rmtree(machine.inside("var/lib/certfs"), ignore_errors=True)
    one.systemctl("start")
    yield one
    if getattr(request.node, "failed", False):
        request.node.add_report_section("teardown", "certfs.service", one.log())
    one.systemctl("stop")
    machine.run("systemctl", "reset-failed", "certfs")
