# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Anti-replay nonces (RFC 8555 §6.5): each is good for one request.

A nonce that was never given out or that was used before is the client's mistake. One that
the server threw away (`forget`, as a restart or an expiry would) is nobody's: the client
gets badNonce, and takes the nonce that comes with it. So is one whose answer a fault has
swallowed: HTTP libraries send such a request once more by themselves.
"""

import secrets


class Nonces:
    def __init__(self):
        self._fresh, self._used, self._forgotten = set(), set(), set()

    def give(self):
        nonce = secrets.token_urlsafe(16)
        self._fresh.add(nonce)
        return nonce

    def spend(self, nonce):
        """Returns "fresh", "used", "forgotten" or "unknown"."""
        if nonce in self._fresh:
            self._fresh.discard(nonce)
            self._used.add(nonce)
            return "fresh"
        if nonce in self._forgotten:
            return "forgotten"
        return "used" if nonce in self._used else "unknown"

    def forget(self):
        self._forgotten |= self._fresh
        self._fresh.clear()
