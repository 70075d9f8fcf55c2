# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Measuring in turns."""

import contextlib
import os
import statistics
import subprocess
import time

HELPERS = os.environ["CERTFS_HELPERS"]
READER = os.path.join(HELPERS, "reader")


def readers(operation, path, milliseconds, count):
    """Microseconds that one operation takes each of `count` processes at work together."""
    with contextlib.ExitStack() as stack:
        running = []
        for _ in range(count):
            running.append(stack.enter_context(subprocess.Popen(
                [READER, operation, str(milliseconds), path], text=True, stdout=subprocess.PIPE)))
            stack.callback(running[-1].kill)
        taken = [process.communicate()[0] for process in running]
        if any(process.returncode for process in running):
            raise SystemExit(f"bench: a reader of {path} failed")
    return statistics.mean(int(one) / 1000 for one in taken)


def timed(action):
    """Seconds."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def in_turn(rounds, measures):
    """Medians by name; each round measures all of them, once unmeasured to warm up."""
    taken = {name: [] for name in measures}
    for round_number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if round_number:
                taken[name].append(value)
    return {name: statistics.median(values) for name, values in taken.items()}
