# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""An ACME client that does as a test says, wrong things too, and a web server for http-01.

It shares no code with the server of tests/acme-server, so that each shows the other's
mistakes.
"""

import base64
import hashlib
import hmac
import http.client
import http.server
import json
import ssl
import threading
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils

LIMIT_S = 60


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def dumps(value):
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


class Key:
    """ES256."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        numbers = self.private.public_key().public_numbers()
        self.jwk = {"crv": "P-256", "kty": "EC", "x": b64(numbers.x.to_bytes(32, "big")),
                    "y": b64(numbers.y.to_bytes(32, "big"))}
        self.thumbprint = b64(hashlib.sha256(dumps(self.jwk)).digest())

    def sign(self, data):
        der = self.private.sign(data, ec.ECDSA(hashes.SHA256()))
        return b"".join(n.to_bytes(32, "big") for n in utils.decode_dss_signature(der))

    def jws(self, header, payload):
        """`payload` is bytes."""
        protected, payload = b64(dumps(header)), b64(payload)
        return {"protected": protected, "payload": payload,
                "signature": b64(self.sign(f"{protected}.{payload}".encode()))}


def weak_jwk():
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()
    return {"kty": "RSA", "e": "AQAB", "n": b64(numbers.n.to_bytes(128, "big"))}


def csr(names, key=None):
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(
        [x509.DNSName(name) for name in names]), critical=False)
    made = builder.sign(key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return b64(made.public_bytes(serialization.Encoding.DER))


class Answer:
    def __init__(self, response, body):
        self.status, self.body = response.status, body
        self.headers = response.headers
        self.type = response.headers.get("Content-Type")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def problem(self):
        """The type of the problem document that it is, without its prefix; else None."""
        if self.type != "application/problem+json":
            return None
        return self.json["type"].removeprefix("urn:ietf:params:acme:error:")

    @property
    def location(self):
        return self.headers["Location"]


class Client:
    def __init__(self, ca):
        self.ca, self.key, self.kid = ca, Key(), None
        self.context = ssl.create_default_context(cafile=ca.tls_roots)
        self.nonces = []
        self.directory = self.ask("GET", ca.directory).json

    def ask(self, method, url, body=None, headers=None, limit_s=LIMIT_S):
        """A header field that is None is left out."""
        parts = urllib.parse.urlsplit(url)
        fields = {"User-Agent": "scripted", **(headers or {})}
        connection = http.client.HTTPSConnection(parts.netloc, context=self.context,
                                                 timeout=limit_s)
        try:
            connection.request(method, parts.path, body, headers={
                name: value for name, value in fields.items() if value is not None})
            response = connection.getresponse()
            answer = Answer(response, response.read())
        finally:
            connection.close()
        if answer.headers.get("Replay-Nonce"):
            self.nonces.append(answer.headers["Replay-Nonce"])
        return answer

    def nonce(self):
        if not self.nonces:
            self.ask("HEAD", self.directory["newNonce"])
        return self.nonces.pop()

    def header(self, to, **how):
        """The protected header; a member of `how` that is None is left out."""
        who = {"kid": self.kid} if self.kid else {"jwk": self.key.jwk}
        header = {"alg": "ES256", "nonce": how.pop("nonce", None) or self.nonce(),
                  "url": to, **who, **how}
        return {k: v for k, v in header.items() if v is not None}

    def post(self, to, payload=None, headers=None, limit_s=LIMIT_S, **how):
        """`payload` None is POST-as-GET; `how` changes the protected header."""
        data = b"" if payload is None else dumps(payload)
        return self.send(to, self.key.jws(self.header(to, **how), data), headers, limit_s)

    def send(self, url, jws, headers=None, limit_s=LIMIT_S):
        body = jws if isinstance(jws, bytes) else dumps(jws)
        return self.ask("POST", url, body, {"Content-Type": "application/jose+json",
                                            **(headers or {})}, limit_s)

    # Steps

    def register(self, **payload):
        answer = self.post(self.directory["newAccount"],
                           {"termsOfServiceAgreed": True, **payload})
        if answer.status in (200, 201):
            self.kid = answer.location
        return answer

    def binding(self, kid, secret, **how):
        header = {"alg": "HS256", "kid": kid, "url": self.directory["newAccount"], **how}
        protected, payload = b64(dumps(header)), b64(dumps(self.key.jwk))
        mac = hmac.digest(secret, f"{protected}.{payload}".encode(), "sha256")
        return {"protected": protected, "payload": payload, "signature": b64(mac)}

    def order(self, *names, **more):
        identifiers = [{"type": "ip" if name.replace(".", "").isdigit() or ":" in name
                        else "dns", "value": name} for name in names]
        return self.post(self.directory["newOrder"], {"identifiers": identifiers, **more})

    def authorize(self, order, web):
        """Answers all challenges of an order's body; returns its authorizations."""
        done = []
        for url in order["authorizations"]:
            authorization = self.post(url).json
            if authorization["status"] == "pending":
                challenge = next(one for one in authorization["challenges"]
                                 if one["type"] == "http-01")
                web.answer(challenge["token"],
                           f"{challenge['token']}.{self.key.thumbprint}")
                assert self.post(challenge["url"], {}).status == 200
                authorization = self.post(url).json
            done.append(authorization)
        return done

    def ready(self, web, *names, **more):
        """A newOrder answer whose authorizations are valid."""
        placed = self.order(*names, **more)
        assert placed.status == 201, placed.body
        self.authorize(placed.json, web)
        return placed

    def finalize(self, order, *names, **how):
        return self.post(order["finalize"], {"csr": how.get("csr") or csr(names)})

    def issue(self, web, *names, **more):
        """The whole way; returns the order's last body."""
        placed = self.ready(web, *names, **more)
        assert self.finalize(placed.json, *names).status == 200
        order = self.post(placed.location).json
        assert order["status"] == "valid", order
        return order


class Web:
    """Answers http-01 on a port; `special` has (status, headers, body) by path."""

    PREFIX = "/.well-known/acme-challenge/"

    def __init__(self, port):
        self.special, self.hosts = {}, []
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                web.hosts.append(self.headers["Host"])
                status, headers, body = web.special.get(
                    self.path, web.special.get("*", (404, {}, b"nothing here")))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,),
                         daemon=True).start()

    def answer(self, token, text):
        self.special[self.PREFIX + token] = (200, {}, text.encode())

    def close(self):
        self.server.shutdown()
        self.server.server_close()
