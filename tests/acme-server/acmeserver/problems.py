# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Problem documents (RFC 8555 §6.7), and what a client did wrong.

A handler that can't do what it was asked raises a Problem. Where the client itself broke a
rule, the Problem has the rule's name, and becomes a violation as well: those names are
stable, so that a test can excuse one that is known.
"""

import dataclasses

PREFIX = "urn:ietf:params:acme:error:"

STATUS = {
    "accountDoesNotExist": 400, "alreadyReplaced": 409, "alreadyRevoked": 400,
    "badCSR": 400, "badNonce": 400, "badPublicKey": 400, "badRevocationReason": 400,
    "badSignatureAlgorithm": 400, "caa": 403, "compound": 400, "connection": 400,
    "conflict": 409, "dns": 400, "externalAccountRequired": 401, "incorrectResponse": 400,
    "invalidContact": 400, "invalidProfile": 400, "malformed": 400, "orderNotReady": 403,
    "rateLimited": 429, "rejectedIdentifier": 400, "serverInternal": 500, "tls": 400,
    "unauthorized": 403, "unsupportedContact": 400, "unsupportedIdentifier": 400,
    "userActionRequired": 403,
}


class Problem(Exception):
    """`rule`: the client broke it; `members`: more members of the document."""

    def __init__(self, kind, detail, status=None, rule=None, headers=None, **members):
        super().__init__(detail)
        self.kind, self.detail, self.rule = kind, detail, rule
        self.status = status or STATUS[kind]
        self.headers, self.members = headers or {}, members

    def body(self):
        return {"type": PREFIX + self.kind, "detail": self.detail, "status": self.status,
                **self.members}


def subproblem(kind, detail, identifier):
    return {"type": PREFIX + kind, "detail": detail, "identifier": identifier}


@dataclasses.dataclass
class Violation:
    """`request` is the number of the request in the log."""
    rule: str
    text: str
    request: int
    kind: str
