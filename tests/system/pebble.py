# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""pebble, the ACME server, on ports of its own."""

import json
import os
import re
import ssl
import urllib.request

import certificates
from ports import free_port, listens
from service import Service

EAB_KID = "kid-1"
EAB_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"

QUIET = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}


class Pebble(Service):
    """`env`: PEBBLE_* over those of QUIET; `validity_s`: lifetime of certificates."""

    def __init__(self, folder, dns, http_port, env=None, eab=False, validity_s=None,
                 name="pebble"):
        self.folder, self.http_port = folder, http_port
        self.port, self.management = free_port(), free_port()
        self.tls_roots = os.path.join(folder, f"{name}-api-root.pem")
        self._write_config(name, eab, validity_s)
        super().__init__(name, ["pebble", "-strict", "-config", self.config,
                                "-dnsserver", f"127.0.0.1:{dns.dns}"],
                         os.path.join(folder, f"{name}.log"), env={**QUIET, **(env or {})})

    def _write_config(self, name, eab, validity_s):
        authority = certificates.Authority("API")
        pair = certificates.Pair(authority, ["localhost", "127.0.0.1"])
        paths = pair.write(self.folder, f"{name}-api-")
        with open(self.tls_roots, "wb") as file:
            file.write(certificates.pem(authority.root))
        settings = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self.management}",
            "certificate": paths["fullchain"], "privateKey": paths["key"],
            "httpPort": self.http_port, "tlsPort": free_port(), "ocspResponderURL": "",
            "externalAccountBindingRequired": eab,
        }
        if eab:
            settings["externalAccountMACKeys"] = {EAB_KID: EAB_KEY}
        if validity_s:
            settings["certificateValidityPeriod"] = validity_s
        self.config = os.path.join(self.folder, f"{name}.json")
        with open(self.config, "w", encoding="utf-8") as file:
            json.dump({"pebble": settings}, file, indent=2)

    def start(self, ready=None):
        return super().start(ready or (lambda: listens(self.port)
                                       and listens(self.management)))

    @property
    def directory(self):
        return f"https://localhost:{self.port}/dir"

    def ask(self, path):
        """GET on the management interface."""
        context = ssl.create_default_context(cafile=self.tls_roots)
        url = f"https://localhost:{self.management}/{path}"
        with urllib.request.urlopen(url, context=context, timeout=60) as answer:
            return answer.read()

    def roots(self):
        """The root that signs leaves, written to a file; its path."""
        path = os.path.join(self.folder, f"{self.name}-roots.pem")
        with open(path, "wb") as file:
            file.write(self.ask("roots/0"))
        return path

    def settings(self):
        """[acme] for certfs.conf."""
        return {"directory": self.directory, "roots-file": self.tls_roots,
                "contact": "admin@example.com"}

    def orders(self):
        """How many orders were made (requests refused for their nonce make none)."""
        return len(re.findall(r'Added order "', self.text()))

    def issued(self):
        return len(re.findall(r"Issued certificate serial", self.text()))

    def accounts(self):
        return len(re.findall(r"There are now \d+ accounts in memory", self.text()))

    def requests(self, path):
        """How many requests were made for a path such as "order-plz"."""
        return len(re.findall(rf"(?:GET|HEAD|POST) /{path}\b", self.text()))

    def most_at_once(self):
        """The most orders that were under way at one time, by the log's order."""
        under_way = most = 0
        for event in re.findall(r'Added order "|Issued certificate serial', self.text()):
            under_way += 1 if event.startswith("Added") else -1
            most = max(most, under_way)
        return most
