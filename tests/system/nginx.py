# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""nginx in a folder of its own, with the server blocks that a test writes."""

import os

from ports import listens
from service import Service

MAIN = """daemon off;
user www-data;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 64; }}
http {{
    access_log {folder}/nginx-access.log;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
{servers}
}}
"""


class Nginx(Service):
    def __init__(self, folder, port, servers):
        self.port = port
        config = os.path.join(folder, "nginx.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write(MAIN.format(folder=folder, servers=servers))
        super().__init__("nginx", ["nginx", "-p", folder, "-c", config],
                         os.path.join(folder, "nginx.log"))

    def start(self, ready=None):
        return super().start(ready or (lambda: listens(self.port)))

    def workers(self):
        """During a reload those that end, too."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="utf-8") as file:
            return file.read().split()


def static(port, root):
    return f"server {{ listen 127.0.0.1:{port}; location / {{ root {root}; }} }}"


def tls(port, directory, name="app.example.com"):
    return (f"server {{ listen 127.0.0.1:{port} ssl; server_name {name};"
            f" ssl_certificate {directory}/fullchain.pem;"
            f" ssl_certificate_key {directory}/privkey.pem;"
            f" location / {{ return 200 'hello from {name}'; }} }}")
