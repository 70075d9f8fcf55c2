# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The ACME server of tests/acme-server itself: what it forbids, and what it can feign."""

import email.utils
import http.client
import os
import ssl
import subprocess
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

import acme_client
from acme_client import Client, Key, Web, b64, csr, dumps
from acme_server import AcmeServer
from certificates import split_pem

NAME = "app.example.com"
HOUR, DAY = 3600, 24 * 3600


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A server takes a while to start, and none to begin anew."""
    one = AcmeServer(str(tmp_path_factory.mktemp("acme"))).start()
    yield one
    one.stop()
    assert one.unexpected() == [], one.tail()


@pytest.fixture
def server(shared):
    """As new; what its client does wrong fails the test that doesn't excuse it."""
    shared.reset()
    yield shared
    assert shared.unexcused() == []
    shared.tell("DELETE", "violations")


@pytest.fixture
def client(server):
    """An account, its nonces; `client.ca` is the server."""
    made = Client(server)
    assert made.register().status == 201
    return made


@pytest.fixture
def web(server):
    made = Web(server.http_port)
    yield made
    made.close()


def wrong(client, rule, answer, status, problem="malformed"):
    """The answer is that problem, and the only violation is of that rule."""
    assert (answer.status, answer.problem) == (status, problem), answer.body
    found = client.ca.violations()
    assert [one["rule"] for one in found] == [rule], found
    assert found[0]["text"]
    client.ca.excuse(rule)


def new_order(client, name=NAME):
    return client.directory["newOrder"], {"identifiers": [{"type": "dns", "value": name}]}


# Rules of every request

HTTP = {
    "user-agent": ({"User-Agent": None}, 400),
    "content-type": ({"Content-Type": "application/json"}, 415),
}


@pytest.mark.parametrize("rule", HTTP)
def test_wrong_header_field_is_a_violation(client, rule):
    headers, status = HTTP[rule]
    wrong(client, rule, client.post(*new_order(client), headers=headers), status)


HEADERS = {
    "another url": ({"url": "https://localhost/elsewhere"}, "jws-url", 401, "unauthorized"),
    "no url": ({"url": None}, "jws-url", 401, "unauthorized"),
    "no alg": ({"alg": None}, "jws-alg", 400, "badSignatureAlgorithm"),
    "alg none": ({"alg": "none"}, "jws-alg", 400, "badSignatureAlgorithm"),
    "alg of a MAC": ({"alg": "HS256"}, "jws-alg", 400, "badSignatureAlgorithm"),
    "alg of another key": ({"alg": "RS256"}, "jws-alg", 400, "malformed"),
    "unknown nonce": ({"nonce": "bm90IGdpdmVuIG91dA"}, "nonce-unknown", 400, "badNonce"),
    "nonce of another type": ({"nonce": 7}, "nonce-missing", 400, "badNonce"),
    "unknown account": ({"kid": "https://localhost/1"}, "jws-kid", 400,
                        "accountDoesNotExist"),
    "key and account": ({"jwk": Key().jwk}, "jws-kid", 400, "malformed"),
    "key instead of account": ({"jwk": Key().jwk, "kid": None}, "jws-kid", 400, "malformed"),
    "an extension": ({"crit": ["b64"], "b64": False}, "jws-form", 400, "malformed"),
}


@pytest.mark.parametrize("what", HEADERS)
def test_wrong_protected_header_is_a_violation(client, what):
    how, rule, status, problem = HEADERS[what]
    answer = client.post(*new_order(client), **how)
    wrong(client, rule, answer, status, problem)
    if problem == "badSignatureAlgorithm":
        assert "ES256" in answer.json["algorithms"]


def test_algorithm_that_the_server_lacks_is_told_and_no_violation(client):
    answer = client.post(*new_order(client), alg="ES256K")
    assert answer.problem == "badSignatureAlgorithm" and answer.json["algorithms"]


