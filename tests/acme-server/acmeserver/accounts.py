# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Accounts (RFC 8555 §7.3): made, found, changed, bound, given another key, closed.

An account is known by its key's thumbprint. A test can have the server forget accounts, as
a CA that lost them would: their requests then get accountDoesNotExist, and that is no
violation, while a `kid` that was never given out is one.
"""

import dataclasses
import json

from . import jws
from .problems import Problem
from .web import Reply


@dataclasses.dataclass
class Account:
    ident: str
    jwk: dict
    contact: list
    status: str = "valid"
    binding: object = None
    orders: list = dataclasses.field(default_factory=list)


def _reply(world, account, status=200):
    body = {"status": account.status, "orders": world.url("orders", account.ident)}
    if account.contact:
        body["contact"] = account.contact
    if account.status == "valid":
        body["termsOfServiceAgreed"] = True
    if account.binding:
        body["externalAccountBinding"] = account.binding
    return Reply(status, body, {"Location": world.url("account", account.ident)})


def _contact(payload):
    contact = payload.get("contact") or []
    if not isinstance(contact, list) or not all(isinstance(one, str) for one in contact):
        raise Problem("malformed", "contact is no list of URLs", rule="contact")
    for one in contact:
        scheme, _, address = one.partition(":")
        if not address:
            raise Problem("invalidContact", f"contact {one!r} is no URL", rule="contact")
        if scheme != "mailto":
            raise Problem("unsupportedContact", f"a contact is by mail, not by {scheme}")
        local, _, domain = address.partition("@")
        if not local or "." not in domain or any(c in address for c in ",? "):
            raise Problem("invalidContact", f"{address!r} is no single mail address",
                          rule="contact")
    return contact


def _bind(world, request):
    """RFC 8555 §7.3.4; returns what shows in the account."""
    binding = request.payload.get("externalAccountBinding")
    if binding is None:
        if world.settings.binding_keys:
            raise Problem("externalAccountRequired", "an account here needs an external "
                          "account binding")
        return None
    inner = jws.parse(binding)
    kid = inner.header.get("kid")
    if inner.header.get("alg") not in jws.MACS or "nonce" in inner.header:
        raise Problem("malformed", "a binding has a MAC as alg, and no nonce", rule="eab")
    if inner.header.get("url") != request.url:
        raise Problem("malformed", "the binding's url is not that of newAccount", rule="eab")
    if kid not in world.settings.binding_keys:
        raise Problem("unauthorized", f"no external account has the key {kid!r}", rule="eab")
    jws.verify_mac(inner, jws.decode(world.settings.binding_keys[kid]))
    try:
        bound = json.loads(inner.payload)
    except ValueError:
        bound = None
    if bound != request.header["jwk"]:
        raise Problem("malformed", "the binding binds another key than the account's",
                      rule="eab")
    return binding


def new_account(world, request):
    jwk = request.header["jwk"]
    account = world.accounts.get(jws.thumbprint(jwk))
    if account is not None:
        if account.status != "valid":
            raise Problem("unauthorized", "the account is deactivated")
        return _reply(world, account)
    if request.payload.get("onlyReturnExisting") is True:
        raise Problem("accountDoesNotExist", "no account has that key")
    contact = _contact(request.payload)
    if world.settings.terms and request.payload.get("termsOfServiceAgreed") is not True:
        raise Problem("malformed", "the terms of service must be agreed to", rule="terms")
    binding = _bind(world, request)
    world.limits.new_account(world, request)
    account = Account(world.new_ident(), jwk, contact, binding=binding)
    world.accounts[jws.thumbprint(jwk)] = account
    return _reply(world, account, 201)


def _own(request):
    if request.ident != request.account.ident:
        raise Problem("unauthorized", "that is another account's", rule="account-foreign")


def account(world, request):
    _own(request)
    change = request.payload
    if change:
        if change.get("status") == "deactivated":
            request.account.status = "deactivated"
        elif "status" in change and change["status"] != request.account.status:
            raise Problem("malformed", "an account can only be deactivated",
                          rule="account-change")
        if "contact" in change:
            request.account.contact = _contact(change)
    return _reply(world, request.account)


def orders(world, request):
    _own(request)
    return Reply(body={"orders": [world.url("order", one.ident)
                                  for one in request.account.orders]})


def key_change(world, request):
    """RFC 8555 §7.3.5: the new key signs that it takes over from the old one."""
    inner = jws.parse(request.payload)
    jws.check_algorithm(inner.header)
    new = inner.header.get("jwk")
    jws.verify(inner, jws.public_key(new))
    if inner.header.get("url") != request.url or "nonce" in inner.header:
        raise Problem("malformed", "the inner JWS has the outer one's url, and no nonce",
                      rule="key-change")
    try:
        said = json.loads(inner.payload)
    except ValueError:
        said = None
    if said != {"account": world.url("account", request.account.ident),
                "oldKey": request.account.jwk}:
        raise Problem("malformed", "the inner JWS names another account or old key",
                      rule="key-change")
    other = world.accounts.get(jws.thumbprint(new))
    if other is not None:
        raise Problem("conflict", "that key is an account's already", headers={
            "Location": world.url("account", other.ident)})
    del world.accounts[jws.thumbprint(request.account.jwk)]
    request.account.jwk = new
    world.accounts[jws.thumbprint(new)] = request.account
    return _reply(world, request.account)


def forget(world, which="all"):
    """Which accounts: an ident, or all."""
    gone = [thumbprint for thumbprint, one in world.accounts.items()
            if which in ("all", one.ident)]
    for thumbprint in gone:
        world.forgotten.add(world.accounts.pop(thumbprint).ident)
    return len(gone)
