# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A web server before a listener, which asks once more when the listener dies with a request.

A CA takes a connection that breaks off for a failed validation, and an order that failed
can't be gone on with.
"""

import socket
import threading

from waiting import POLL_S, wait_for


class Front:
    def __init__(self, port, target):
        self.port, self.target = port, target
        self._server = socket.create_server(("127.0.0.1", port), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client:
            request = client.recv(65536)
            while request and not request.endswith(b"\r\n\r\n"):
                request += client.recv(65536)
            client.sendall(wait_for(lambda: self._ask(request), "an answer", 4))

    def _ask(self, request):
        """The listener's whole answer, or none."""
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", self.target), POLL_S * 20) as server:
                server.sendall(request)
                while data := server.recv(65536):
                    answer += data
        except OSError:
            return b""
        return answer

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
