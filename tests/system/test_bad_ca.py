# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A CA that is away, wrong or hostile: told in status and log, and nothing else happens."""

import re

import pytest

import certificates
from fake_ca import Answer
from mount import SERVED
from ports import free_port
from waiting import wait_for

NAME = "app.example.com"
DAY = 24 * 3600
ENOUGH = 16 << 20  # bytes; far more than any answer may have, sockets' buffers included


def contents(certfs):
    return {name: certfs.read(NAME, name) for name in SERVED}


def fails_and_serves_on(certfs):
    """An order fails; its reason is told everywhere; what was served before is served after,
    by the same workers. Returns the reason."""
    workers = {role: certfs.worker(role) for role in ("fs", "net")}
    certfs.mkdir(NAME)
    before = contents(certfs)
    text = certfs.wait_for_error(NAME)["text"]
    assert text and text.isprintable()
    status = certfs.status(NAME)
    assert (status["state"], status["next"]["what"]) == ("failing", "next try")
    assert text in certfs.read(NAME, "status").decode()
    said = certfs.command("status", "-m", certfs.mountpoint, NAME)
    assert said.returncode == 0 and text in " ".join(said.stdout.split()), said
    assert any(text in line and " warning: " in line and NAME in line
               for line in certfs.text().splitlines())
    assert contents(certfs) == before
    assert certificates.belong_together(before["cert.pem"], before["privkey.pem"])
    assert certfs.source(NAME) == "self-signed fallback"
    # Nobody waits for announce to start.
    assert {**certfs.children(), **workers} == certfs.children()
    return text


# Answers that are none. They have what an honest one has in its head, so that it is their
# body that is told.

def answer(ca, body, kind="application/json"):
    return Answer(body, 200, {"Content-Type": kind, "Location": f"{ca.url}/order/0"})


def not_json(ca, _):
    return answer(ca, b"<html>It works!</html>", "text/html")


def no_object(ca, _):
    return answer(ca, [1, 2, 3])


def deep(ca, _):
    return answer(ca, b"[" * 100000)


def begin(ca, request, **headers):
    """The head of an answer whose body is sent by hand."""
    handler = request.handler
    handler.close_connection = True
    handler.send_response(200)
    head = {"Content-Type": "application/json", "Location": f"{ca.url}/order/0",
            "Replay-Nonce": "once", **headers}
    for name, value in head.items():
        handler.send_header(name, value)
    return handler


def pour(ca, handler, data):
    while True:
        handler.wfile.write(data)
        ca.sent += len(data)


def endless(ca, request):
    handler = begin(ca, request)
    handler.end_headers()
    pour(ca, handler, b'{"a":"' + b"x" * 65536)


def endless_head(ca, request):
    handler = begin(ca, request)
    handler.flush_headers()
    pour(ca, handler, b"X-More: " + b"x" * 8192 + b"\r\n")


def truncated(ca, request):
    handler = begin(ca, request, **{"Content-Length": "1000"})
    handler.end_headers()
    handler.wfile.write(b'{"newNonce": "https:')


def silent(ca, _):
    ca.ended.wait()


def server_error(*_):
    return Answer({"type": "urn:ietf:params:acme:error:serverInternal",
                   "detail": "out of order"}, 500,
                  {"Content-Type": "application/problem+json"})


def problem_of_wrong_types(*_):
    return Answer({"type": 7, "detail": ["x"], "subproblems": "none"}, 400,
                  {"Content-Type": "application/problem+json", "Retry-After": "soon"})


# Directories, and what the reason must say of them.

def lacks_new_order(ca, request):
    body = ca.dir(request).body
    del body["newOrder"]
    return Answer(body)


def wrong_types(ca, request):
    return Answer({**ca.dir(request).body, "newOrder": 42})


def elsewhere(ca, request):
    return Answer({**ca.dir(request).body, "newOrder": "file:///etc/passwd"})


def redirect_loop(ca, _):
    return Answer(b"", 302, {"Location": f"{ca.url}/dir"})


DIRECTORIES = {
    not_json: "of type 'text/html', not application/json",
    no_object: "no JSON object",
    deep: "no JSON: ",
    lacks_new_order: "no member 'newOrder'",
    wrong_types: "'newOrder' is no text",
    elsewhere: "'newOrder' is no https address: file:///etc/passwd",
    endless: "longer than ",
    endless_head: "bytes of headers",
    truncated: "bytes remaining|unexpected eof",  # by HTTP's count or, first, by TLS
    silent: "timed out",
    redirect_loop: "redirects to ",
    server_error: "out of order",
    problem_of_wrong_types: "400",
}


def cases(names, words):
    """One case for each step that is replaced, with what its reason must say."""
    return pytest.mark.parametrize(names, words.items(), ids=[f.__name__ for f in words])


@cases("directory, says", DIRECTORIES)
def test_directory_that_is_none_is_told(certfs, fake, directory, says):
    ca = fake(dir=directory)
    daemon = certfs(acme=ca.settings(timeout=1 if directory is silent else 30))
    text = fails_and_serves_on(daemon)
    assert re.search(says, text) and "reading the CA's directory" in text
    assert ca.sent < ENOUGH
    assert set(ca.seen) == {"dir"}


def forged_lines(*_):
    return Answer({"type": "urn:ietf:params:acme:error:serverInternal",
                   "detail": "a\n2026-01-01T00:00:00Z certfs[fs] error: forged\x1b[2J"}, 500,
                  {"Content-Type": "application/problem+json"})


