# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Ordering over ACME from pebble, in all its moods."""

import os
import shutil
import subprocess
import urllib.error
import urllib.request

import pytest

import certificates
import nginx as nginx_of
import pebble as pebble_of
from ports import free_port
from waiting import LIMIT_S, wait_for

NAME = "app.example.com"


def verify(certfs, ca, name=NAME):
    """What is served is a pair, for that name, that chains to the CA's root."""
    subprocess.run(["openssl", "verify", "-CAfile", ca.roots(), "-untrusted",
                    certfs.path(name, "chain.pem"), "-verify_hostname", name,
                    certfs.path(name, "cert.pem")], check=True, capture_output=True)
    assert certificates.belong_together(certfs.read(name, "cert.pem"),
                                        certfs.read(name, "privkey.pem"))
    assert certfs.read(name, "fullchain.pem") == (certfs.read(name, "cert.pem")
                                                  + certfs.read(name, "chain.pem"))


MOODS = {
    "calm": {},
    "half of the nonces refused": {"PEBBLE_WFE_NONCEREJECT": "50"},
    "authorizations never reused": {"PEBBLE_AUTHZREUSE": "0"},
    "authorizations always reused": {"PEBBLE_AUTHZREUSE": "100"},
    "random sleeps": {"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "3"},
    "alternate roots": {"PEBBLE_ALTERNATE_ROOTS": "2"},
}


@pytest.mark.parametrize("mood", MOODS)
def test_certificate_is_ordered_and_served(managed, mood):
    certfs, ca = managed(env=MOODS[mood])
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    verify(certfs, ca)
    assert ca.orders() == 1
    assert ca.requests("sign-me-up") >= 1
    status = certfs.status(NAME)
    assert status["state"] == "ok" and status["error"] is None and status["order"] is None


def test_ten_orders_get_through_refused_nonces(managed):
    certfs, ca = managed(env={"PEBBLE_WFE_NONCEREJECT": "50"})
    names = [f"n{i}.example.com" for i in range(10)]
    for name in names:
        certfs.mkdir(name)
    for name in names:
        certfs.wait_for_source(name, "managed")
    assert ca.orders() == len(names)


def test_order_that_is_ready_at_once_is_finalized(managed):
    certfs, ca = managed(env={"PEBBLE_AUTHZREUSE": "100"})
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    first, challenges = certfs.generation(NAME), ca.requests("chalZ")
    os.utime(certfs.path(NAME, "cert.pem"))
    wait_for(lambda: certfs.generation(NAME) > first, "touch has renewed it")
    assert ca.orders() == 2
    assert ca.requests("chalZ") == challenges
    verify(certfs, ca)


def test_long_chain_is_served_whole(managed):
    certfs, ca = managed(env={"PEBBLE_CHAIN_LENGTH": "3"})
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    assert len(certificates.split_pem(certfs.read(NAME, "chain.pem"))) == 3
    assert len(certificates.split_pem(certfs.read(NAME, "fullchain.pem"))) == 4
    verify(certfs, ca)


def write_eab_key(folder, key):
    path = os.path.join(folder, "eab.key")
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{key}\n")
    os.chmod(path, 0o600)
    shutil.chown(path, "certfs")  # its reader
    return path


def test_external_account_binding_opens_the_account(managed, folder):
    path = write_eab_key(folder, pebble_of.EAB_KEY)
    certfs, ca = managed(eab=True, acme={"eab-kid": pebble_of.EAB_KID, "eab-key-file": path})
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    verify(certfs, ca)


def test_missing_external_account_binding_is_told(managed):
    certfs, ca = managed(eab=True)
    certfs.mkdir(NAME)
    error = certfs.wait_for_error(NAME)
    assert "eab" in error["text"].lower() or "external" in error["text"].lower()
    assert ca.orders() == 0


def test_twenty_domains_are_ordered_side_by_side(managed):
    certfs, ca = managed(env={"PEBBLE_VA_NOSLEEP": "0", "PEBBLE_VA_SLEEPTIME": "5"})
    names = [f"d{i}.example.com" for i in range(20)]
    for name in names:
        certfs.mkdir(name)
    for name in names:
        certfs.wait_for_source(name, "managed")
        verify(certfs, ca, name)
    assert ca.orders() == len(names)
    assert ca.most_at_once() >= 10


def test_alias_is_ordered_into_the_same_certificate(managed):
    certfs, ca = managed()
    certfs.mkdir(NAME)
    os.symlink(NAME, certfs.path("www.example.com"))

    def names(status):
        return sorted(status["serves"]["names"])
    certfs.wait_for_status(NAME, lambda s: s["serves"]["source"] == "managed" and names(s)
                           == [NAME, "www.example.com"], "serves both names")
    verify(certfs, ca)


def test_alias_that_is_pointed_elsewhere_is_ordered_into_the_other_certificate(managed):
    certfs, ca = managed()
    other, alias = "other.example.com", "www.example.com"

    def wait_for_names(name, *names):
        certfs.wait_for_status(name, lambda s: s["serves"]["source"] == "managed"
                               and sorted(s["serves"]["names"]) == sorted(names),
                               f"serves {names}")
    for name in (NAME, other):
        certfs.mkdir(name)
    os.symlink(NAME, certfs.path(alias))
    wait_for_names(NAME, NAME, alias)
    wait_for_names(other, other)
    before = certfs.read(NAME, "cert.pem")
    subprocess.run(["ln", "-sfn", other, certfs.path(alias)], check=True, timeout=LIMIT_S)
    wait_for_names(other, other, alias)
    verify(certfs, ca, other)
    # A name too many is no reason for an order: it leaves with the next renewal.
    assert certfs.read(NAME, "cert.pem") == before
    assert certfs.status(NAME)["aliases"] == []


def test_rmdir_and_mkdir_again_order_nothing(managed):
    certfs, ca = managed()
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    before = certfs.read(NAME, "cert.pem")
    os.rmdir(certfs.path(NAME))
    certfs.mkdir(NAME)
    assert certfs.read(NAME, "cert.pem") == before
    # Another order gets through, so the engine has looked at this name meanwhile.
    certfs.mkdir("other.example.com")
    certfs.wait_for_source("other.example.com", "managed")
    assert ca.orders() == 2


def test_account_is_made_once(managed):
    certfs, ca = managed()
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    certfs.restart()
    certfs.mkdir("other.example.com")
    certfs.wait_for_source("other.example.com", "managed")
    assert ca.accounts() == 1


# How the CA is answered

def test_token_is_in_the_listener_and_in_the_mount(gated):
    certfs, _, gate = gated()
    certfs.mkdir(NAME)
    wait_for(lambda: gate.arrived, "the CA has asked for the token")
    folder = certfs.path(".well-known", "acme-challenge")
    tokens = wait_for(lambda: os.listdir(folder), "the token is in the mount")
    url = f"http://127.0.0.1:{gate.target}/.well-known/acme-challenge/{tokens[0]}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert answer.read().strip() == certfs.read(
            ".well-known", "acme-challenge", tokens[0]).strip()
    gate.open.set()
    certfs.wait_for_source(NAME, "managed")
    wait_for(lambda: not os.listdir(folder), "the token is gone")


