# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Keys, certificates and every form of them, made with the openssl command."""

import datetime
import os
import subprocess

DAY = datetime.timedelta(days=1)
CONFIG = """
[ca]
default_ca = any
[any]
database = {folder}/index.txt
new_certs_dir = {folder}
default_md = sha256
policy = policy
unique_subject = no
rand_serial = yes
[policy]
commonName = optional
"""
CA = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n"
LEAF = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
KEYS = {
    "rsa1024": ["RSA", "rsa_keygen_bits:1024"], "rsa2048": ["RSA", "rsa_keygen_bits:2048"],
    "rsa4096": ["RSA", "rsa_keygen_bits:4096"],
    "rsa-pss": ["RSA-PSS", "rsa_keygen_bits:2048"],
    "p224": ["EC", "ec_paramgen_curve:P-224"], "p256": ["EC", "ec_paramgen_curve:P-256"],
    "p384": ["EC", "ec_paramgen_curve:P-384"], "p521": ["EC", "ec_paramgen_curve:P-521"],
    "ed25519": ["ED25519"], "ed448": ["ED448"],
}


def run(*args, data=None):
    return subprocess.run(["openssl", *args], input=data, check=True,
                          capture_output=True).stdout


def key_of(kind="p256"):
    algorithm, *options = KEYS[kind]
    return run("genpkey", "-algorithm", algorithm,
               *(word for option in options for word in ("-pkeyopt", option)))


class Issuer:
    """A CA below `above`, or a root; `key` makes it another certificate of the same CA."""

    def __init__(self, folder, name, above=None, key=None):
        self.folder, self.name = os.path.join(folder, name.replace(" ", "-")), name
        os.makedirs(self.folder, exist_ok=True)
        for file, text in (("ca.cnf", CONFIG.format(folder=self.folder)), ("index.txt", "")):
            self._write(file, text.encode())
        self.key = key or key_of()
        self._write("key.pem", self.key)
        issuer = above or self
        self.cert = issuer.certificate(self.key, None, extensions=CA, common_name=name,
                                       days=3650, by_itself=above is None)
        self._write("cert.pem", self.cert)

    def _write(self, file, data):
        path = os.path.join(self.folder, file)
        with open(path, "wb") as out:
            out.write(data)
        return path

    def certificate(self, key, names, extensions=LEAF, common_name="", begin=-1, days=90,
                    by_itself=False):
        """For the SANs `names`; valid from `begin` days from now on until `days` from now."""
        now = datetime.datetime.now(datetime.timezone.utc)
        begins, ends = (f"{now + d * DAY:%Y%m%d%H%M%SZ}" for d in (begin, days))
        if names:
            extensions += f"subjectAltName={','.join(names)}\n"
        leaf = self._write("leaf.pem", key)
        request = self._write("leaf.csr", run(
            "req", "-new", "-key", leaf, "-subj", f"/CN={common_name}" if common_name else "/",
            "-config", os.devnull))
        signer = ["-selfsign"] if by_itself else ["-cert", f"{self.folder}/cert.pem"]
        return run("ca", "-batch", "-notext", "-config", f"{self.folder}/ca.cnf", *signer,
                   "-keyfile", f"{self.folder}/key.pem", "-in", request, "-startdate", begins,
                   "-enddate", ends, "-preserveDN",
                   "-extfile", self._write("extensions", extensions.encode()))
