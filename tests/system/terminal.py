# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A program at a terminal: keys are typed once what they answer is on the screen."""

import fcntl
import os
import select
import struct
import subprocess
import termios

from waiting import LIMIT_S

ROWS, COLUMNS = 24, 200


class Terminal:
    """Used as a context; ends the program when it is left."""

    def __init__(self, argv, env, cwd):
        self.master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.process = subprocess.Popen(["setsid", "--ctty", "--wait", *argv], stdin=slave,
                                        stdout=slave, stderr=slave, cwd=cwd, env=env)
        os.close(slave)
        self.screen, self.seen = b"", 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def _read(self, why):
        """False when the program has closed its terminal."""
        ready, _, _ = select.select([self.master], [], [], LIMIT_S)
        assert ready, f"{why}; the screen:\n{self.screen.decode(errors='replace')}"
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        self.screen += data
        return bool(data)

    def expect(self, *texts):
        """Waits for one of them on what is new of the screen; returns which."""
        why = f"none of {texts} came"
        while True:
            new = self.screen[self.seen:]
            for text in texts:
                if text in new:
                    self.seen += new.index(text) + len(text)
                    return text
            assert self._read(why), f"{why} before the end: {self.screen!r}"

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        """The exit status, once the program ends by itself."""
        while self._read("the program does not end"):
            pass
        return self.process.wait(LIMIT_S)
