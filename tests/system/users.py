# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Users who own nothing but what a test gives them."""

import os
import subprocess

from waiting import LIMIT_S

# Nobody has these; a process needs no entry in passwd(5) to have a user.
APP, OTHER, GROUP = 23001, 23002, 23009


def as_user(uid, *command, groups=(), text=None, umask=0o022):
    return subprocess.run(command, user=uid, group=uid, extra_groups=groups, input=text,
                          capture_output=True, text=True, check=False, timeout=LIMIT_S,
                          umask=umask, env={**os.environ, "LC_ALL": "C"})


def give(uid, directory):
    """As an administrator gives an app its directory."""
    subprocess.run(["chown", "-R", f"{uid}:{uid}", directory], check=True, timeout=LIMIT_S)
