# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What an inotify watcher is told, and what it finds when it is told."""

import ctypes
import os
import select
import struct
import threading

from waiting import wait_for

EVENTS = {0x1: "ACCESS", 0x2: "MODIFY", 0x4: "ATTRIB", 0x8: "CLOSE_WRITE",
          0x10: "CLOSE_NOWRITE", 0x20: "OPEN", 0x40: "MOVED_FROM", 0x80: "MOVED_TO",
          0x100: "CREATE", 0x200: "DELETE", 0x400: "DELETE_SELF", 0x800: "MOVE_SELF",
          0x8000: "IGNORED"}
CHANGES = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200 | 0x400 | 0x800
LIBC = ctypes.CDLL(None, use_errno=True)


class Watch:
    """with Watch(path, look) as watch: look() is called after each event."""

    def __init__(self, path, look=None):
        self.events, self.found = [], []
        self.look = look
        self.descriptor = LIBC.inotify_init1(os.O_CLOEXEC)
        assert LIBC.inotify_add_watch(self.descriptor, path.encode(), CHANGES) >= 0, \
            os.strerror(ctypes.get_errno())
        self.stop_read, self.stop_write = os.pipe()
        self.thread = threading.Thread(target=self._run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        os.write(self.stop_write, b".")
        self.thread.join()
        for descriptor in (self.descriptor, self.stop_read, self.stop_write):
            os.close(descriptor)

    def _run(self):
        while True:
            ready = select.select([self.descriptor, self.stop_read], [], [])[0]
            if self.descriptor not in ready:
                return
            data = os.read(self.descriptor, 65536)
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                name = data[16:16 + length].rstrip(b"\0").decode()
                data = data[16 + length:]
                self.events.append((EVENTS[mask & 0x8fff], name))
                if self.look:
                    self.found.append((name, self.look()))

    def names(self, event):
        return [name for what, name in self.events if what == event]

    def wait_for(self, event, name=""):
        wait_for(lambda: (event, name) in self.events, f"{event} of {name}: {self.events}")
