# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Real servers on the mounts, with clients at work while a certificate changes."""

import hashlib
import os
import shutil
import ssl
import subprocess

import pytest

from certificates import Authority, Pair, pem, split_pem
from handshakes import Handshakes
from mount import BINARY, SANITIZERS, abort
from nginx import tls
from ports import free_port
from waiting import LIMIT_S, wait_for

NAME = "app.example.com"
CLIENTS = 4

# Says whom a server would get now, then has nginx (where it runs already) look.
HOOK = """#!/bin/sh
sha256sum <{directory}/cert.pem | cut -d' ' -f1 >>{folder}/hook.out
[ ! -s {folder}/nginx.pid ] || exec {nginx} -p {folder} -c {folder}/nginx.conf -s reload
"""


def fingerprint(certificate):
    """Of the first certificate of a PEM, as a client sees it."""
    der = ssl.PEM_cert_to_DER_cert(split_pem(certificate)[0].decode())
    return hashlib.sha256(der).hexdigest()


class Scene:
    """nginx that serves NAME out of `mount`, and is reloaded by the on-change hook."""

    def __init__(self, folder, certfs, mount):
        self.folder, self.certfs, self.port = folder, certfs, free_port()
        self.mountpoint = certfs.mountpoint
        self.nginx = None
        if mount == "ro":
            self.mountpoint = os.path.join(folder, "ro")
            os.mkdir(self.mountpoint)
            done = subprocess.run(
                [BINARY, "mount", "-o", f"ro,of={certfs.mountpoint}", self.mountpoint],
                capture_output=True, text=True, check=False, timeout=LIMIT_S,
                env={**os.environ, **SANITIZERS})
            assert done.returncode == 0, done.stderr

    @property
    def directory(self):
        return os.path.join(self.mountpoint, NAME)

    def served(self):
        with open(os.path.join(self.directory, "cert.pem"), "rb") as file:
            return file.read()

    def hook_found(self, certificate):
        """Whether the last run of the hook has found it."""
        try:
            with open(os.path.join(self.folder, "hook.out"), encoding="utf-8") as file:
                return file.read().split()[-1:] == [hashlib.sha256(certificate).hexdigest()]
        except FileNotFoundError:
            return False

    def wait_for_hook(self, certificate):
        wait_for(lambda: self.hook_found(certificate),
                 f"the hook runs when {self.directory} serves it\n{self.certfs.tail()}")

    def rotates(self, roots, rotate):
        """rotate() has certfs serve another certificate, and waits until it does."""
        before = self.certfs.read(NAME, "cert.pem")
        with Handshakes(self.port, NAME, roots, CLIENTS) as clients:
            assert clients.all_got(fingerprint(before))
            rotate()
            after = self.certfs.read(NAME, "cert.pem")
            assert after != before
            self.wait_for_hook(after)
            # Those that end answer who had connected to them before.
            wait_for(lambda: clients.faults or clients.all_got(fingerprint(after))
                     and len(self.nginx.workers()) == 1,
                     "every client gets the new certificate")
            clients.all_go_on()
        assert clients.faults == []
        assert clients.all_got(fingerprint(after))


@pytest.fixture(params=["rw", "ro"])
def scene(request, folder, nginx):
    made = []

    def make(start):
        """start(**settings) starts certfs and has it serve NAME."""
        script = os.path.join(folder, "hook")
        mountpoint = os.path.join(folder, "ro" if request.param == "ro" else "mnt")
        with open(script, "w", encoding="utf-8") as file:
            file.write(HOOK.format(folder=folder, nginx=shutil.which("nginx"),
                                   directory=os.path.join(mountpoint, NAME)))
        os.chmod(script, 0o755)
        one = Scene(folder, start(hook={"on-change": script, "delay": 0}), request.param)
        made.append(one)
        return one

    def serve(one):
        certificate = one.certfs.read(NAME, "cert.pem")
        one.wait_for_hook(certificate)
        assert one.served() == certificate
        one.nginx = nginx(one.port, tls(one.port, one.directory))
        return one
    make.serve = serve
    yield make
    for one in made:
        if one.mountpoint != one.certfs.mountpoint:
            abort(one.mountpoint)


def test_no_handshake_fails_when_a_certificate_is_replaced(scene, certfs, folder):
    authority = Authority()
    roots = os.path.join(folder, "roots.pem")
    with open(roots, "wb") as file:
        file.write(pem(authority.root))

    def copy():
        paths = Pair(authority, [NAME]).write(folder, "new-")
        for source, target in (("fullchain", "fullchain.pem"), ("key", "privkey.pem")):
            subprocess.run(["cp", paths[source], one.certfs.path(NAME, target)], check=True)
    one = scene(certfs)
    one.certfs.mkdir(NAME)
    copy()
    scene.serve(one)
    one.rotates(roots, copy)


def test_no_handshake_fails_when_a_certificate_is_renewed(scene, managed):
    cas = []

    def start(**settings):
        daemon, ca = managed(**settings)
        cas.append(ca)
        return daemon

    def renew():
        before = one.certfs.generation(NAME)
        os.utime(one.certfs.path(NAME, "cert.pem"))
        one.certfs.wait_for_status(
            NAME, lambda status: status["serves"]["generation"] > before, "is renewed")
    one = scene(start)
    one.certfs.mkdir(NAME)
    one.certfs.wait_for_source(NAME, "managed")
    scene.serve(one)
    one.rotates(cas[0].roots(), renew)
