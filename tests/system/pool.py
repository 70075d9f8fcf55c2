# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A Go program that reads pairs (pool.go) while certfs rotates."""

import json
import os
import subprocess
import time

from waiting import LIMIT_S

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pool.go")


def build(folder):
    """Builds it below `folder`; it needs nothing but Go's own library."""
    path = os.path.join(folder, "pool")
    subprocess.run(["go", "build", "-o", path, SOURCE], check=True, timeout=4 * LIMIT_S,
                   env={**os.environ, "GO111MODULE": "off", "GOFLAGS": "",
                        "GOTOOLCHAIN": "local",
                        "GOCACHE": os.path.join(folder, "go-cache")})
    return path


def rotate(path, contents, rotations, period_s):
    """Writes the next of `contents` to `path`, at even times."""
    begun = time.monotonic()
    for i in range(rotations):
        with open(path, "wb", buffering=0) as out:
            out.write(contents[i % len(contents)])
        time.sleep(max(0.0, begun + (i + 1) * period_s - time.monotonic()))


def run(pool, directory, written, contents, rotations, period_s):
    """What it has seen of `directory` while combined.pem in `written` was rotated."""
    with subprocess.Popen([pool, directory], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        try:
            # What a process does with its readers shows only once it has done it.
            assert process.stdout.readline() == "reading\n"
            rotate(os.path.join(written, "combined.pem"), contents, rotations, period_s)
            out, _ = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    return {**json.loads(out), "rotations": rotations}
