# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""ACME clients that Debian has, each ordering from one CA: first, and once more by force."""

import os
import subprocess

SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"


def run(command, **env):
    done = subprocess.run(command, env={**os.environ, **env}, capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"


class Lego:
    webroot = False

    def __init__(self, ca, folder, name):
        self.path, self.name = os.path.join(folder, "lego"), name
        self.command = ["lego", "--accept-tos", "--server", ca.directory,
                        "--email", "admin@example.com", "--path", self.path, "--http",
                        "--http.port", f"127.0.0.1:{ca.http_port}", "--domains", name]
        self.env = {"LEGO_CA_CERTIFICATES": ca.tls_roots}

    def order(self):
        run([*self.command, "run"], **self.env)

    def renew(self):
        run([*self.command, "renew", "--days", "1000", "--no-random-sleep"], **self.env)

    def chain(self):
        return os.path.join(self.path, "certificates", f"{self.name}.crt")


class Certbot:
    webroot = False

    def __init__(self, ca, folder, name):
        self.path, self.name = os.path.join(folder, "certbot"), name
        self.command = ["certbot", "certonly", "--standalone", "--non-interactive",
                        "--agree-tos", "--email", "admin@example.com", "--no-eff-email",
                        "--server", ca.directory, "--http-01-address", "127.0.0.1",
                        "--http-01-port", str(ca.http_port),
                        "--config-dir", f"{self.path}/etc", "--work-dir", f"{self.path}/work",
                        "--logs-dir", f"{self.path}/log", "--domain", name]
        self.env = {"REQUESTS_CA_BUNDLE": ca.tls_roots}

    def order(self):
        run(self.command, **self.env)

    def renew(self):
        run([*self.command, "--force-renewal"], **self.env)

    def chain(self):
        return os.path.join(self.path, "etc", "live", self.name, "fullchain.pem")


class Uacme:
    """Its TLS library takes no roots but the system's: others lie over them, for it alone."""
    webroot = True

    def __init__(self, ca, folder, name):
        self.path, self.name, self.registered = os.path.join(folder, "uacme"), name, False
        script = f'mount --bind {ca.tls_roots} {SYSTEM_ROOTS}; exec uacme "$@"'
        self.command = ["unshare", "--mount", "sh", "-euc", script, "uacme", "--confdir",
                        self.path, "--acme-url", ca.directory, "--hook",
                        "/usr/share/uacme/uacme.sh"]
        self.env = {"UACME_CHALLENGE_PATH":
                    os.path.join(folder, "www", ".well-known", "acme-challenge")}

    def order(self, *how):
        if not self.registered:
            run([*self.command, "--yes", "new", "admin@example.com"])
            self.registered = True
        run([*self.command, *how, "issue", self.name], **self.env)

    def renew(self):
        self.order("--force")

    def chain(self):
        return os.path.join(self.path, self.name, "cert.pem")


CLIENTS = {"lego": Lego, "certbot": Certbot, "uacme": Uacme}
