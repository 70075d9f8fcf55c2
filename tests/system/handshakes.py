# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""TLS clients that shake hands with a server, again and again, and look whom they got."""

import hashlib
import socket
import ssl
import threading

from waiting import LIMIT_S, wait_for


class Handshakes:
    """with Handshakes(port, name, roots, count) as clients: each client is a thread."""

    def __init__(self, port, name, roots, count):
        self.port, self.name = port, name
        self.context = ssl.create_default_context(cafile=roots)
        self.seen = [[] for _ in range(count)]  # fingerprints, a client's in turn
        self.faults = []
        self.ends = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(seen,))
                        for seen in self.seen]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        self.all_go_on()
        return self

    def __exit__(self, *_):
        self.ends.set()
        for thread in self.threads:
            thread.join()

    def _shake(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=LIMIT_S) as plain:
            with self.context.wrap_socket(plain, server_hostname=self.name) as tls:
                return hashlib.sha256(tls.getpeercert(binary_form=True)).hexdigest()

    def _run(self, seen):
        while not self.ends.is_set():
            try:
                seen.append(self._shake())
            except OSError as error:  # ssl.SSLError is one too
                self.faults.append(repr(error))

    def all_go_on(self):
        """Waits until each of them has begun a handshake from now on, and finished it."""
        before = [len(seen) for seen in self.seen]
        wait_for(lambda: self.faults or all(len(seen) >= b + 2
                                            for seen, b in zip(self.seen, before)),
                 "every client goes on")

    def all_got(self, fingerprint):
        """The last that each of them got."""
        return all(seen[-1] == fingerprint for seen in self.seen)
