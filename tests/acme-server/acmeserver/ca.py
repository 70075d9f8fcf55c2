# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The authority: roots, one intermediate key, leaves, and leaves that are wrong.

Chain 0 ends at root 0; an alternate chain (RFC 8555 §7.4.2) has the same leaf, and the
intermediate as another root signed it. What is issued is dated by the server's clock, an
hour back, as Let's Encrypt does. counterfeit() makes what a broken or hostile CA would
send: each must be refused by a client, and none may harm it.
"""

import dataclasses
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from . import jws
from .clock import as_date

HOUR, YEAR = 3600, 365 * 24 * 3600
COUNTERFEITS = ("key", "name", "expired", "issuer", "garbage", "empty", "bare", "long",
                "with-key")


def general_name(identifier):
    if identifier["type"] == "ip":
        return x509.IPAddress(ipaddress.ip_address(identifier["value"]))
    return x509.DNSName(identifier["value"])


def _subject(name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(ca):
    return x509.KeyUsage(digital_signature=True, key_cert_sign=ca, crl_sign=ca,
                         content_commitment=False, key_encipherment=False,
                         data_encipherment=False, key_agreement=False,
                         encipher_only=False, decipher_only=False)


def pem(*certificates):
    return b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)


@dataclasses.dataclass
class Issued:
    """A certificate as the server remembers it; `replaced_by` is an order, or None."""
    ident: str
    leaf: x509.Certificate
    identifiers: list
    account: object
    order: object
    not_before_s: float
    not_after_s: float
    certid: str
    revoked: bool = False
    replaced_by: object = None


class Authority:
    def __init__(self, name, now_s, roots=1):
        self.name, self._key = name, ec.generate_private_key(ec.SECP256R1())
        self.roots, self.intermediates = [], []
        for number in range(roots):
            root_key = ec.generate_private_key(ec.SECP256R1())
            title = f"{name} root {number}"
            root = self._ca(title, root_key, title, root_key, now_s)
            self.roots.append(root)
            self.intermediates.append(self._ca(f"{name} intermediate", self._key, title,
                                               root_key, now_s))

    @staticmethod
    def _ca(name, key, issuer, issuer_key, now_s):
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
        return (x509.CertificateBuilder().subject_name(_subject(name))
                .issuer_name(_subject(issuer)).public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(as_date(now_s - YEAR))
                .not_valid_after(as_date(now_s + 30 * YEAR))
                .add_extension(x509.BasicConstraints(True, None), critical=True)
                .add_extension(_usage(True), critical=True)
                .add_extension(own, critical=False)
                .add_extension(signer, critical=False)
                .sign(issuer_key, hashes.SHA256()))

    def leaf(self, key, identifiers, profile, start_s, end_s):
        names = [general_name(one) for one in identifiers]
        first = identifiers[0]["value"]
        named = profile.common_name and len(first) <= 64
        builder = (x509.CertificateBuilder()
                   .subject_name(_subject(first) if named else x509.Name([]))
                   .issuer_name(self.intermediates[0].subject).public_key(key)
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(as_date(start_s)).not_valid_after(as_date(end_s))
                   .add_extension(x509.BasicConstraints(False, None), critical=True)
                   .add_extension(_usage(False), critical=True)
                   .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
                                  critical=False)
                   .add_extension(x509.SubjectAlternativeName(names), critical=not named)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                       self._key.public_key()), critical=False))
        if profile.key_identifier:
            builder = builder.add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def chain(self, leaf, number=0):
        return pem(leaf, self.intermediates[number])

    def counterfeit(self, issued, profile, how, now_s):
        """A chain in the place of that of `issued`, wrong in one of COUNTERFEITS."""
        key, identifiers = issued.leaf.public_key(), issued.identifiers
        start_s, end_s = issued.not_before_s, issued.not_after_s
        if how == "garbage":
            return (b"-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n"
                    b"-----END CERTIFICATE-----\n")
        if how == "empty":
            return b""
        if how == "bare":
            return pem(issued.leaf)
        if how == "long":
            return pem(issued.leaf, *self.intermediates[:1] * 300)
        if how == "with-key":
            stranger = ec.generate_private_key(ec.SECP256R1())
            return self.chain(issued.leaf) + stranger.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption())
        if how == "issuer":
            return pem(issued.leaf, Authority("A stranger", now_s).intermediates[0])
        if how == "key":
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
        elif how == "name":
            identifiers = [{"type": "dns", "value": "not.what.was.asked.invalid"}]
        elif how == "expired":
            start_s, end_s = now_s - 48 * HOUR, now_s - 24 * HOUR
        return self.chain(self.leaf(key, identifiers, profile, start_s, end_s))


def certificate_id(leaf):
    """RFC 9773 §4.1: the authority's key identifier and the serial number."""
    aki = leaf.extensions.get_extension_for_class(
        x509.AuthorityKeyIdentifier).value.key_identifier
    serial = leaf.serial_number
    size = serial.bit_length() // 8 + 1
    return f"{jws.encode(aki)}.{jws.encode(serial.to_bytes(size, 'big'))}"


def issue(authority, order, csr, profile, now_s):
    start_s = int(now_s) - HOUR
    end_s = start_s + profile.lifetime_s - 1
    leaf = authority.leaf(csr.public_key(), order.identifiers, profile, start_s, end_s)
    return Issued(f"{leaf.serial_number:x}", leaf, order.identifiers, order.account, order,
                  start_s, end_s, certificate_id(leaf))
