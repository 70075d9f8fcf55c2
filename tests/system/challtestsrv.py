# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""pebble-challtestsrv as a DNS server in which every name is at 127.0.0.1."""

import functools
import json
import os
import subprocess
import urllib.request

from ports import free_port, listens
from service import Service


@functools.lru_cache
def _has_doh():
    usage = subprocess.run(["pebble-challtestsrv", "-h"], capture_output=True, text=True,
                           check=False)
    return "-doh" in usage.stderr + usage.stdout


class Challtestsrv(Service):
    def __init__(self, folder):
        self.dns, self.management = free_port(), free_port()
        command = ["pebble-challtestsrv", "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "",
                   "-dns01", f"127.0.0.1:{self.dns}",
                   "-management", f"127.0.0.1:{self.management}",
                   "-http01", "", "-https01", "", "-tlsalpn01", ""]
        if _has_doh():
            command += ["-doh", ""]
        super().__init__("challtestsrv", command, os.path.join(folder, "challtestsrv.log"))

    def start(self, ready=None):
        return super().start(ready or (lambda: listens(self.management)
                                       and listens(self.dns)))

    def tell(self, what, **values):
        """One call of the management interface, such as tell("set-servfail", host=...)."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.management}/{what}",
                                         json.dumps(values).encode())
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
