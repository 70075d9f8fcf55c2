# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Ports of loopback that nobody uses.

They lie below the range from which the kernel takes ports of outgoing connections, and
apart from those of scripts/quickstart, so that nobody takes one between the choice and
its use.
"""

import itertools
import os
import socket

FIRST, LAST = 11000, 19999
_next = itertools.count(os.getpid() * 37)


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_port():
    for number in _next:
        port = FIRST + number % (LAST - FIRST + 1)
        if _is_free(port):
            return port


def listens(port):
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
