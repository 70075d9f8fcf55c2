# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Orders, authorizations, challenges, certificates: RFC 8555 §7.1.6's state machines.

An order is *pending* until all its authorizations are valid, then *ready* until it is
finalized, *processing* while its certificate is made, then *valid*; *invalid* when an
authorization fails or its time is over. An account's pending or ready order for the same
identifiers and profile is given again instead of another, as Let's Encrypt does; valid
authorizations are used again for as long as the profile says.

Violations are steps that a client can't have been told to take: a challenge answered whose
authorization waits for nothing (`step-challenge`), an order finalized that is not ready
(`step-finalize`), a CSR for other names (`csr`). A step whose answer a fault has swallowed
may be taken again.
"""

import dataclasses
import ipaddress
import re

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from . import ari, ca, jws, profiles
from .clock import rfc3339
from .problems import PREFIX, Problem
from .web import CHAIN, Reply

LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


@dataclasses.dataclass
class Challenge:
    ident: str
    type: str
    token: str
    authorization: object
    status: str = "pending"
    error: dict = None
    validated_s: float = None


@dataclasses.dataclass
class Authorization:
    """`told`: how often it was looked at while a validation's result is held back."""
    ident: str
    account: object
    identifier: dict
    wildcard: bool
    expires_s: float
    reuse_s: float
    state: str = "pending"
    challenges: list = dataclasses.field(default_factory=list)
    result: object = None
    told: int = 0

    def status(self, now_s):
        if now_s > self.expires_s:
            return {"pending": "invalid", "valid": "expired"}.get(self.state, self.state)
        return self.state


@dataclasses.dataclass
class Order:
    ident: str
    account: object
    identifiers: list
    profile: str
    authorizations: list
    expires_s: float
    replaces: object = None
    state: str = None  # since it was finalized
    certificate: object = None
    making: object = None
    error: dict = None
    told: int = 0
    counted: tuple = ()

    def status(self, now_s):
        if self.state:
            return self.state
        states = [one.status(now_s) for one in self.authorizations]
        if now_s > self.expires_s or any(s not in ("pending", "valid") for s in states):
            return "invalid"
        return "pending" if "pending" in states else "ready"

    def why_invalid(self, now_s):
        if self.error:
            return self.error
        for one in self.authorizations:
            for challenge in one.challenges:
                if challenge.error:
                    return challenge.error
        text = ("the order has expired" if now_s > self.expires_s else
                "an authorization of the order is no longer good")
        return {"type": PREFIX + "malformed", "detail": text}


# What is shown

def _order_reply(world, order, status=200):
    now_s = world.clock.now()
    state = order.status(now_s)
    body = {"status": state, "expires": rfc3339(order.expires_s),
            "identifiers": order.identifiers,
            "authorizations": [world.url("authz", one.ident)
                               for one in order.authorizations],
            "finalize": world.url("finalize", order.ident)}
    if world.settings.offer_profiles:
        body["profile"] = order.profile
    if order.replaces:
        body["replaces"] = order.replaces.certid
    if state == "invalid":
        body["error"] = order.why_invalid(now_s)
    if state == "valid":
        body["certificate"] = world.url("certificate", order.certificate.ident)
    headers = {"Location": world.url("order", order.ident)}
    if state == "processing":
        headers.update(world.poll_headers())
    return Reply(status, body, headers)


def _challenge_body(world, challenge):
    body = {"type": challenge.type, "status": challenge.status, "token": challenge.token,
            "url": world.url("challenge", challenge.ident)}
    if challenge.error:
        body["error"] = challenge.error
    if challenge.validated_s:
        body["validated"] = rfc3339(challenge.validated_s)
    return body


def _authz_reply(world, authz):
    body = {"identifier": authz.identifier, "status": authz.status(world.clock.now()),
            "expires": rfc3339(authz.expires_s),
            "challenges": [_challenge_body(world, one) for one in authz.challenges]}
    if authz.wildcard:
        body["wildcard"] = True
    waits = any(one.status == "processing" for one in authz.challenges) or authz.result
    return Reply(body=body, headers=world.poll_headers() if waits else {})


# newOrder

def _bad(kind, detail, rule=None):
    raise Problem(kind, detail, rule=rule)


def _checked(one):
    if (not isinstance(one, dict) or set(one) != {"type", "value"}
            or not isinstance(one["value"], str)):
        _bad("malformed", "an identifier is no object of type and value", "identifier")
    kind, value = one["type"], one["value"]
    if kind == "ip":
        try:
            good = str(ipaddress.ip_address(value)) == value
        except ValueError:
            good = False
        if not good:
            _bad("malformed", f"{value!r} is no address as RFC 8738 §3 wants it written",
                 "identifier")
    elif kind == "dns":
        labels = value.removeprefix("*.").split(".")
        if not all(LABEL.fullmatch(label) for label in labels) or len(value) > 253:
            _bad("malformed", f"{value!r} is no name of lower case letters, digits and "
                 "hyphens", "identifier")
        if len(labels) < 2 or labels[-1].isdigit():
            _bad("rejectedIdentifier", f"{value!r} is no name under a public suffix")
    else:
        _bad("unsupportedIdentifier", f"there are no identifiers of type {kind!r} here")
    return one