def test_nonce_is_good_once(client):
    url, payload = new_order(client)
    nonce = client.nonce()
    assert client.post(url, payload, nonce=nonce).status == 201
    answer = client.post(url, payload, nonce=nonce)
    wrong(client, "nonce-reused", answer, 400, "badNonce")
    assert client.post(url, payload, nonce=answer.headers["Replay-Nonce"]).status == 201


def test_nonce_that_the_server_lost_is_no_violation(client):
    client.ca.tell("POST", "nonces/forget")
    url, payload = new_order(client)
    assert client.post(url, payload).problem == "badNonce"
    assert client.post(url, payload).status == 201


def mangled(change):
    def send(client):
        url, payload = new_order(client)
        return client.send(url, change(client.key.jws(client.header(url), dumps(payload))))
    return send


def signed_otherwise(jws):
    return {**jws, "signature": b64(bytes(64))}


BODIES = {
    "no JSON": (mangled(lambda jws: b"{"), "jws-form", 400),
    "padded base64": (mangled(lambda jws: {**jws, "payload": jws["payload"] + "="}),
                      "jws-form", 400),
    "general serialization": (mangled(lambda jws: {
        "payload": jws["payload"], "signatures": [jws]}), "jws-form", 400),
    "unprotected header": (mangled(lambda jws: {**jws, "header": {"kid": "x"}}),
                           "jws-form", 400),
    "another's signature": (mangled(signed_otherwise), "jws-signature", 400),
    "too long": (mangled(lambda jws: {**jws, "signature": "A" * 60000}), "body-size", 413),
    "no object": (lambda client: client.post(client.directory["newOrder"], [1]),
                  "payload", 400),
    "no payload": (lambda client: client.post(client.directory["newOrder"]), "payload", 400),
}


@pytest.mark.parametrize("what", BODIES)
def test_wrong_body_is_a_violation(client, what):
    send, rule, status = BODIES[what]
    wrong(client, rule, send(client), status)


PATHS = {
    "a resource by GET": (lambda c: c.ask("GET", c.order(NAME).location), "method", 405),
    "an address of its own": (lambda c: c.post(f"{c.ca.directory}/new-order", {}),
                              "unknown-url", 404),
    "an order with a payload": (lambda c: c.post(c.order(NAME).location, {}),
                                "post-as-get", 400),
}


@pytest.mark.parametrize("what", PATHS)
def test_wrong_way_to_a_resource_is_a_violation(client, what):
    send, rule, status = PATHS[what]
    wrong(client, rule, send(client), status)


def test_another_accounts_order_is_not_shown(client):
    order = client.order(NAME)
    other = Client(client.ca)
    other.register()
    wrong(client, "account-foreign", other.post(order.location), 403, "unauthorized")


# Accounts

def test_account_is_made_once_found_changed_and_closed(client):
    again = client.post(client.directory["newAccount"], {"onlyReturnExisting": True},
                        kid=None, jwk=client.key.jwk)
    assert (again.status, again.location) == (200, client.kid)
    changed = client.post(client.kid, {"contact": ["mailto:a@example.com"]})
    assert changed.json["contact"] == ["mailto:a@example.com"]
    assert client.post(client.kid, {"status": "deactivated"}).json["status"] == "deactivated"
    answer = client.order(NAME)
    assert (answer.status, answer.problem) == (401, "unauthorized")


ACCOUNTS = {
    "no terms": ({"termsOfServiceAgreed": False}, "terms", "malformed"),
    "no mail address": ({"contact": ["mailto:nobody"]}, "contact", "invalidContact"),
    "two in one": ({"contact": ["mailto:a@b.org,c@d.org"]}, "contact", "invalidContact"),
}


@pytest.mark.parametrize("what", ACCOUNTS)
def test_wrong_account_is_a_violation(server, what):
    payload, rule, problem = ACCOUNTS[what]
    client = Client(server)
    wrong(client, rule, client.register(**payload), 400, problem)


