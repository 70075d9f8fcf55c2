# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A request as it goes through the server, and the reply to it, apart from HTTP's library."""

import dataclasses
import json

JSON, PROBLEM = "application/json", "application/problem+json"
CHAIN = "application/pem-certificate-chain"


@dataclasses.dataclass
class Request:
    """`ident` is the last part of its path; `payload` is None for POST-as-GET; `names` are
    those of the order or authorization that it is about."""
    number: int
    kind: str
    method: str
    url: str
    ident: str
    headers: object
    peer: str
    account: object = None
    header: dict = None
    payload: object = None
    names: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Reply:
    """`body`: an object becomes JSON, bytes and text stay."""
    status: int = 200
    body: object = b""
    headers: dict = dataclasses.field(default_factory=dict)
    content_type: str = JSON

    def encode(self):
        if isinstance(self.body, str):
            return self.body.encode()
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def of_problem(problem):
    return Reply(problem.status, problem.body(), dict(problem.headers), PROBLEM)
