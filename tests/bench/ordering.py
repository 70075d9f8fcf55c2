# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What an order takes, beside other clients of the same CA."""

import contextlib
import os
import shutil
import subprocess
import time

from challtestsrv import Challtestsrv
from gate import Gate
from measuring import in_turn, timed
from mount import Certfs
from pebble import Pebble
from ports import free_port
from table import QUIETLY
from waiting import LIMIT_S, NeverHappened


class Ordering:
    """Orders at one pebble. The round that warms up makes each client's account."""

    def __init__(self, folder, ca, certfs, listen):
        self.folder, self.ca, self.certfs, self.listen = folder, ca, certfs, listen
        self.number = 0

    def new_name(self, client):
        self.number += 1
        return f"{client}{self.number}.example.com"

    def certfs_takes(self):
        """pebble asks one port, which the other clients bind by themselves: certfs'
        listener has another, and is reached through a gate while its turn lasts."""
        gate = Gate(self.ca.http_port, self.listen)
        gate.open.set()
        try:
            return timed(lambda: self._mkdir_and_wait(self.new_name("certfs")))
        finally:
            gate.close()

    def _mkdir_and_wait(self, name):
        self.certfs.mkdir(name)
        path, end = self.certfs.path(name, "fullchain.pem"), time.monotonic() + LIMIT_S
        first = os.stat(path).st_ino
        while os.stat(path).st_ino == first:
            if time.monotonic() > end:
                raise NeverHappened(f"{name} is managed\n{self.certfs.tail()}")
            time.sleep(0.002)
        assert self.certfs.source(name) == "managed"

    @staticmethod
    def _run(command, **env):
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise SystemExit(f"bench: {command[0]} failed:\n{done.stdout}{done.stderr}")

    def lego_takes(self):
        command = ["lego", "--accept-tos", "--server", self.ca.directory,
                   "--email", "admin@example.com", "--path", f"{self.folder}/lego",
                   "--http", "--http.port", f"127.0.0.1:{self.ca.http_port}",
                   "--domains", self.new_name("lego"), "run"]
        return timed(lambda: self._run(command, LEGO_CA_CERTIFICATES=self.ca.tls_roots))

    def certbot_takes(self):
        command = ["certbot", "certonly", "--standalone", "--non-interactive",
                   "--agree-tos", "--email", "admin@example.com", "--no-eff-email",
                   "--server", self.ca.directory,
                   "--http-01-address", "127.0.0.1",
                   "--http-01-port", str(self.ca.http_port),
                   "--config-dir", f"{self.folder}/certbot/etc",
                   "--work-dir", f"{self.folder}/certbot/work",
                   "--logs-dir", f"{self.folder}/certbot/log",
                   "--domain", self.new_name("certbot")]
        return timed(lambda: self._run(command, REQUESTS_CA_BUNDLE=self.ca.tls_roots))


def run_ordering(scale, table, folder):
    with contextlib.ExitStack() as stack:
        dns = Challtestsrv(folder)
        stack.callback(dns.stop)
        dns.start()
        ca = Pebble(folder, dns, free_port())
        stack.callback(ca.stop)
        ca.start()
        listen = free_port()
        certfs = Certfs(folder, certfs=QUIETLY, acme=ca.settings(),
                        http_01={"listen": f"127.0.0.1:{listen}"})
        stack.callback(certfs.clean_up)
        certfs.start()
        ordering = Ordering(folder, ca, certfs, listen)
        measures = {"certfs": ordering.certfs_takes}
        for client in ("lego", "certbot"):
            if shutil.which(client):
                measures[client] = getattr(ordering, f"{client}_takes")
            else:
                table.note(f"{client} is not installed, and left out")
        table.add("mkdir to managed certificate", "s", in_turn(scale.orders, measures))