def test_account_key_that_is_weak_is_refused(server):
    client = Client(server)
    client.key.jwk = acme_client.weak_jwk()
    wrong(client, "jws-key", client.register(), 400, "badPublicKey")


def test_account_that_the_server_lost_is_no_violation(client):
    assert client.ca.tell("POST", "accounts/forget", {}) == 1
    assert client.order(NAME).problem == "accountDoesNotExist"
    client.kid = None
    assert client.register().status == 201


def test_external_account_is_bound_by_its_key_alone(server):
    secret = b"0123456789abcdef0123456789abcdef"
    server.change(binding_keys={"kid-1": b64(secret)})
    client = Client(server)
    assert client.directory["meta"]["externalAccountRequired"] is True
    assert client.register().problem == "externalAccountRequired"
    bound = client.binding("kid-1", b"another")
    wrong(client, "eab", client.register(externalAccountBinding=bound), 403, "unauthorized")
    bound = client.binding("kid-1", secret)
    assert client.register(externalAccountBinding=bound).status == 201


def roll_over(client, key, **said):
    url = client.directory["keyChange"]
    payload = {"account": client.kid, "oldKey": client.key.jwk, **said}
    return client.post(url, key.jws({"alg": "ES256", "jwk": key.jwk, "url": url},
                                    dumps(payload)))


def test_account_key_rolls_over(client):
    key = Key()
    assert roll_over(client, key).status == 200
    client.key = key
    assert client.order(NAME).status == 201


def test_rollover_to_a_key_in_use_is_a_conflict(client):
    other = Client(client.ca)
    other.register()
    answer = roll_over(client, other.key)
    assert (answer.status, answer.problem) == (409, "conflict")
    assert answer.location == other.kid


def test_rollover_from_another_key_is_a_violation(client):
    wrong(client, "key-change", roll_over(client, Key(), oldKey=Key().jwk), 400)


# The order of steps

