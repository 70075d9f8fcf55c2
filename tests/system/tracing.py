# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Programs that are killed or stopped at one of their system calls, by strace(1)."""

import contextlib
import os
import re
import signal
import subprocess

from waiting import LIMIT_S, wait_for

LINE = re.compile(r"^(\d+) +(\w+)\(")


class Call:
    """The `number`-th `name` of one of its processes."""

    def __init__(self, name, number, text):
        self.name, self.number, self.text = name, number, text

    def __repr__(self):
        return f"{self.name} {self.number}: {self.text[:100]}"


def calls(command, folder, since, on=""):
    """Runs the program; its calls from the first on that matches `since` and that match `on`,
    without repeats (several processes of one program make the same ones)."""
    trace = os.path.join(folder, "trace")
    subprocess.run(["strace", "-f", "-y", "-o", trace, *command], check=True,
                   timeout=LIMIT_S, stderr=subprocess.PIPE)
    counts, found, seen, begun = {}, [], set(), False
    with open(trace, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = LINE.match(line)
            if not match or match.group(2) in ("execve", "exit_group"):
                continue
            counts[match.groups()] = counts.get(match.groups(), 0) + 1
            begun = begun or re.search(since, line)
            call = (match.group(2), counts[match.groups()])
            if begun and call not in seen and re.search(on, line):
                seen.add(call)
                found.append(Call(*call, line.strip()))
    assert found, f"nothing matches {since} and {on}"
    return found


def _strace(command, folder, call, how):
    trace = os.path.join(folder, "injected")
    return ["strace", "-f", "-o", trace, "-e", f"trace={call.name}", "-e",
            f"inject={call.name}:signal={how}:when={call.number}", *command], trace


def killed_at(command, folder, call):
    """Runs the program and kills it as it enters the call; its exit status, or -9."""
    traced, _ = _strace(command, folder, call, "KILL")
    return subprocess.run(traced, check=False, timeout=LIMIT_S, stderr=subprocess.PIPE,
                          stdout=subprocess.PIPE).returncode


def _stopped(session):
    """Processes of the session that stand still; strace's own does not."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                fields = file.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[3]) == session and fields[0] in "Tt":
            found.append(int(pid))
    return found


def stopped_after(command, folder, call, do):
    """Runs the program, stops it when the call is through, calls do(), lets it go on. Returns
    its exit status, and whether it was stopped."""
    traced, trace = _strace(command, folder, call, "STOP")
    was_stopped = False
    if os.path.exists(trace):
        os.unlink(trace)
    with subprocess.Popen(traced, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                          start_new_session=True) as process:
        def stands():
            text = ""
            if os.path.exists(trace):
                with open(trace, encoding="utf-8", errors="replace") as file:
                    text = file.read()
            return "--- stopped by SIGSTOP ---" in text or process.poll() is not None

        try:
            wait_for(stands, f"{command[0]} stops at {call}")
            if process.poll() is None:
                was_stopped = True
                do()

            def over():
                # One of several processes may come to its stop only now.
                for pid in _stopped(process.pid):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGCONT)
                return process.poll() is not None
            wait_for(over, f"{command[0]} goes on after {call}")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait(LIMIT_S), was_stopped