def test_listener_tells_nothing_else(managed):
    certfs, ca = managed()
    certfs.mkdir(NAME)
    for path in ("", f"{NAME}/privkey.pem", ".well-known/acme-challenge/",
                 ".well-known/acme-challenge/absent", "../../etc/passwd"):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"http://127.0.0.1:{ca.http_port}/{path}", timeout=60)
        assert error.value.code == 404


def test_web_server_answers_from_the_mount(certfs, pebble, nginx):
    port = free_port()
    ca = pebble(http_port=port)
    daemon = certfs(acme=ca.settings())
    nginx(port, nginx_of.static(port, daemon.mountpoint))
    daemon.mkdir(NAME)
    daemon.wait_for_source(NAME, "managed")
    verify(daemon, ca)


def test_web_server_serves_what_was_ordered(managed, nginx):
    certfs, ca = managed()
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    port = free_port()
    nginx(port, nginx_of.tls(port, certfs.path(NAME)))
    page = subprocess.run(["curl", "--silent", "--show-error", "--fail", "--cacert",
                           ca.roots(), "--connect-to", "::127.0.0.1:",
                           f"https://{NAME}:{port}/"], capture_output=True, text=True,
                          check=True).stdout
    assert page == f"hello from {NAME}"


def test_failed_validation_is_told_and_the_fallback_stays(certfs, pebble):
    ca = pebble()
    daemon = certfs(acme=ca.settings())  # nobody answers the CA
    daemon.mkdir(NAME)
    before = daemon.read(NAME, "cert.pem")
    daemon.wait_for_error(NAME)
    assert daemon.status(NAME)["state"] == "failing"
    assert daemon.read(NAME, "cert.pem") == before
