# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Places to read from, beside certfs."""

import os
import subprocess


def mount_at(stack, path, *how):
    subprocess.run(["mount", *how, path], check=True, capture_output=True)
    stack.callback(subprocess.run, ["umount", "-l", path], check=True)


def kind_of(path):
    """The filesystem that a folder lies on."""
    return subprocess.run(["findmnt", "--noheadings", "--output", "FSTYPE", "--target", path],
                          check=True, text=True, capture_output=True).stdout.strip()


def readonly(stack, certfs):
    """A read-only mount of the same store."""
    path = os.path.join(certfs.folder, "read-only")
    os.mkdir(path)
    done = certfs.command("mount", "-o", f"ro,of={certfs.mountpoint}", path)
    if done.returncode != 0:
        raise SystemExit(f"bench: {done.stderr}")
    stack.callback(subprocess.run, ["umount", "-l", path], check=True)
    return path


def tmpfs(stack, folder):
    path = os.path.join(folder, "tmpfs")
    os.mkdir(path)
    mount_at(stack, path, "-t", "tmpfs", "-o", "size=64M", "tmpfs")
    return path


def disk(stack, folder, table):
    """ext4: the folder itself, or else a loop image; where neither can be had, what is
    there, by its name."""
    path, image = os.path.join(folder, "disk"), os.path.join(folder, "disk.img")
    os.mkdir(path)
    kind = kind_of(path)
    if kind == "ext4":
        return kind, path
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        mount_at(stack, path, "-o", "loop", image)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        table.note(f"{kind} stands in for ext4, which could not be mounted: {reason}")
        return kind, path
    return "ext4", path
