# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""read_pairs.py DIRECTORY PROGRESS: opens, reads and parses a pair, again and again.

Writes how many pairs it has read into PROGRESS after each one, ends when standard input
does, and then prints what went wrong, one line a fault. Nothing printed: all was well.
"""

import os
import select
import struct
import sys

from certificates import belong_together


def read(path):
    with open(path, "rb") as file:
        return file.read()


def read_pair(directory):
    """What is wrong with one pair, or nothing."""
    try:
        certificate = read(os.path.join(directory, "fullchain.pem"))
        key = read(os.path.join(directory, "privkey.pem"))
        return None if belong_together(certificate, key) else "the pair does not match"
    except (OSError, ValueError) as error:
        return repr(error)


def main(directory, progress):
    faults, count = [], 0
    out = os.open(progress, os.O_WRONLY | os.O_CREAT, 0o644)
    while not select.select([sys.stdin], [], [], 0)[0]:
        fault = read_pair(directory)
        if fault:
            faults.append(fault)
        count += 1
        os.pwrite(out, struct.pack("<Q", count), 0)
    print(*faults, sep="\n", end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