def _identifiers(request, profile, name):
    asked = request.payload.get("identifiers")
    if not isinstance(asked, list) or not asked:
        _bad("malformed", "newOrder has no identifiers", "identifier")
    found = []
    for one in asked:
        if _checked(one) not in found:
            found.append(one)
    if len(found) > profile.names:
        _bad("malformed", f"profile {name} takes at most {profile.names} identifiers")
    for one in found:
        if one["type"] not in profile.identifiers:
            _bad("unsupportedIdentifier",
                 f"profile {name} takes no identifiers of type {one['type']}")
    return found


def _same_order(world, account, identifiers, profile):
    wanted = sorted(one["value"] for one in identifiers)
    for order in reversed(account.orders):
        if (sorted(one["value"] for one in order.identifiers) == wanted
                and order.profile == profile
                and order.status(world.clock.now()) in ("pending", "ready")):
            return order
    return None


def _authorization(world, account, identifier, profile):
    now_s = world.clock.now()
    wildcard = identifier["value"].startswith("*.")
    plain = {**identifier, "value": identifier["value"].removeprefix("*.")}
    for one in reversed(world.authorizations_of(account)):
        if (world.settings.authz_reuse and one.identifier == plain
                and one.wildcard == wildcard and one.status(now_s) == "valid"):
            return one
    made = Authorization(world.new_ident(), account, plain, wildcard,
                         now_s + profile.pending_s, profile.reuse_s)
    types = ["dns-01"] if wildcard else ["http-01"]
    if not wildcard and identifier["type"] == "dns":
        types.append("dns-01")
    for kind in types:
        challenge = Challenge(world.new_ident(), kind, world.new_token(), made)
        made.challenges.append(challenge)
        world.challenges[challenge.ident] = challenge
    world.authorizations[made.ident] = made
    return made


def new_order(world, request):
    name, profile = profiles.choose(world.settings, request.payload.get("profile"))
    if "notBefore" in request.payload or "notAfter" in request.payload:
        _bad("malformed", "notBefore and notAfter are not taken here")
    identifiers = _identifiers(request, profile, name)
    request.names = [one["value"] for one in identifiers]
    account = request.account
    if world.settings.order_reuse:
        old = _same_order(world, account, identifiers, name)
        if old is not None:
            return _order_reply(world, old, 201)
    issued = ari.replaced(world, request, identifiers)
    counted = world.limits.new_order(world, account, identifiers,
                                     ari.is_exempt(world, issued))
    order = Order(world.new_ident(), account, identifiers, name,
                  [_authorization(world, account, one, profile) for one in identifiers],
                  world.clock.now() + profile.order_s, issued, counted=counted)
    if issued is not None:
        issued.replaced_by = order
    account.orders.append(order)
    world.orders[order.ident] = order
    return _order_reply(world, order, 201)


# Authorizations and challenges

def _of(world, request, table, what):
    one = table.get(request.ident)
    if one is None:
        raise Problem("malformed", f"there is no such {what}", status=404,
                      rule="unknown-url")
    account = one.authorization.account if what == "challenge" else one.account
    if account is not request.account:
        raise Problem("unauthorized", f"the {what} is another account's",
                      rule="account-foreign")
    return one


def authz(world, request):
    one = _of(world, request, world.authorizations, "authorization")
    if request.payload is not None:
        if request.payload != {"status": "deactivated"}:
            _bad("malformed", "an authorization can only be deactivated", "post-as-get")
        one.state = "deactivated"
    settle(world, one)
    return _authz_reply(world, one)


def settle(world, one):
    """A validation's result shows once it was asked for often enough."""
    if one.result is None:
        return
    if one.told < world.settings.validation_polls:
        one.told += 1
        return
    challenge, error, validated_s = one.result
    one.result = None
    if one.state != "pending":
        return
    one.state = challenge.status = "invalid" if error else "valid"
    challenge.error, challenge.validated_s = error, validated_s
    value = one.identifier["value"]
    if error:
        world.limits.failed(one.account, value)
    else:
        one.expires_s = world.clock.now() + one.reuse_s
        one.challenges = [challenge]
        world.limits.succeeded(one.account, value)


def challenge(world, request):
    one = _of(world, request, world.challenges, "challenge")
    authorization = one.authorization
    headers = {"Link": f'<{world.url("authz", authorization.ident)}>;rel="up"'}
    if request.payload is not None:
        _answer(world, request, one)
    else:
        settle(world, authorization)
    if one.status == "processing":
        headers.update(world.poll_headers())
    return Reply(body=_challenge_body(world, one), headers=headers)