def test_whole_order_has_no_violation(client, web):
    order = client.issue(web, NAME, "www.example.com")
    chain = client.post(order["certificate"])
    assert chain.type == "application/pem-certificate-chain"
    leaf = x509.load_pem_x509_certificate(split_pem(chain.body)[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME, "www.example.com"]
    assert set(web.hosts) == {NAME, "www.example.com"}
    assert client.ca.violations() == []


def test_challenge_answered_twice_is_a_violation(client, web):
    order = client.order(NAME).json
    challenge = client.authorize(order, web)[0]["challenges"][0]
    wrong(client, "step-challenge", client.post(challenge["url"], {}), 400)


def test_challenge_answered_with_a_key_authorization_is_a_violation(client):
    authorization = client.post(client.order(NAME).json["authorizations"][0]).json
    client.post(authorization["challenges"][0]["url"], {"keyAuthorization": "x"})
    assert [v["rule"] for v in client.ca.violations()] == ["challenge-payload"]
    client.ca.excuse("challenge-payload")


def test_order_finalized_too_early_is_a_violation(client):
    answer = client.finalize(client.order(NAME).json, NAME)
    wrong(client, "step-finalize", answer, 403, "orderNotReady")


CSRS = {
    "more names": lambda client: csr([NAME, "other.example.com"]),
    "another name": lambda client: csr(["other.example.com"]),
    "the account's key": lambda client: csr([NAME], client.key.private),
    "no CSR": lambda client: b64(b"no CSR"),
    "padded": lambda client: csr([NAME]) + "=",
}


@pytest.mark.parametrize("what", CSRS)
def test_wrong_csr_is_a_violation(client, web, what):
    order = client.ready(web, NAME).json
    wrong(client, "csr", client.finalize(order, csr=CSRS[what](client)), 400, "badCSR")


IDENTIFIERS = {
    "upper case": ({"type": "dns", "value": "App.example.com"}, "malformed"),
    "no name": ({"type": "dns", "value": "a..example.com"}, "malformed"),
    "no address": ({"type": "ip", "value": "127.0.0.01"}, "malformed"),
    "no value": ({"type": "dns"}, "malformed"),
}


@pytest.mark.parametrize("what", IDENTIFIERS)
def test_wrong_identifier_is_a_violation(client, what):
    one, problem = IDENTIFIERS[what]
    answer = client.post(client.directory["newOrder"], {"identifiers": [one]})
    wrong(client, "identifier", answer, 400, problem)


def test_pending_order_is_given_again_and_a_valid_authorization_used_again(client, web):
    first = client.order(NAME)
    assert client.order(NAME).location == first.location
    client.authorize(first.json, web)
    client.finalize(first.json, NAME)
    client.post(first.location)
    second = client.order(NAME)
    assert second.location != first.location and second.json["status"] == "ready"
    client.ca.advance(31 * DAY)
    assert client.post(second.location).json["status"] == "invalid"
    assert client.order(NAME).json["status"] == "pending"


def test_certificate_is_revoked_once(client, web):
    chain = client.post(client.issue(web, NAME)["certificate"]).body
    leaf = x509.load_pem_x509_certificate(split_pem(chain)[0])
    payload = {"certificate": b64(leaf.public_bytes(serialization.Encoding.DER))}
    url = client.directory["revokeCert"]
    assert client.post(url, {**payload, "reason": 2}).problem == "badRevocationReason"
    assert client.post(url, payload).status == 200
    assert client.post(url, payload).problem == "alreadyRevoked"


# Validation

def failed(client, web, name=NAME):
    """The error of a challenge that must fail."""
    authorization = client.authorize(client.order(name).json, web)[0]
    assert authorization["status"] == "invalid"
    return next(one for one in authorization["challenges"] if "error" in one)["error"]


class Deaf:
    """A web server that doesn't learn of challenges."""

    @staticmethod
    def answer(*_):
        pass


ANSWERS = {
    "nothing there": ((404, {}, b"no"), "404"),
    "wrong body": ((200, {}, b"wrong"), "did not match this challenge"),
    "long body": ((200, {}, b"x" * 4096), "longer than 128 bytes"),
    "redirect to a port": ((301, {"Location": "http://app.example.com:8080/"}, b""),
                           "Only ports 80 and 443"),
    "redirect in a circle": ((302, {"Location": "/again"}, b""), "Too many redirects"),
    "redirect with 303": ((303, {"Location": "/"}, b""), "303"),
}


@pytest.mark.parametrize("what", ANSWERS)
def test_validation_fails_for(client, web, what):
    answer, said = ANSWERS[what]
    web.special["*"] = answer
    assert said in failed(client, Deaf)["detail"]


def test_validation_is_refused_a_connection(client):
    error = failed(client, Deaf)
    assert error["type"].endswith(":connection") and "Connection refused" in error["detail"]


def test_validation_follows_a_redirect(client, web):
    class Elsewhere:
        @staticmethod
        def answer(token, text):
            web.special[Web.PREFIX + token] = (301, {
                "Location": "http://other.example.com:80/there"}, b"")
            web.special["/there"] = (200, {}, text.encode() + b"\n")
    client.issue(Elsewhere, NAME)
    assert web.hosts == [NAME, "other.example.com"]


def test_names_are_looked_up_at_the_resolver(acme_server, dns):
    ca = acme_server(resolver=f"127.0.0.1:{dns.dns}")
    web, client = Web(ca.http_port), Client(ca)
    try:
        client.register()
        client.issue(web, NAME)
        dns.tell("set-servfail", host="broken.example.com")
        assert failed(client, web, "broken.example.com")["type"].endswith(":dns")
        dns.tell("add-aaaa", host="six.example.com", addresses=["::1"])
        client.issue(web, "six.example.com")  # nobody listens there; IPv4 follows
    finally:
        web.close()


def test_wildcard_is_validated_by_dns(acme_server, dns):
    ca = acme_server(resolver=f"127.0.0.1:{dns.dns}")
    client = Client(ca)
    client.register()
    placed = client.order("*.example.com")
    authorization = client.post(placed.json["authorizations"][0]).json
    assert authorization["wildcard"] and authorization["identifier"]["value"] == "example.com"
    assert [one["type"] for one in authorization["challenges"]] == ["dns-01"]
    challenge = authorization["challenges"][0]
    digest = acme_client.hashlib.sha256(
        f"{challenge['token']}.{client.key.thumbprint}".encode()).digest()
    dns.tell("set-txt", host="_acme-challenge.example.com.", value=b64(digest))
    client.post(challenge["url"], {})
    assert client.post(placed.json["authorizations"][0]).json["status"] == "valid"
    assert client.finalize(placed.json, "*.example.com").status == 200


# Profiles, addresses

def lifetime_s(certificate):
    return round(certificate["not_after_s"] - certificate["not_before_s"]) + 1


def test_profile_decides_what_is_issued(client, web):
    client.issue(web, NAME)
    client.issue(web, NAME, profile="tlsserver")
    client.issue(web, NAME, profile="shortlived")
    assert [lifetime_s(one) for one in client.ca.certificates()] == [90 * DAY, 45 * DAY,
                                                                     160 * HOUR]


def test_profile_that_is_not_offered_is_a_violation(client):
    wrong(client, "profile-not-offered", client.order(NAME, profile="best"), 400,
          "invalidProfile")


def test_address_is_certified_by_the_short_lived_profile_only(client, web):
    assert client.order("127.0.0.1").problem == "unsupportedIdentifier"
    placed = client.order("127.0.0.1", profile="shortlived")
    assert client.authorize(placed.json, web)[0]["status"] == "valid"
    assert web.hosts == ["127.0.0.1"]


# Renewal information

def issued(client, web):
    client.issue(web, NAME)
    return client.ca.certificates()[-1]


def info(client, certificate):
    return client.ask("GET", f"{client.directory['renewalInfo']}/{certificate['certid']}")


def window(answer):
    suggested = answer.json["suggestedWindow"]
    return [time.mktime(time.strptime(suggested[end], "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
            for end in ("start", "end")]


def test_window_lies_around_two_thirds_and_in_the_past_when_revoked(client, web):
    one = issued(client, web)
    answer = info(client, one)
    assert answer.headers["Retry-After"] == "21600"
    start, end = window(answer)
    assert start < one["not_before_s"] + 60 * DAY < end and end - start == 1.8 * DAY
    client.ca.tell("POST", "revoke", {"certid": one["certid"]})
    now = client.ca.advance(6 * HOUR)
    start, end = window(info(client, one))
    assert start < end < now


def test_window_is_what_the_test_says(client, web):
    one = issued(client, web)
    client.ca.tell("PUT", "windows", {"all": {"raw": "{", "retry_after_s": 60}})
    answer = info(client, one)
    assert (answer.body, answer.headers["Retry-After"]) == (b"{", "60")
    client.ca.advance(61)
    client.ca.faults("renewalInfo: window -2d -1d retry-after=60")
    now = client.ca.advance(0)
    assert window(info(client, one))[1] == pytest.approx(now - DAY, abs=5)


def test_replacement_is_taken_once(client, web):
    one = issued(client, web)
    placed = client.order(NAME, replaces=one["certid"])
    assert placed.status == 201 and placed.json["replaces"] == one["certid"]
    again = client.order(NAME, "www.example.com", replaces=one["certid"])
    assert (again.status, again.problem) == (409, "alreadyReplaced")


ARI = {
    "a malformed identifier": (lambda c, one: info(c, {"certid": "x.y=="}), "ari-certid",
                               400),
    "a stranger's name": (lambda c, one: c.order("other.example.com",
                                                 replaces=one["certid"]),
                          "ari-replaces", 400),
}


@pytest.mark.parametrize("what", ARI)
def test_wrong_renewal_information_is_a_violation(client, web, what):
    send, rule, status = ARI[what]
    wrong(client, rule, send(client, issued(client, web)), status)


def test_replaces_where_it_is_not_offered_is_a_violation(client, web):
    one = issued(client, web)
    client.ca.change(renewal_info=False)
    assert "renewalInfo" not in client.ask("GET", client.ca.directory).json
    wrong(client, "ari-not-offered", client.order(NAME, replaces=one["certid"]), 400)


def test_renewal_information_after_expiry_is_a_violation(client, web):
    one = issued(client, web)
    client.ca.advance(91 * DAY)
    assert info(client, one).status == 200
    assert [v["rule"] for v in client.ca.violations()] == ["ari-late"]
    client.ca.excuse("ari-late")


# Limits

def test_limits_are_let_s_encrypts(client, web):
    client.ca.limits("letsencrypt")
    for _ in range(5):
        client.issue(web, NAME)
    answer = client.order(NAME)
    assert (answer.status, answer.problem) == (429, "rateLimited")
    assert "too many certificates (5) already issued for this exact set" in answer.json["detail"]
    wait_s = int(answer.headers["Retry-After"])
    assert 33 * HOUR < wait_s <= 7 * DAY / 5 + 1
    assert 'rel="help"' in "".join(answer.headers.get_all("Link"))
    client.ca.advance(wait_s + 1)
    assert client.order(NAME).status == 201


def test_renewal_inside_its_window_is_under_no_limit(client, web):
    client.ca.limits({"same-names": [1, 365 * DAY]})
    one = issued(client, web)
    assert client.order(NAME).problem == "rateLimited"
    client.ca.excuse("retry-after")
    assert client.order(NAME, replaces=one["certid"]).problem == "rateLimited"
    client.ca.advance(one["not_before_s"] + 60 * DAY - time.time())
    assert client.order(NAME, replaces=one["certid"]).status == 201


def test_new_names_of_one_registered_domain_are_limited(client, web):
    client.ca.limits({"certificates": [2, 7 * DAY]})
    client.ca.tell("PUT", "suffixes", ["co.uk"])
    for name in ("a.example.co.uk", "b.example.co.uk", "a.other.co.uk"):
        client.issue(web, name)
    answer = client.order("c.example.co.uk")
    assert answer.problem == "rateLimited" and "'example.co.uk'" in answer.json["detail"]


def test_failed_validations_are_limited_and_pause_in_the_end(client):
    client.ca.limits({"failed-validations": [1, HOUR], "paused": [2, 1152 * DAY]})
    failed(client, Deaf)
    answer = client.order(NAME)
    assert answer.problem == "rateLimited" and "failed authorizations" in answer.json["detail"]
    client.ca.advance(2 * HOUR)
    failed(client, Deaf)
    client.ca.advance(2 * HOUR)
    answer = client.order(NAME)
    assert (answer.status, answer.problem) == (429, "rateLimited")
    assert "Retry-After" not in answer.headers
    assert "temporarily prevented" in answer.json["detail"]


def test_too_many_requests_a_second_are_503(client):
    client.ca.limits({"requests/newNonce": [3, 3600]})
    answers = [client.ask("GET", client.directory["newNonce"]) for _ in range(4)]
    assert [one.status for one in answers] == [204, 204, 204, 503]
    assert int(answers[-1].headers["Retry-After"]) > 0


def test_request_before_retry_after_is_over_is_a_violation(client):
    client.ca.faults("newOrder@1: problem rateLimited retry-after=3600",
                     "newOrder@2: status 503 retry-after=date:3600")
    assert client.order(NAME).headers["Retry-After"] == "3600"
    client.ca.advance(HOUR)
    late = client.order(NAME).headers["Retry-After"]
    assert email.utils.parsedate_to_datetime(late)
    assert client.ca.violations() == []
    assert client.order(NAME).status == 201
    assert [one["rule"] for one in client.ca.violations()] == ["retry-after"]
    client.ca.excuse("retry-after")


# Faults

def test_fault_holds_for_the_requests_that_it_names(client):
    client.ca.faults("newOrder@2-3: status 500", "newOrder for bad.example.com: status 418")
    got = [client.order(name).status for name in
           ("a.example.com", "bad.example.com", "b.example.com", "bad.example.com",
            "c.example.com")]
    assert got == [201, 500, 500, 418, 201]
    assert client.ca.hits() == [2, 1]
    client.ca.no_faults()
    assert client.order("bad.example.com").status == 201


def test_problem_has_subproblems_and_all_that_is_asked(client):
    client.ca.faults("newOrder: problem malformed status=422 detail='two of them' "
                     "sub='caa/a.example.com/CAA forbids' sub=dns/b.example.com/SERVFAIL "
                     "instance=https://example.com/help retry-after=7")
    answer = client.order("a.example.com", "b.example.com")
    assert (answer.status, answer.problem) == (422, "malformed")
    assert answer.headers["Retry-After"] == "7" and answer.json["detail"] == "two of them"
    assert [(one["identifier"]["value"], one["detail"]) for one in
            answer.json["subproblems"]] == [("a.example.com", "CAA forbids"),
                                            ("b.example.com", "SERVFAIL")]
    assert answer.json["instance"] == "https://example.com/help"


def test_paused_is_without_retry_after(client):
    client.ca.faults("newOrder: paused")
    answer = client.order(NAME)
    assert (answer.status, answer.problem) == (429, "rateLimited")
    assert "Retry-After" not in answer.headers and "visit: https" in answer.json["detail"]


def test_fault_hides_no_violation(client):
    client.ca.faults("newOrder: status 500")
    client.post(*new_order(client), url="https://localhost/elsewhere")
    assert [one["rule"] for one in client.ca.violations()] == ["jws-url"]
    client.ca.excuse("jws-url")


def test_step_is_taken_where_only_its_answer_is_lost(client):
    client.ca.faults("newOrder@1: reset", "newOrder@2: reset done")
    for orders in (0, 1):
        with pytest.raises(ConnectionError):
            client.order(NAME)
        found = client.post(client.kid.replace("/account/", "/orders/")).json["orders"]
        assert len(found) == orders
    assert client.order(NAME).location == found[0]


def test_answer_swallowed_excuses_a_step_taken_again(client, web):
    placed = client.ready(web, NAME)
    client.ca.faults("finalize@1: close done")
    with pytest.raises((ConnectionError, http.client.HTTPException, ssl.SSLError)):
        client.finalize(placed.json, NAME)
    assert client.finalize(placed.json, NAME).problem == "orderNotReady"
    assert client.post(placed.location).json["status"] == "valid"
    assert client.ca.violations() == []


def test_nothing_comes(client):
    client.ca.faults("newOrder: nothing")
    with pytest.raises(TimeoutError):
        client.post(*new_order(client), limit_s=0.5)


@pytest.mark.parametrize("fault, status", [("close", 52), ("reset", 56), ("half", 18)])
def test_connection_ends(server, fault, status):
    """curl tells an end in peace from a reset, where Python's ssl does not."""
    server.faults(f"directory: {fault}")
    done = subprocess.run(["curl", "--silent", "--http1.1", "--cacert", server.tls_roots,
                           server.directory], capture_output=True, check=False)
    assert done.returncode == status


def test_half_of_the_answer_comes(client):
    client.ca.faults("newOrder: half")
    with pytest.raises(http.client.IncompleteRead) as error:
        client.order(NAME)
    assert 0 < len(error.value.partial) and error.value.expected > 0


def test_answer_drips(client):
    client.ca.faults("directory: drip every=0.001")
    assert client.ask("GET", client.ca.directory).json == client.directory


def test_body_has_no_end(client):
    client.ca.faults("directory: endless")
    connection = http.client.HTTPSConnection("localhost", client.ca.port,
                                             context=client.context, timeout=60)
    connection.request("GET", "/directory", headers={"User-Agent": "scripted"})
    got = connection.getresponse().read(1 << 20)
    connection.close()
    assert len(got) == 1 << 20 and client.ca.tell("GET", "poured") >= 1 << 19


TRUE = {
    "type text/html": lambda answer, true: (answer.type, answer.json) == ("text/html", true),
    "set newNonce=7 more='{\"a\": 1}'": lambda answer, true: answer.json == {
        **true, "newNonce": 7, "more": {"a": 1}},
    "drop newNonce meta": lambda answer, true: answer.json == {
        k: v for k, v in true.items() if k not in ("newNonce", "meta")},
    "header X-More=yes": lambda answer, true: answer.headers["X-More"] == "yes"
                                              and answer.json == true,
}


@pytest.mark.parametrize("fault", TRUE)
def test_true_answer_is_altered(client, fault):
    client.ca.faults(f"directory: {fault}")
    assert TRUE[fault](client.ask("GET", client.ca.directory), client.directory)


CHAINS = {"key": 2, "name": 2, "expired": 2, "issuer": 2, "bare": 1, "long": 301,
          "with-key": 2, "garbage": 1, "empty": 0}


def test_chain_is_wrong_as_the_test_says(client, web):
    url = client.issue(web, NAME)["certificate"]
    true = client.post(url).body
    for how, count in CHAINS.items():
        client.ca.no_faults()
        client.ca.faults(f"certificate: chain {how}")
        answer = client.post(url)
        assert answer.body != true and answer.body.count(b"BEGIN CERT") == count
        assert answer.type == "application/pem-certificate-chain"


def test_alternate_chain_is_linked(acme_server):
    ca = acme_server(roots=2)
    web, client = Web(ca.http_port), Client(ca)
    try:
        client.register()
        answer = client.post(client.issue(web, NAME)["certificate"])
    finally:
        web.close()
    link = next(one for one in answer.headers.get_all("Link") if "alternate" in one)
    other = client.post(link.split(";")[0].strip("<>")).body
    assert split_pem(other)[0] == split_pem(answer.body)[0]
    assert x509.load_pem_x509_certificate(split_pem(other)[1]).issuer != \
        x509.load_pem_x509_certificate(split_pem(answer.body)[1]).issuer


@pytest.mark.parametrize("text", ["newOrder 500", "newOder: status 500", "order: explode",
                                  "order: problem unheardOf", "certificate: chain good",
                                  "order: status", "renewalInfo: window soon later"])
def test_what_is_no_fault_is_refused(server, text):
    with pytest.raises(AssertionError, match="error"):
        server.faults(text)


# The clock, and what fails a test

def test_clock_follows_a_file(acme_server, clock):
    ca = acme_server(clock_offset_file=clock.path)
    before = ca.advance(0)
    clock(90 * DAY)
    assert ca.advance(HOUR) - before >= 90 * DAY + HOUR


def test_violations_are_told_at_the_end(acme_server):
    ca = acme_server()
    client = Client(ca)
    client.register()
    client.post(*new_order(client), nonce="bm90IGdpdmVuIG91dA")
    ca.stop()
    assert [one.partition(":")[0] for one in ca.unexpected()] == ["nonce-unknown"]
    ca._bad.clear()


def test_nothing_is_left_of_a_server(acme_server, folder):
    ca = acme_server()
    assert ca.stop() == 0 and ca.unexpected() == []
    assert sorted(os.listdir(folder)) == ["acme-server-api-root.pem", "acme-server.log"]
