# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Signatures of requests: flattened JSON JWS (RFC 7515 §7.2.2) as RFC 8555 §6.2 narrows it.

parse() takes a body apart, verify() checks it under a key that public_key() made of a JWK.
All raise Problems with the rule that was broken. base64url is strict: no padding, no other
alphabet, no bits that say nothing (RFC 8555 §6.1).
"""

import base64
import binascii
import dataclasses
import hashlib
import hmac
import json

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

from .problems import Problem

CURVES = {"P-256": (ec.SECP256R1, 32), "P-384": (ec.SECP384R1, 48),
          "P-521": (ec.SECP521R1, 66)}
ES = {"ES256": ("P-256", hashes.SHA256), "ES384": ("P-384", hashes.SHA384),
      "ES512": ("P-521", hashes.SHA512)}
ALGORITHMS = ["RS256", *ES, "EdDSA"]
MACS = {"HS256": "sha256", "HS384": "sha384", "HS512": "sha512"}
RSA_BITS_LEAST = 2048


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    """ValueError for anything but base64url without padding."""
    if not isinstance(text, str) or "=" in text or "+" in text or "/" in text:
        raise ValueError("not base64url")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_",
                                validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    if encode(data) != text:
        raise ValueError("not base64url")
    return data


@dataclasses.dataclass
class Jws:
    header: dict
    payload: bytes
    signed: bytes
    signature: bytes


def malformed(rule, detail):
    return Problem("malformed", detail, rule=rule)


def _members(body):
    try:
        outer = json.loads(body)
    except (ValueError, RecursionError):
        raise malformed("jws-form", "the body is no JSON") from None
    if not isinstance(outer, dict) or set(outer) != {"protected", "payload", "signature"}:
        raise malformed("jws-form", "the body is no flattened JWS of exactly protected, "
                        "payload and signature (RFC 8555 §6.2)")
    return outer


def parse(body):
    """`body` is JSON as text, or an object that was parsed before."""
    outer = _members(body if isinstance(body, (bytes, str)) else json.dumps(body))
    try:
        protected, payload, signature = (decode(outer[name]) for name in
                                         ("protected", "payload", "signature"))
    except ValueError:
        raise malformed("jws-form", "protected, payload or signature is no base64url "
                        "without padding (RFC 8555 §6.1)") from None
    try:
        header = json.loads(protected)
    except (ValueError, RecursionError):
        raise malformed("jws-form", "the protected header is no JSON") from None
    if not isinstance(header, dict) or "crit" in header or "b64" in header:
        raise malformed("jws-form", "the protected header is no object that ACME knows")
    signed = f"{outer['protected']}.{outer['payload']}".encode()
    return Jws(header, payload, signed, signature)


def check_algorithm(header):
    alg = header.get("alg")
    if alg in ALGORITHMS:
        return
    forbidden = alg is None or alg == "none" or alg in MACS
    raise Problem("badSignatureAlgorithm",
                  f"alg is {alg!r}, and the server takes {', '.join(ALGORITHMS)}",
                  rule="jws-alg" if forbidden else None, algorithms=ALGORITHMS)


def _number(jwk, name):
    return int.from_bytes(decode(jwk[name]), "big")


def _ec_key(jwk):
    curve, size = CURVES[jwk["crv"]]
    if any(len(decode(jwk[name])) != size for name in ("x", "y")):
        raise ValueError(f"x and y of {jwk['crv']} have {size} bytes (RFC 7518 §6.2.1.2)")
    return ec.EllipticCurvePublicNumbers(_number(jwk, "x"), _number(jwk, "y"),
                                         curve()).public_key()


def _key(jwk):
    if jwk["kty"] == "EC":
        return _ec_key(jwk)
    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(_number(jwk, "e"), _number(jwk, "n")).public_key()
    if jwk["kty"] == "OKP" and jwk["crv"] == "Ed25519":
        return ed25519.Ed25519PublicKey.from_public_bytes(decode(jwk["x"]))
    raise ValueError(f"kty is {jwk['kty']}")


def public_key(jwk):
    if not isinstance(jwk, dict) or "d" in jwk:
        raise malformed("jws-key", "jwk is no public key")
    try:
        key = _key(jwk)
    except (ValueError, KeyError, TypeError, UnsupportedAlgorithm) as error:
        raise Problem("badPublicKey", f"jwk is no key that the server takes: {error}",
                      rule="jws-key") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < RSA_BITS_LEAST:
        raise Problem("badPublicKey", f"an RSA key of {key.key_size} bits is too short",
                      rule="jws-key")
    return key


def thumbprint(jwk):
    """RFC 7638."""
    members = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n"),
               "OKP": ("crv", "kty", "x")}[jwk["kty"]]
    text = json.dumps({name: jwk[name] for name in members}, sort_keys=True,
                      separators=(",", ":"))
    return encode(hashlib.sha256(text.encode()).digest())


def _check(jws, key):
    alg = jws.header["alg"]
    if alg == "RS256" and isinstance(key, rsa.RSAPublicKey):
        key.verify(jws.signature, jws.signed, padding.PKCS1v15(), hashes.SHA256())
    elif alg == "EdDSA" and isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(jws.signature, jws.signed)
    elif alg in ES and isinstance(key, ec.EllipticCurvePublicKey):
        curve, size = CURVES[ES[alg][0]]
        if not isinstance(key.curve, curve) or len(jws.signature) != 2 * size:
            raise InvalidSignature
        r, s = (int.from_bytes(half, "big") for half in
                (jws.signature[:size], jws.signature[size:]))
        key.verify(utils.encode_dss_signature(r, s), jws.signed, ec.ECDSA(ES[alg][1]()))
    else:
        raise malformed("jws-alg", f"alg is {alg}, and the key is of another kind")


def verify(jws, key):
    try:
        _check(jws, key)
    except InvalidSignature:
        raise malformed("jws-signature", "the signature is not that of the key") from None


def verify_mac(jws, secret):
    """Of an external account binding."""
    good = hmac.digest(secret, jws.signed, MACS[jws.header["alg"]])
    if not hmac.compare_digest(good, jws.signature):
        raise Problem("unauthorized", "the binding's MAC is not that of its key",
                      rule="eab")


def der(key):
    return key.public_bytes(serialization.Encoding.DER,
                            serialization.PublicFormat.SubjectPublicKeyInfo)
