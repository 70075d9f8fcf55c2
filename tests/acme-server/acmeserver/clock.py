# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The time as the server sees it: the system's, and an offset that a test turns.

The offset can stand in a file as well (a number of seconds), which is read each time: a
client under test that reads the same file lives in the same time. Everything with a date
goes by this clock: certificates, expiries, renewal windows, rate limits, Retry-After. Only
the certificate of the server's own HTTPS goes by the system's.
"""

import datetime
import email.utils
import time


class Clock:
    def __init__(self, offset_file=None):
        self.offset_s, self.offset_file = 0.0, offset_file

    def _from_file(self):
        if not self.offset_file:
            return 0.0
        try:
            with open(self.offset_file, encoding="ascii") as file:
                return float(file.read() or 0)
        except FileNotFoundError:
            return 0.0

    def now(self):
        """Seconds since 1970."""
        return time.time() + self.offset_s + self._from_file()

    def date(self):
        return as_date(self.now())

    def http_date(self, in_s):
        return email.utils.formatdate(self.now() + in_s, usegmt=True)


def as_date(seconds):
    """What cryptography wants: UTC without a zone, whole seconds."""
    return datetime.datetime.fromtimestamp(int(seconds),
                                           datetime.timezone.utc).replace(tzinfo=None)


def rfc3339(seconds):
    return as_date(seconds).isoformat() + "Z"
