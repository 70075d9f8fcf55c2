# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The scripted ACME server of tests/acme-server, as a service of a test.

What a client did wrong fails the test that does not excuse() it, at its end.
"""

import functools
import json
import os
import re
import urllib.error
import urllib.request

from ports import free_port, listens
from service import Service

SOURCE = os.path.join(os.path.dirname(__file__), os.pardir, "acme-server")


class AcmeServer(Service):
    """`options`: more of the command's, such as roots=2 or clock_offset_file=path."""

    def __init__(self, folder, http_port=None, name="acme-server", **options):
        self.folder, self.http_port = folder, http_port or free_port()
        self.port, self.control = free_port(), free_port()
        self.tls_roots = os.path.join(folder, f"{name}-api-root.pem")
        self.excused, self._bad, self._ended = set(), [], False
        command = [os.path.join(SOURCE, "acme-server"), "--listen", f"127.0.0.1:{self.port}",
                   "--control", f"127.0.0.1:{self.control}", "--root-file", self.tls_roots,
                   "--http-port", self.http_port]
        for option, value in options.items():
            command += [f"--{option.replace('_', '-')}", value]
        super().__init__(name, command, os.path.join(folder, f"{name}.log"))

    def start(self, ready=None):
        return super().start(ready or (lambda: listens(self.port)))

    @property
    def directory(self):
        return f"https://localhost:{self.port}/directory"

    def settings(self, **more):
        """[acme] for certfs.conf."""
        return {"directory": self.directory, "roots-file": self.tls_roots,
                "contact": "admin@example.com", **more}

    # The control interface

    def tell(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control}/{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                said = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.read().decode()}") from None
        return said if path.startswith("roots/") else json.loads(said)

    def faults(self, *texts):
        self.tell("POST", "faults", texts)

    def no_faults(self):
        self.tell("DELETE", "faults")

    def hits(self):
        """How often each fault was met, in the order in which they were set."""
        return [fault["hits"] for fault in self.tell("GET", "faults")]

    def change(self, **settings):
        self.tell("PATCH", "settings", settings)

    def limits(self, rules):
        self.tell("PUT", "limits", rules)

    def advance(self, seconds):
        return self.tell("POST", "clock", {"advance_s": seconds})["now_s"]

    def counts(self):
        """Requests by kind."""
        return self.tell("GET", "requests")["counts"]

    def log_of(self, kind):
        return [one for one in self.tell("GET", "requests")["log"] if one["kind"] == kind]

    def forget_requests(self):
        self.tell("DELETE", "requests")

    def validations(self):
        return self.tell("GET", "validations")

    def certificates(self):
        return self.tell("GET", "certificates")

    @functools.cached_property
    def _roots(self):
        path = os.path.join(self.folder, f"{self.name}-roots.pem")
        with open(path, "wb") as file:
            file.write(self.tell("GET", "roots/0"))
        return path

    def roots(self):
        """The root of the first chain, written to a file; its path."""
        return self._roots

    # Violations

    def violations(self):
        return self.tell("GET", "violations")

    def excuse(self, *rules):
        """Violations of these rules are known, and don't fail the test."""
        self.excused |= set(rules)

    def unexcused(self):
        return [f"{one['rule']}: {one['text']} (request {one['request']}, {one['kind']})"
                for one in self.violations() if one["rule"] not in self.excused]

    def reset(self):
        """As if it were started anew, faster."""
        self.excused = set()
        self.tell("POST", "reset")

    def stop(self, **how):
        if self.process is not None and not self._ended:
            self._ended = True
            try:
                self._bad = self.unexcused()
            except OSError:
                self._bad = [f"{self.name} does not answer, and its process "
                             f"{'runs' if self.is_running() else 'has ended'}"]
        return super().stop(**how)

    def unexpected(self):
        """After its end: what the client did wrong, and what went wrong in the server."""
        return self._bad + re.findall(r"^Traceback.*|^Error handling.*", self.text(), re.M)
