# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A program in the background: its own session, its output in a file."""

import os
import signal
import subprocess

from waiting import LIMIT_S, wait_for

# Sessions that were started; a session's end must find none of them alive.
started = []


def processes_of_session(session):
    """The ids of the living processes of a session (zombies are not alive)."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] not in "ZX":
            found.append(int(entry))
    return found


class Service:
    """Starts with start(); `ready` is asked until it is true."""

    def __init__(self, name, command, log, env=None, cwd=None):
        self.name, self.argv, self.log = name, [str(c) for c in command], log
        self.env, self.cwd = env or {}, cwd
        self.process = None

    def launch(self):
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                cwd=self.cwd, env={**os.environ, **self.env}, start_new_session=True)
        started.append((self.name, self.process.pid))

    def start(self, ready):
        self.launch()
        wait_for(lambda: self._is_ready(ready), f"{self.name} is ready\n{self.tail()}")
        return self

    def _is_ready(self, ready):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n"
                                 f"{self.tail()}")
        return ready()

    @property
    def pid(self):
        return self.process.pid

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self, how=signal.SIGTERM):
        """Ends the program and all that it started; returns its exit status."""
        if self.process is None:
            return None
        if self.is_running():
            self.process.send_signal(how)
            try:
                self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.process.wait()
        self.kill_session()
        return status

    def kill_session(self):
        for pid in processes_of_session(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def text(self):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def tail(self, lines=60):
        return "\n".join(self.text().splitlines()[-lines:])
