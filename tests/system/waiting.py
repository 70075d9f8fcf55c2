# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Waiting for events, each with a limit that a slow machine doesn't reach."""

import os
import time

LIMIT_S = float(os.environ.get("CERTFS_TEST_LIMIT", "120"))
POLL_S = 0.05


class NeverHappened(AssertionError):
    """What a test waited for did not come within the limit."""


def wait_for(predicate, what, limit_s=None):
    """Returns the first true value of predicate(); `what` completes "never happened: "."""
    limit_s = limit_s or LIMIT_S
    end = time.monotonic() + limit_s
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise NeverHappened(f"never happened within {limit_s:.0f} s: {what}")
        time.sleep(POLL_S)
