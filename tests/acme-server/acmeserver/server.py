# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What a client reaches: HTTPS, with every request checked before it is handled.

In this order: the User-Agent, the address, the method, the content type, the body's size
(RFC 8555 §6.1 to 6.3); limits of requests a second; the JWS, its algorithm, key or account,
signature, url and nonce (§6.2 to 6.5); that it does not come before a Retry-After is over;
then faults; then the step itself. The first breach of a rule is written down and answered
as a server would. Addresses have a part that is made anew at each start: a client that does
not take them from the directory and from answers is found out.
"""

import asyncio
import email.utils
import ipaddress
import json
import os
import socket
import ssl
import struct
import tempfile
import time

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from . import accounts, ari, faults, jws, orders
from .ca import pem
from .clock import as_date
from .problems import Problem
from .web import PROBLEM, Reply, Request, of_problem

BODY_MOST = 50000
VALIDATION_S = 5
EARLY_S = 1.0  # a Retry-After is rounded down by some
YEAR = 365 * 24 * 3600

OPEN = ("directory", "newNonce", "renewalInfo")  # without a signature
HANDLERS = {"newAccount": accounts.new_account, "account": accounts.account,
            "orders": accounts.orders, "keyChange": accounts.key_change,
            "newOrder": orders.new_order, "order": orders.order, "authz": orders.authz,
            "challenge": orders.challenge, "finalize": orders.finalize,
            "certificate": orders.certificate, "revokeCert": orders.revoke,
            "renewalInfo": ari.renewal_info}
KINDS = ("directory", "newNonce", *HANDLERS)
# What a payload is: an object, none (POST-as-GET), or either.
OBJECT = ("newAccount", "newOrder", "finalize", "revokeCert", "keyChange")
NONE = ("order", "orders", "certificate")


def _directory(world):
    body = {name: world.url(name) for name in
            ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")}
    settings, meta = world.settings, {}
    if settings.renewal_info:
        body["renewalInfo"] = world.url("renewalInfo")
    if settings.terms:
        meta["termsOfService"] = settings.terms
    if settings.offer_profiles:
        meta["profiles"] = {name: one.description for name, one in settings.profiles.items()}
    if settings.binding_keys:
        meta["externalAccountRequired"] = True
    return {**body, "meta": meta}


class Server:
    def __init__(self, world):
        self.world = world
        self.app = web.Application(client_max_size=1 << 20)
        self.app.router.add_route("*", "/{path:.*}", self.handle)

    # One request

    async def handle(self, http):
        try:
            return await self._handle(http)
        except ConnectionError:
            return web.Response()  # nobody is there to get it

    async def _handle(self, http):
        world = self.world
        request = self._request(http)
        entry = {"number": request.number, "kind": request.kind, "method": request.method,
                 "url": request.url, "at": world.clock.now(), "status": None, "fault": None,
                 "account": None, "names": [], "agent": http.headers.get("User-Agent")}
        world.log.append(entry)
        fault, problem = None, None
        try:
            self._check_http(http, request)
            self._check_rate(request)
            if request.kind not in OPEN:
                self._check_jws(request, await self._body(http, request))
            request.names = world.about(request)
            self._check_retry_after(request)
            fault = world.faults.of(request)
            reply = None
            if fault is None or fault.takes_step:
                reply = await self._step(request)
        except Problem as caught:
            problem, reply = caught, of_problem(caught)
            if problem.rule:
                world.breach(problem.rule, problem.detail, request)
        if fault is not None:
            entry["fault"] = fault.text
            if fault.loses_answer:
                world.uncertain.add(request.url)
                if request.header:
                    world.lost.add(request.header["nonce"])
            reply = faults.alter(world, request, fault, reply)
        entry["names"] = request.names
        entry["account"] = request.account.ident if request.account else None
        entry["status"] = reply.status if reply else None
        self._remember_retry_after(request, reply)
        return await self._send(http, request, reply, fault)

    def _request(self, http):
        parts = http.path.strip("/").split("/")
        kind = parts[1] if len(parts) > 1 and parts[0] == self.world.prefix else None
        if http.path == "/directory":
            kind = "directory"
        return Request(len(self.world.log) + 1, kind if kind in KINDS else "unknown",
                       http.method, f"{self.world.base}{http.path_qs}",
                       "/".join(parts[2:]), http.headers, http.remote)

    @staticmethod
    def _check_http(http, request):
        if not http.headers.get("User-Agent"):
            raise Problem("malformed", "the request has no User-Agent (RFC 8555 §6.1)",
                          rule="user-agent")
        if request.kind == "unknown":
            raise Problem("malformed", f"nothing here names {request.url}", status=404,
                          rule="unknown-url")
        allowed = ("POST",) if request.kind not in OPEN else ("GET", "HEAD")
        if request.method not in allowed:
            raise Problem("malformed", f"{request.method} of {request.kind}: it is reached by "
                          f"{' or '.join(allowed)} (RFC 8555 §6.3)", status=405,
                          rule="method", headers={"Allow": ", ".join(allowed)})
        if request.method == "POST" and http.headers.get(
                "Content-Type") != "application/jose+json":
            raise Problem("malformed", "the Content-Type is not application/jose+json (RFC "
                          f"8555 §6.2), but {http.headers.get('Content-Type')}", status=415,
                          rule="content-type")

    def _check_rate(self, request):
        wait_s = self.world.limits.request(request.kind, request.peer)
        if wait_s:
            raise Problem("rateLimited", "Service busy; retry later.", status=503,
                          headers={"Retry-After": str(wait_s)})

    @staticmethod
    async def _body(http, request):
        try:
            body = await http.read()
        except web.HTTPRequestEntityTooLarge:
            body = b" " * (BODY_MOST + 1)
        if len(body) > BODY_MOST:
            raise Problem("malformed", f"{request.kind} has a body of more than {BODY_MOST} "
                          "bytes", status=413, rule="body-size")
        return body

    def _check_jws(self, request, body):
        parsed = jws.parse(body)
        header = request.header = parsed.header
        jws.check_algorithm(header)
        key = self._key(request, header)
        jws.verify(parsed, key)
        if header.get("url") != request.url:
            raise Problem("unauthorized", f"the header's url is {header.get('url')!r}, and "
                          f"the request's is {request.url!r} (RFC 8555 §6.4)", status=401,
                          rule="jws-url")
        self._check_nonce(header.get("nonce"))
        request.payload = self._payload(request, parsed.payload)

    def _key(self, request, header):
        world = self.world
        by_key = request.kind == "newAccount" or (request.kind == "revokeCert"
                                                  and "jwk" in header)
        if ("jwk" in header) == ("kid" in header) or ("jwk" in header) != by_key:
            raise Problem("malformed", f"{request.kind} is signed with "
                          f"{'a jwk' if by_key else 'a kid'}, and only that (RFC 8555 §6.2)",
                          rule="jws-kid")
        if by_key:
            return jws.public_key(header["jwk"])
        for account in world.accounts.values():
            if header["kid"] == world.url("account", account.ident):
                break
        else:
            known = str(header["kid"]).rpartition("/")[2] in world.forgotten
            raise Problem("accountDoesNotExist", f"there is no account {header['kid']!r}",
                          rule=None if known else "jws-kid")
        request.account = account
        if account.status != "valid":
            raise Problem("unauthorized", f"the account is {account.status}", status=401)
        return jws.public_key(account.jwk)

    def _check_nonce(self, nonce):
        if not isinstance(nonce, str):
            raise Problem("badNonce", "the header has no nonce (RFC 8555 §6.5)",
                          rule="nonce-missing")
        found = self.world.nonces.spend(nonce)
        if found == "used":
            raise Problem("badNonce", f"the nonce {nonce!r} was used before",
                          rule=None if nonce in self.world.lost else "nonce-reused")
        if found == "unknown":
            raise Problem("badNonce", f"the nonce {nonce!r} was never given out",
                          rule="nonce-unknown")
        if found == "forgotten":
            raise Problem("badNonce", "the nonce is too old")

    @staticmethod
    def _payload(request, payload):
        if payload == b"":
            if request.kind in OBJECT:
                raise Problem("malformed", f"{request.kind} has no payload", rule="payload")
            return None
        if request.kind in NONE:
            raise Problem("malformed", f"{request.kind} is read with an empty payload (RFC "
                          "8555 §6.3)", rule="post-as-get")
        try:
            found = json.loads(payload)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Problem("malformed", "the payload is no JSON object", rule="payload")
        return found

    # Retry-After

    @staticmethod
    def _who(request):
        who = request.account.ident if request.account else request.peer
        return who, request.url, tuple(sorted(str(one) for one in request.names))

    def _check_retry_after(self, request):
        until_s = self.world.not_before.pop(self._who(request), 0)
        early_s = until_s - self.world.clock.now()
        if early_s > EARLY_S:
            self.world.breach("retry-after", f"{request.kind} came {early_s:.0f} s before the "
                              "Retry-After of the last answer was over", request)

    def _remember_retry_after(self, request, reply):
        said = reply.headers.get("Retry-After") if reply else None
        if said is None:
            return
        now_s = self.world.clock.now()
        if said.isdigit():
            self.world.not_before[self._who(request)] = now_s + int(said)
        else:
            try:
                when = email.utils.parsedate_to_datetime(said)
            except (ValueError, TypeError):
                return
            self.world.not_before[self._who(request)] = when.timestamp()

    # The step, and its answer

    async def _step(self, request):
        world = self.world
        if request.kind == "directory":
            return Reply(body=_directory(world))
        if request.kind == "newNonce":
            return Reply(200 if request.method == "HEAD" else 204,
                         headers={"Cache-Control": "no-store"})
        await self._let_validate(request)
        return HANDLERS[request.kind](world, request)

    async def _let_validate(self, request):
        """A look at what is being validated waits for that a moment: the fewest requests
        are then the same on a slow machine."""
        tasks = [self.world.validating[one.ident] for one in self.world.looked_at(request)
                 if one.ident in self.world.validating]
        if tasks and request.payload is None:
            await asyncio.wait(tasks, timeout=VALIDATION_S)

    def _headers(self, request, reply, fault):
        headers = [(k, v) for k, v in reply.headers.items() if isinstance(v, str)]
        headers += [(k, one) for k, v in reply.headers.items() if not isinstance(v, str)
                    for one in v]
        if request.kind != "directory":
            headers.append(("Link", f'<{self.world.url("directory")}>;rel="index"'))
        wants = request.kind not in ("directory", "renewalInfo") and (
            reply.status < 500 or reply.content_type == PROBLEM)
        if wants and "Replay-Nonce" not in reply.headers and not (
                fault and (fault.options.get("nonce") == "no" or fault.answer == "status")):
            headers.append(("Replay-Nonce", self.world.nonces.give()))
        if reply.status != 204:
            headers.append(("Content-Type", reply.content_type))
        return headers

    async def _send(self, http, request, reply, fault):
        how = fault.answer if fault else None
        if how == "nothing":
            await self.world.ended.wait()
            how = "close"
        if how in ("reset", "close") and http.transport is not None:
            if how == "reset":
                http.transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            http.transport.abort()
        if how in ("reset", "close"):
            return web.Response()
        reply = reply or Reply()
        headers = self._headers(request, reply, fault)
        if how in ("half", "drip", "endless"):
            return await self._stream(http, reply, headers, fault)
        return web.Response(status=reply.status, headers=headers, body=reply.encode())

    async def _stream(self, http, reply, headers, fault):
        body = reply.encode()
        response = web.StreamResponse(status=reply.status, headers=headers)
        if fault.answer != "endless":
            response.content_length = len(body)
        await response.prepare(http)
        if fault.answer == "half":
            await response.write(body[:len(body) // 2])
            http.transport.close()
        elif fault.answer == "drip":
            for at in range(len(body)):
                await response.write(body[at:at + 1])
                await asyncio.sleep(float(fault.options.get("every", 0.05)))
        else:
            await response.write(b'{"a":"')
            while http.transport is not None and not self.world.ended.is_set():
                await response.write(b"x" * 65536)
                self.world.poured += 65536
                await asyncio.sleep(0)  # or the client's end is never heard of
        return response


def own_tls(root_file, host):
    """A context for HTTPS as `host`; writes the root that clients must trust."""
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "acme-server HTTPS root")])

    def builder(subject, public, ca):
        return (x509.CertificateBuilder().subject_name(subject).issuer_name(name)
                .public_key(public).serial_number(x509.random_serial_number())
                .not_valid_before(as_date(time.time() - 24 * 3600))
                .not_valid_after(as_date(time.time() + YEAR))
                .add_extension(x509.BasicConstraints(ca, None), critical=True)
                .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    root_key.public_key()), critical=False))
    root = (builder(name, root_key.public_key(), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()),
                           critical=False).sign(root_key, hashes.SHA256()))
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
             x509.IPAddress(ipaddress.ip_address("::1"))]
    if host not in ("localhost", "127.0.0.1", "::1"):
        names.append(x509.DNSName(host))
    leaf = (builder(x509.Name([]), key.public_key(), False)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .sign(root_key, hashes.SHA256()))
    with open(root_file, "wb") as file:
        file.write(pem(root))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(prefix="acme-server-") as folder:
        path = os.path.join(folder, "pair.pem")
        with open(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
            file.write(key.private_bytes(serialization.Encoding.PEM,
                                         serialization.PrivateFormat.PKCS8,
                                         serialization.NoEncryption()) + pem(leaf))
        context.load_cert_chain(path)
    return context
