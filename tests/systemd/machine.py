# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A minimal Debian of the release that runs here, with systemd as its first process.

It has file system, processes, mounts and network of its own (systemd-nspawn), and of this
machine's only /dev/fuse.
"""

import os
import platform
import re
import shutil
import subprocess
import tempfile

from waiting import LIMIT_S, wait_for

SOURCE = os.environ["CERTFS_SOURCE"]
BUILD = os.environ["CERTFS_BUILD"]
ROOT = os.environ.get("CERTFS_SYSTEMD_ROOT")
BASE = ["systemd", "systemd-sysv", "dbus", "procps"]
CONFIG = """[certfs]
log-level = debug
[acme]
directory = none
[http-01]
listen = none
"""


def packages_of(binary):
    """The packages with the libraries that a program needs."""
    out = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    found = set()
    for library in re.findall(r"=> (/\S+)", out):
        owner = subprocess.run(["dpkg-query", "-S", "*/" + os.path.basename(library)],
                               check=True, capture_output=True, text=True).stdout
        found.add(re.split(r"[:,]", owner.splitlines()[0])[0])
    return sorted(found)


def run(*command, **how):
    done = subprocess.run(command, check=False, capture_output=True, text=True, **how)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class Machine:
    def __init__(self):
        self.made = None if ROOT else tempfile.mkdtemp(prefix="certfs-systemd-",
                                                       dir="/var/tmp")
        self.root = ROOT or os.path.join(self.made, "root")
        self.process = None
        self.leader = None
        self.console = self.root + ".console"

    # What is in it

    def make(self):
        assert os.geteuid() == 0, "a machine can be made and booted by root only"
        assert os.access("/dev/fuse", os.R_OK | os.W_OK), \
            "this machine has no /dev/fuse that could be used: nothing can be mounted here"
        if not os.path.exists(self.inside("etc/os-release")):
            release = platform.freedesktop_os_release()["VERSION_CODENAME"]
            include = ",".join(BASE + packages_of(os.path.join(BUILD, "fs", "certfs")))
            run(os.path.join(SOURCE, "scripts", "mirror"), release, "debootstrap",
                "--variant=minbase", f"--include={include}", release, self.root)
        self.install()

    def install(self):
        run("meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", self.root)
        for command in (["groupadd", "--system", "--force", "ssl-cert"],
                        ["useradd", "--system", "--user-group", "certfs"],
                        ["useradd", "--system", "--user-group", "certfs-net"]):
            known = command[0] == "useradd" and command[-1] in self.users()
            if not known:
                run("chroot", self.root, *command)
        os.makedirs(self.inside("etc/certs"), exist_ok=True)

    def users(self):
        with open(self.inside("etc/passwd"), encoding="utf-8") as file:
            return [line.split(":")[0] for line in file]

    def inside(self, path):
        """A file of it, by its place on the disk of this machine."""
        return os.path.join(self.root, path.lstrip("/"))

    # Life

    def boot(self):
        with open(self.console, "wb") as out:
            self.process = subprocess.Popen(
                ["systemd-nspawn", "-D", self.root, "--register=no", "--keep-unit",
                 "--private-network", "--bind=/dev/fuse", "--capability=all",
                 "--system-call-filter=pidfd_getfd",
                 "--console=pipe", "-b"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            self.leader = wait_for(self._find_leader, "the machine has a first process")
            wait_for(self._is_up, "the machine is up")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.console_text()}") from error

    def _find_leader(self):
        assert self.process.poll() is None, "systemd-nspawn can't boot a machine here"
        pid = self.process.pid
        try:
            with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
                return int((file.read().split() or ["0"])[0])
        except FileNotFoundError:
            return None

    def _is_up(self):
        assert self.process.poll() is None, "the machine has ended"
        return self.run("systemctl", "is-system-running").stdout.strip() in (
            "running", "degraded")

    def console_text(self):
        with open(self.console, encoding="utf-8", errors="replace") as file:
            return file.read()

    def end(self):
        """However far it came: no process, mount or file of it is left."""
        try:
            self._stop()
        finally:
            if os.path.exists(self.console):
                os.unlink(self.console)
            if self.made:
                shutil.rmtree(self.made)

    def _stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            # Its processes end with it, and its mounts with them.
            self.process.kill()
            self.process.wait()

    # Use

    def run(self, *command):
        return subprocess.run(["nsenter", "-t", str(self.leader), "-a", "--", *command],
                              check=False, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=LIMIT_S)

    def path(self, path):
        """A path as its processes see it, mounts included, for a process of this machine."""
        return f"/proc/{self.leader}/root/{path.lstrip('/')}"
