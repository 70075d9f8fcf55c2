# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A small ext4 in a file."""

import os
import subprocess


class Ext4:
    """Used as a context; `path` is where it is mounted."""

    def __init__(self, folder, size_mib=32):
        self.image, self.path = f"{folder}/ext4.img", f"{folder}/ext4"
        with open(self.image, "wb") as file:
            file.truncate(size_mib << 20)

    def __enter__(self):
        subprocess.run(["mkfs.ext4", "-q", "-F", self.image], check=True)
        os.makedirs(self.path, exist_ok=True)
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=True)
        os.unlink(self.image)
