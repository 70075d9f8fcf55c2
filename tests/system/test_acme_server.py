# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""certfs and other clients at the strict ACME server of tests/acme-server."""

import os
import subprocess

import pytest

import nginx as nginx_of
from other_clients import CLIENTS
from ports import free_port
from test_acme import verify
from waiting import wait_for

NAME = "app.example.com"
# What an order takes once directory, nonces and account are there.
FEWEST = {"newOrder": 1, "authz": 2, "challenge": 1, "finalize": 1, "order": 1,
          "certificate": 1}
FEWEST_REUSED = {"newOrder": 1, "finalize": 1, "order": 1, "certificate": 1}
BEGIN = {"directory": 1, "newNonce": 1, "newAccount": 1}


@pytest.fixture
def ordering(acme_server, certfs):
    """ordering(roots=2, ...) is a (certfs, server) where the one orders from the other."""
    def make(acme=None, **options):
        ca = acme_server(**options)
        return certfs(acme=ca.settings(**(acme or {})),
                      http_01={"listen": f"127.0.0.1:{ca.http_port}"}), ca
    return make


def renew(certfs, name=NAME):
    before = certfs.generation(name)
    os.utime(certfs.path(name, "cert.pem"))
    wait_for(lambda: certfs.generation(name) > before, f"{name} is renewed\n{certfs.tail()}")


# certfs

def test_certfs_asks_no_more_than_it_must(ordering):
    certfs, ca = ordering()
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    verify(certfs, ca)
    assert ca.counts() == {**BEGIN, **FEWEST}
    ca.forget_requests()
    certfs.mkdir("other.example.com")
    certfs.wait_for_source("other.example.com", "managed")
    assert ca.counts() == FEWEST and sum(FEWEST.values()) == 7
    ca.forget_requests()
    renew(certfs)
    verify(certfs, ca)
    assert ca.counts() == FEWEST_REUSED and sum(FEWEST_REUSED.values()) == 4


def test_certfs_renews_without_reuse_of_authorizations(ordering):
    certfs, ca = ordering()
    ca.change(authz_reuse=False)
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    ca.forget_requests()
    renew(certfs)
    assert ca.counts() == FEWEST


def test_certfs_orders_names_side_by_side(ordering):
    certfs, ca = ordering()
    names = [f"n{i}.example.com" for i in range(10)]
    for name in names:
        certfs.mkdir(name)
    for name in names:
        certfs.wait_for_source(name, "managed")
    counts = ca.counts()
    assert counts["directory"] == counts["newAccount"] == 1
    assert {kind: counts[kind] for kind in FEWEST} == {kind: 10 * n for kind, n
                                                       in FEWEST.items()}


SLOW = {"challenge_processing": True, "validation_polls": 1, "issuance_polls": 1,
        "poll_retry_after": 1}


@pytest.mark.parametrize("settings", [SLOW, {**SLOW, "retry_after_date": True},
                                      {"finalize_valid": True}],
                         ids=["seconds", "date", "valid at once"])
def test_certfs_waits_for_as_long_as_the_ca_says(ordering, settings):
    certfs, ca = ordering()
    ca.change(**settings)
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    verify(certfs, ca)
    slow = "validation_polls" in settings
    assert ca.counts()["authz"] == (3 if slow else 2)
    assert ca.counts().get("order", 0) == (2 if slow else 0)


def test_certfs_takes_another_nonce_where_one_is_refused(ordering):
    certfs, ca = ordering()
    ca.faults("newOrder@1-2: badNonce", "finalize@1: badNonce")
    certfs.mkdir(NAME)
    certfs.wait_for_source(NAME, "managed")
    assert ca.hits() == [2, 1]
    assert ca.counts()["newOrder"] == 3


def test_certfs_heeds_a_rate_limit(ordering):
    certfs, ca = ordering()
    ca.faults("newOrder: problem rateLimited retry-after=3600 detail='too many orders'")
    certfs.mkdir(NAME)
    assert "too many orders" in certfs.wait_for_error(NAME)["text"]
    assert ca.hits() == [1]