def _answer(world, request, one):
    authorization = one.authorization
    if request.payload != {}:
        world.breach("challenge-payload", "a challenge was answered with more than {} "
                     "(RFC 8555 §7.5.1)", request)
    waits = authorization.status(world.clock.now()) == "pending"
    if not waits or authorization.result or one.ident in world.validating:
        if request.url not in world.uncertain:
            world.breach("step-challenge", f"the challenge for "
                         f"{authorization.identifier['value']} was answered, and waits for "
                         "nothing", request)
        if not waits:
            _bad("malformed", "the authorization is not pending")
        return
    if world.settings.challenge_processing:
        one.status = "processing"
    world.validate(one)


# Finalizing

def _csr(request):
    try:
        csr = x509.load_der_x509_csr(jws.decode(request.payload.get("csr")))
        key, signed = csr.public_key(), csr.is_signature_valid
    except (ValueError, TypeError):
        signed = False
    if not signed:
        _bad("badCSR", "the CSR is no base64url of a PKCS #10 request with a good signature",
             "csr")
    good = (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048
            or isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in
            ("secp256r1", "secp384r1"))
    if not good or isinstance(key, ed25519.Ed25519PublicKey):
        _bad("badCSR", "the CSR's key is none that a certificate can have", "csr")
    if jws.der(key) == jws.der(jws.public_key(request.account.jwk)):
        _bad("badCSR", "the CSR's key is the account's", "csr")
    return csr


def _names_of(csr):
    try:
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        names = []
    found = {("ip" if isinstance(one, x509.IPAddress) else "dns", str(one.value).lower())
             for one in names}
    common = csr.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    for value in (one.value.lower() for one in common):
        if ("ip", value) not in found:
            found.add(("dns", value))
    return found


def finalize(world, request):
    order = _of(world, request, world.orders, "order")
    status = order.status(world.clock.now())
    if status != "ready":
        excused = request.url in world.uncertain or world.lied_about(order.ident)
        raise Problem("orderNotReady", f"the order is {status}, not ready",
                      rule=None if excused else "step-finalize")
    csr = _csr(request)
    if _names_of(csr) != {(one["type"], one["value"]) for one in order.identifiers}:
        _bad("badCSR", "the CSR names other identifiers than the order", "csr")
    profile = world.settings.profiles[order.profile]
    order.making = ca.issue(world.authority, order, csr, profile, world.clock.now())
    order.state = "processing"
    if world.settings.finalize_valid:
        _deliver(world, order)
    return _order_reply(world, order)


def _deliver(world, order):
    issued, order.making = order.making, None
    order.certificate, order.state = issued, "valid"
    world.certificates[issued.ident] = world.by_certid[issued.certid] = issued
    world.limits.issued(order)


def order(world, request):
    one = _of(world, request, world.orders, "order")
    for authorization in one.authorizations:
        settle(world, authorization)
    if one.making:
        one.told += 1
        if one.told > world.settings.issuance_polls:
            _deliver(world, one)
    return _order_reply(world, one)


# Certificates

def certificate(world, request):
    ident, _, number = request.ident.partition(".")
    issued = world.certificates.get(ident)
    chain = int(number) if number.isdigit() else 0
    if issued is None or chain >= len(world.authority.roots):
        raise Problem("malformed", "there is no such certificate", status=404,
                      rule="unknown-url")
    if issued.account is not request.account:
        raise Problem("unauthorized", "the certificate is another account's",
                      rule="account-foreign")
    others = [f'<{world.url("certificate", f"{ident}.{i}")}>;rel="alternate"'
              for i in range(len(world.authority.roots)) if i != chain]
    return Reply(body=world.authority.chain(issued.leaf, chain), content_type=CHAIN,
                 headers={"Link": others} if others else {})


def _found_der(world, request):
    try:
        leaf = x509.load_der_x509_certificate(jws.decode(request.payload.get("certificate")))
    except (ValueError, TypeError):
        _bad("malformed", "certificate is no base64url of a certificate", "revoke")
    issued = world.certificates.get(f"{leaf.serial_number:x}")
    if issued is None or issued.leaf != leaf:
        raise Problem("malformed", "that certificate is not of this server", status=404)
    return issued


def revoke(world, request):
    """By the account that ordered it, or by the certificate's own key (RFC 8555 §7.6)."""
    issued = _found_der(world, request)
    if request.account is not None:
        allowed = issued.account is request.account
    else:
        allowed = (jws.der(jws.public_key(request.header["jwk"]))
                   == jws.der(issued.leaf.public_key()))
    if not allowed:
        raise Problem("unauthorized", "neither the certificate's account nor its key",
                      rule="revoke")
    if request.payload.get("reason", 0) not in (0, 1, 3, 4, 5):
        raise Problem("badRevocationReason", "that reason is none of a subscriber's")
    if issued.revoked:
        raise Problem("alreadyRevoked", "the certificate is revoked already")
    issued.revoked = True
    return Reply()
