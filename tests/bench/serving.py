# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Servers that load the certificates of all domains: from certfs, and from ext4."""

import contextlib
import os
import signal
import subprocess
import time

from measuring import in_turn, timed
from many import Filled
from places import disk, readonly
from ports import free_port
from service import Service
from waiting import LIMIT_S

FILES = ("fullchain.pem", "privkey.pem")

NGINX = """daemon off;
user www-data;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 64; }}
http {{
    access_log off;
    server_names_hash_max_size 262144;
    server_names_hash_bucket_size 128;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
{servers}
}}
"""
SERVER = """    server {{ listen 127.0.0.1:{port} ssl; server_name {name};
        ssl_certificate {root}/{name}/fullchain.pem;
        ssl_certificate_key {root}/{name}/privkey.pem; }}
"""
HAPROXY = """defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend tls
    bind 127.0.0.1:{port} ssl crt {root}/.combined/
"""


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return set(file.read().split())


class Server(Service):
    """One that loads its files when it is checked, and in a new process at a signal."""

    def __init__(self, name, folder, config, argv, check, sign):
        os.mkdir(folder, 0o755)
        self.check_argv, self.sign = check, sign
        with open(os.path.join(folder, "conf"), "w", encoding="utf-8") as file:
            file.write(config)
        super().__init__(name, argv, os.path.join(folder, "log"))

    def check(self):
        """Seconds."""
        return timed(lambda: subprocess.run(self.check_argv, check=True,
                                            capture_output=True))

    def begin(self):
        self.start(lambda: bool(children(self.pid)))

    def reload(self):
        """Seconds until the process with the new files is there."""
        before, begun = children(self.pid), time.perf_counter()
        os.kill(self.pid, self.sign)
        while not children(self.pid) - before:
            assert time.perf_counter() - begun < LIMIT_S, self.tail()
            time.sleep(0.001)
        return time.perf_counter() - begun


def nginx(folder, root, names):
    port, path = free_port(), os.path.join(folder, "conf")
    servers = "".join(SERVER.format(port=port, name=name, root=root) for name in names)
    argv = ["nginx", "-p", folder, "-c", path]
    return Server("nginx", folder, NGINX.format(folder=folder, servers=servers), argv,
                  [*argv, "-t"], signal.SIGHUP)


def haproxy(folder, root, _):
    path = os.path.join(folder, "conf")
    return Server("haproxy", folder, HAPROXY.format(port=free_port(), root=root),
                  ["haproxy", "-W", "-f", path], ["haproxy", "-c", "-f", path],
                  signal.SIGUSR2)


def copy_all(certfs, names, root):
    """The same files on another filesystem."""
    for name in names:
        os.mkdir(os.path.join(root, name))
    os.mkdir(os.path.join(root, ".combined"))
    paths = [f"{name}/{file}" for name in names for file in FILES]
    paths += [f".combined/{file}" for file in os.listdir(certfs.path(".combined"))]
    for path in paths:
        with open(os.path.join(root, path), "wb") as out:
            out.write(certfs.read(path))


def measure_server(scale, table, folder, what, make, places, names):
    with contextlib.ExitStack() as stack:
        servers = {}
        for place, root in places.items():
            servers[place] = make(os.path.join(folder, f"{what}-{place}"), root, names)
            stack.callback(servers[place].stop)
        table.add_both(f"{what}: check of {len(names):,} names", "s", in_turn(
            3, {place: server.check for place, server in servers.items()}))
        for server in servers.values():
            server.begin()
        table.add_both(f"{what}: reload", "s", in_turn(
            3, {place: server.reload for place, server in servers.items()}))


def run_serving(scale, table, folder):
    with contextlib.ExitStack() as stack:
        certfs = Filled(folder, scale.served)
        stack.callback(certfs.clean_up)
        certfs.first_byte()
        names = [name for name in sorted(os.listdir(certfs.mountpoint))
                 if name != "fallback"]
        kind, on_disk = disk(stack, folder, table)
        copy_all(certfs, names, on_disk)
        places = {"certfs": certfs.mountpoint, "read-only": readonly(stack, certfs),
                  kind: on_disk}
        for what, make in (("nginx", nginx), ("HAProxy", haproxy)):
            measure_server(scale, table, folder, what, make, places, names)