@pytest.mark.parametrize("kind", [*BEGIN, *FEWEST])
def test_certfs_goes_on_where_an_answer_was_lost(acme_server, certfs, clock, kind):
    """The step is done, and the CA's answer never comes: one certificate, one order."""
    ca = acme_server(clock_offset_file=clock.path)
    daemon = certfs(certfs=clock.settings, acme=ca.settings(),
                    http_01={"listen": f"127.0.0.1:{ca.http_port}"})
    ca.faults(f"{kind}@1: reset done")
    daemon.mkdir(NAME)
    # curl sends once more by itself what was lost on a connection that had served before.
    status = daemon.wait_for_status(NAME, lambda s: s["error"] or s["serves"]["source"]
                                    == "managed", "is served or fails")
    if status["error"]:
        clock(120)
    daemon.wait_for_source(NAME, "managed")
    verify(daemon, ca)
    assert ca.hits() == [1] and len(ca.certificates()) == 1
    assert len({one["url"] for one in ca.log_of("order")}) == 1
    assert len(ca.validations()) == 1
    done = {one: sum(each["status"] in (200, 201) for each in ca.log_of(one))
            for one in ("newOrder", "challenge", "finalize") if one != kind}
    assert set(done.values()) == {1}, done


@pytest.mark.parametrize("how", ["key", "name", "expired", "garbage", "empty", "with-key"])
def test_certfs_serves_no_chain_that_is_wrong(ordering, how):
    certfs, ca = ordering()
    ca.faults(f"certificate: chain {how}")
    certfs.mkdir(NAME)
    certfs.wait_for_error(NAME)
    assert certfs.source(NAME) == "self-signed fallback"


# Others

@pytest.fixture
def other(acme_server, nginx, folder):
    """other(client) is a (client, server), with a web server where it needs one."""
    def make(which):
        ca, client = acme_server(http_port=free_port()), CLIENTS[which]
        if client.webroot:
            os.makedirs(os.path.join(folder, "www", ".well-known", "acme-challenge"))
            nginx(ca.http_port, nginx_of.static(ca.http_port, f"{folder}/www"))
        return client(ca, folder, f"{which}.example.com"), ca
    return make


def verified(ca, client):
    subprocess.run(["openssl", "verify", "-CAfile", ca.roots(), "-untrusted", client.chain(),
                    "-verify_hostname", client.name, client.chain()], check=True,
                   capture_output=True)


@pytest.mark.parametrize("which", CLIENTS)
def test_other_client_gets_a_certificate(other, which):
    client, ca = other(which)
    for step in (client.order, client.renew):
        step()
        assert ca.violations() == []
        verified(ca, client)
    assert len(ca.certificates()) == 2 and len(ca.validations()) == 1


# What they are known to do that the server does not forgive, as Debian 12 has them; later
# versions may have mended it. Debian 13's are other versions.
BOOKWORM = subprocess.run(["grep", "-q", "^VERSION_CODENAME=bookworm", "/etc/os-release"],
                          check=False).returncode == 0


@pytest.mark.skipif(not BOOKWORM, reason="is about the versions in Debian 12")
@pytest.mark.parametrize("which, kind", [("lego", "order"), ("certbot", "order"),
                                         ("uacme", "challenge")])
def test_other_client_asks_again_before_retry_after_is_over(other, which, kind):
    client, ca = other(which)
    ca.change(**{**SLOW, "poll_retry_after": 3})
    client.order()
    verified(ca, client)
    assert {(one["rule"], one["kind"]) for one in ca.violations()} == {("retry-after", kind)}
    ca.excuse("retry-after")


@pytest.mark.skipif(not BOOKWORM, reason="is about the versions in Debian 12")
def test_uacme_sends_again_what_was_lost_as_another_content_type(other):
    client, ca = other("uacme")
    ca.faults("finalize@1: reset done")
    with pytest.raises(AssertionError, match="x-www-form-urlencoded"):
        client.order()
    assert [one["rule"] for one in ca.violations()] == ["content-type"]
    ca.excuse("content-type")


@pytest.mark.parametrize("which", CLIENTS)
def test_other_client_takes_another_nonce_where_one_is_refused(other, which):
    client, ca = other(which)
    ca.faults("newOrder@1: badNonce")
    client.order()
    assert ca.hits() == [1] and ca.violations() == []
    verified(ca, client)