def test_words_of_a_ca_forge_no_line(certfs, fake):
    daemon = certfs(acme=fake(dir=forged_lines).settings())
    assert "forged" in fails_and_serves_on(daemon)
    for text in (daemon.text(), daemon.read(NAME, "status").decode(),
                 daemon.read(".certfs", "events").decode()):
        assert "forged" in text and "\n2026-01-01" not in text and "\x1b" not in text


def test_scripted_ca_is_honest_when_nothing_is_replaced(certfs, fake):
    """What the other tests see comes from the step that they replace."""
    daemon = certfs(acme=fake().settings())
    daemon.mkdir(NAME)
    daemon.wait_for_source(NAME, "managed")
    assert daemon.status(NAME)["error"] is None


# Later steps

STEPS = {
    "account": "making the account", "neworder": "placing the order",
    "finalize": "asking for the certificate", "certificate": "fetching the certificate",
}
NONSENSE = [not_json, no_object, endless, truncated, server_error, problem_of_wrong_types]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda f: f.__name__)
def test_nonsense_at_any_step_is_told(certfs, fake, step, nonsense):
    ca = fake(**{step: nonsense})
    text = fails_and_serves_on(certfs(acme=ca.settings()))
    assert STEPS[step] in text
    if step == "certificate" and nonsense is no_object:
        assert "not application/pem-certificate-chain" in text
    else:
        assert re.search(DIRECTORIES[nonsense].split(",")[0], text)
    assert ca.sent < ENOUGH


def no_nonce(*_):
    return Answer(headers={"Replay-Nonce": None})


@cases("nonce, says", {no_nonce: "no nonce", server_error: "500"})
def test_ca_without_a_nonce_is_told(certfs, fake, nonce, says):
    assert says in fails_and_serves_on(certfs(acme=fake(nonce=nonce).settings()))


def changed(ca, request, status="ready", **members):
    honest = ca.neworder(request)
    return Answer({**honest.body, "status": status, **members}, 201, honest.headers)


def status_is_a_number(ca, request):
    return changed(ca, request, status=7)


def authorizations_are_text(ca, request):
    return changed(ca, request, status="pending", authorizations="none")


def finalize_is_null(ca, request):
    return changed(ca, request, finalize=None)


def finalize_is_a_file(ca, request):
    return changed(ca, request, finalize="file:///etc/passwd")


@cases("order, says", {
    status_is_a_number: "'status' is no text",
    authorizations_are_text: "'authorizations' is no list",
    finalize_is_null: "'finalize' is no text",
    finalize_is_a_file: "'finalize' is no https address: file:///etc/passwd",
})
def test_order_with_wrong_types_is_told(certfs, fake, order, says):
    assert says in fails_and_serves_on(certfs(acme=fake(neworder=order).settings()))


def is_pending(ca, request):
    return changed(ca, request, status="pending")


def challenges_are_a_number(ca, request):
    return Answer({**ca.authz(request).body, "status": "pending", "challenges": 3})


def token_is_a_path(ca, request):
    body = {**ca.authz(request).body, "status": "pending"}
    body["challenges"][0].update(status="pending", token="../../../etc/passwd")
    return Answer(body)


@cases("authz, says", {challenges_are_a_number: "'challenges' is no list",
                       token_is_a_path: "token is not base64url"})
def test_authorization_with_wrong_types_is_told(certfs, fake, authz, says):
    ca = fake(neworder=is_pending, authz=authz)
    assert says in fails_and_serves_on(certfs(acme=ca.settings()))
    assert "challenge" not in ca.seen


# Certificates that are none of ours

def for_another_key(ca, request):
    return ca.finalize(request, key=certificates.new_key().public_key())


def for_another_name(ca, request):
    return ca.finalize(request, names=["mail.example.com"])


@cases("finalize, says", {
    for_another_key: "the private key belongs to another certificate",
    for_another_name: f"is for mail.example.com, this directory is {NAME}",
})
def test_chain_that_does_not_match_is_not_served(certfs, fake, finalize, says):
    text = fails_and_serves_on(certfs(acme=fake(finalize=finalize).settings()))
    assert "the certificate that the CA issued is refused" in text and says in text


def no_pem(*_):
    return Answer(b"hello\n", 200, {"Content-Type": "application/pem-certificate-chain"})


def test_chain_that_does_not_parse_is_not_served(certfs, fake):
    text = fails_and_serves_on(certfs(acme=fake(certificate=no_pem).settings()))
    assert STEPS["certificate"] in text and "no PEM block" in text


# The way to the CA

def test_unreachable_ca_is_told_with_its_address(certfs):
    port = free_port()
    text = fails_and_serves_on(certfs(acme={"directory": f"https://localhost:{port}/dir"}))
    assert "connect" in text and f"https://localhost:{port}/dir" in text


def test_ca_with_an_untrusted_certificate_is_told(certfs, fake):
    settings = fake().settings()
    del settings["roots-file"]
    text = fails_and_serves_on(certfs(acme=settings))
    assert "certificate" in text and "roots-file" in text


def test_ca_without_an_address_is_told(certfs):
    text = fails_and_serves_on(certfs(acme={"directory": "https://ca.invalid/dir"}))
    assert "https://ca.invalid/dir" in text and "DNS" in text


def test_ca_that_comes_back_is_used(certfs, fake, clock):
    ca = fake(dir=server_error)
    daemon = certfs(acme=ca.settings(), certfs=clock.settings)
    fails_and_serves_on(daemon)
    ca.steps.clear()
    clock(2 * DAY)
    daemon.wait_for_source(NAME, "managed")
    wait_for(lambda: daemon.status(NAME)["state"] == "ok", "all is well again")
