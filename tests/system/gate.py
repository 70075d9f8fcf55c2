# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A TCP forwarder that holds what comes in until a test lets it pass.

Between a CA and a listener it stops an order at its validation, for as long as a test
needs to look around or to kill something.
"""

import socket
import threading


class Gate:
    def __init__(self, port, target):
        self.port, self.target = port, target
        self.open = threading.Event()
        self.arrived = 0
        self._server = socket.create_server(("127.0.0.1", port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.arrived += 1
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self.open.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        back = threading.Thread(target=self._copy, args=(server, client), daemon=True)
        back.start()
        self._copy(client, server)
        back.join()
        client.close()
        server.close()

    @staticmethod
    def _copy(source, sink):
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.open.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
