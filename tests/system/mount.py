# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""certfs under test: one mount with its store, configuration and log."""

import json
import os
import re
import signal
import subprocess

from service import Service
from waiting import LIMIT_S, wait_for

BINARY = os.environ.get("CERTFS", "certfs")
SERVED = ("cert.pem", "chain.pem", "combined.pem", "fullchain.pem", "privkey.pem")
BAD_WORDS = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error|"
                       r"^\S+ certfs\[\w+\] error: ")
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
              "UBSAN_OPTIONS": "print_stacktrace=1"}


def mounts():
    """The mounts of this machine: folder -> (mount id, type)."""
    found = {}
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            number, folder = fields.split()[0], fields.split()[4]
            found[folder.encode().decode("unicode_escape")] = (number, rest.split()[0])
    return found


def abort(folder):
    """Ends a FUSE connection, so that whoever waits for it gets an error, and unmounts."""
    while folder in mounts():
        subprocess.run(["umount", "-f", folder], check=False, stderr=subprocess.DEVNULL)
        if folder in mounts():
            subprocess.run(["umount", "-l", folder], check=True)


class Certfs(Service):
    """Settings are given as sections: Certfs(folder, acme={...}, renewal={...})."""

    def __init__(self, folder, store=None, mountpoint=None, name="certfs", env=None,
                 binary=BINARY, **sections):
        self.folder = folder
        self.mountpoint = mountpoint or os.path.join(folder, "mnt")
        self.store = store or os.path.join(folder, "store")
        self.config = os.path.join(folder, f"{name}.conf")
        os.makedirs(self.mountpoint, exist_ok=True)
        self.expected = []
        self._write_config({"certfs": {"store": self.store, "log-level": "debug"},
                            "acme": {"directory": "none"}, "http-01": {"listen": "none"}},
                           sections)
        super().__init__(name, [binary, "mount", "-f", "-c", self.config, self.mountpoint],
                         os.path.join(folder, f"{name}.log"),
                         env={**SANITIZERS, **(env or {})})

    def _write_config(self, defaults, sections):
        with open(self.config, "w", encoding="utf-8") as file:
            for section in {**defaults, **{s.replace("_", "-"): 0 for s in sections}}:
                values = {**defaults.get(section, {}),
                          **sections.get(section.replace("-", "_"), {})}
                file.write(f"[{section}]\n")
                file.writelines(f"{key} = {value}\n" for key, value in values.items())

    # Life

    def start(self, ready=None):
        return super().start(ready or self.answers)

    def try_read(self):
        """The exit status of a reader; a process of its own, so that we can't hang."""
        return subprocess.run(["cat", f"{self.mountpoint}/.certfs/status.json"],
                              check=False, timeout=LIMIT_S, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode

    def answers(self):
        return self.is_mounted() and self.try_read() == 0

    def refuses_to_start(self):
        """Starts what must not start; returns what it said."""
        self.launch()
        wait_for(lambda: self.process.poll() is not None, "it refuses to start")
        assert self.process.returncode not in (0, -signal.SIGABRT, -signal.SIGSEGV)
        return self.text()

    def restart(self):
        assert self.stop() == 0, self.tail()
        return self.start()

    def is_mounted(self):
        return self.mountpoint in mounts()

    def clean_up(self):
        """Whatever happened: no process and no mount is left."""
        if self.process is not None and self.is_running():
            self.process.terminate()
            try:
                self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                abort(self.mountpoint)
        abort(self.mountpoint)
        if self.process is not None:
            if self.is_running():
                self.process.kill()
            self.process.wait()
            self.kill_session()

    # Processes

    def children(self):
        """The workers by role: {"fs": pid, "net": pid}."""
        found = {}
        out = subprocess.run(["ps", "--ppid", str(self.pid), "-o", "pid=,args="],
                             capture_output=True, text=True, check=False).stdout
        for line in out.splitlines():
            pid, _, args = line.strip().partition(" ")
            if args.strip().startswith("certfs: "):
                found[args.strip().split()[1]] = int(pid)
        return found

    def worker(self, role):
        return wait_for(lambda: self.children().get(role), f"there is a {role} worker")

    def kill_worker(self, role, how=signal.SIGKILL):
        """Kills a worker and waits until another one serves."""
        old, served = self.worker(role), self.times_served(role)
        self.expect(rf"the {role} worker was killed by signal {int(how)} ")
        os.kill(old, how)
        wait_for(lambda: self.children().get(role) not in (None, old)
                 and self.times_served(role) > served, f"another {role} worker that serves")

    def times_served(self, role):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read().count(f"the {role} worker serves")

    # Files

    def path(self, *parts):
        return os.path.join(self.mountpoint, *parts)

    def read(self, *parts):
        with open(self.path(*parts), "rb") as file:
            return file.read()

    def mkdir(self, name="app.example.com"):
        os.mkdir(self.path(name))
        return self.path(name)

    def status(self, name):
        return json.loads(self.read(name, "status.json"))

    def source(self, name):
        return self.status(name)["serves"]["source"]

    def generation(self, name):
        return self.status(name)["serves"]["generation"]

    def wait_for_source(self, name, source):
        return self.wait_for_status(name, lambda s: s["serves"]["source"] == source,
                                    f"serves a {source} certificate")

    def wait_for_error(self, name, failures=1):
        return self.wait_for_status(
            name, lambda s: s["error"] and s["error"]["failures"] >= failures,
            f"tells of failure {failures}")["error"]

    def wait_for_status(self, name, predicate, what):
        def look():
            status = self.status(name)
            return status if predicate(status) else None
        try:
            return wait_for(look, f"{name} {what}")
        except AssertionError as error:
            page = self.read(name, "status").decode()
            raise AssertionError(f"{error}\n{page}\n{self.tail()}") from error

    # Commands and log

    def command(self, *args):
        return subprocess.run([BINARY, *args], capture_output=True, text=True, check=False,
                              timeout=LIMIT_S, env={**os.environ, **SANITIZERS})

    def expect(self, pattern):
        """Announces error lines of the log that match."""
        self.expected.append(re.compile(pattern))

    def unexpected(self):
        """Lines of the log that no test announced and that tell of something bad."""
        return [line for line in self.text().splitlines() if BAD_WORDS.search(line)
                and not any(e.search(line) for e in self.expected)]

    def wait_for_log(self, pattern):
        return wait_for(lambda: re.search(pattern, self.text()),
                        f"the log says {pattern}\n{self.tail()}")
