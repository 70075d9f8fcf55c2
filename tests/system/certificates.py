# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Certificates and keys for tests, and what stands in those that are served."""

import datetime
import ipaddress
import os

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


def now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)


def general_name(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def subject(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def new_key(kind="p256"):
    if kind == "rsa":
        return rsa.generate_private_key(65537, 2048)
    if kind == "weak":
        return rsa.generate_private_key(65537, 1024)
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key, password=None):
    encryption = (serialization.BestAvailableEncryption(password) if password
                  else serialization.NoEncryption())
    return key.private_bytes(serialization.Encoding.PEM,
                             serialization.PrivateFormat.PKCS8, encryption)


def pem(*certificates):
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def signed_by(key):
    """RFC 5280 §4.2.1.1: Python 3.13 trusts no chain without it."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


class Authority:
    """A root and one intermediate that signs leaves."""

    def __init__(self, name="Test CA"):
        self.root_key, self.key = new_key(), new_key()
        self.root = self._ca(f"{name} root", self.root_key, None, self.root_key)
        self.intermediate = self._ca(f"{name} intermediate", self.key, self.root,
                                     self.root_key)

    @staticmethod
    def _ca(name, key, issuer, issuer_key):
        usage = x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True,
                              content_commitment=False, key_encipherment=False,
                              data_encipherment=False, key_agreement=False,
                              encipher_only=False, decipher_only=False)
        builder = (x509.CertificateBuilder().subject_name(subject(name))
                   .issuer_name(issuer.subject if issuer else subject(name))
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now() - DAY).not_valid_after(now() + 3650 * DAY)
                   .add_extension(x509.BasicConstraints(True, None), critical=True)
                   .add_extension(usage, critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(
                       key.public_key()), critical=False)
                   .add_extension(signed_by(issuer_key), critical=False))
        return builder.sign(issuer_key, hashes.SHA256())

    def leaf(self, names, key=None, days=90, since_days=0, ca=False, serial=None):
        """A leaf for `names` as (certificate, key); `days` counts from now."""
        key = key or new_key()
        builder = (x509.CertificateBuilder().subject_name(subject(names[0]))
                   .issuer_name(self.intermediate.subject).public_key(key.public_key())
                   .serial_number(serial or x509.random_serial_number())
                   .not_valid_before(now() - since_days * DAY - DAY / 24)
                   .not_valid_after(now() + days * DAY)
                   .add_extension(x509.BasicConstraints(ca, None), critical=True)
                   .add_extension(x509.SubjectAlternativeName(
                       [general_name(n) for n in names]), critical=False)
                   .add_extension(signed_by(self.key), critical=False))
        return builder.sign(self.key, hashes.SHA256()), key

    def leaf_of_request(self, request, names=None, key=None):
        """What an honest CA makes of a CSR, or of other names or another key."""
        if names is None:
            extension = request.extensions.get_extension_for_class(
                x509.SubjectAlternativeName)
            names = extension.value.get_values_for_type(x509.DNSName)
        builder = (x509.CertificateBuilder().subject_name(subject(names[0]))
                   .issuer_name(self.intermediate.subject)
                   .public_key(key or request.public_key())
                   .serial_number(x509.random_serial_number())
                   .not_valid_before(now() - DAY / 24).not_valid_after(now() + 90 * DAY)
                   .add_extension(x509.SubjectAlternativeName(
                       [general_name(n) for n in names]), critical=False)
                   .add_extension(signed_by(self.key), critical=False))
        return builder.sign(self.key, hashes.SHA256())


class Pair:
    """A leaf with key and chain, as files' contents."""

    def __init__(self, authority, names, **how):
        self.certificate, self.private_key = authority.leaf(names, **how)
        self.cert = pem(self.certificate)
        self.chain = pem(authority.intermediate)
        self.fullchain = self.cert + self.chain
        self.key = key_pem(self.private_key)
        self.combined = self.key + self.fullchain

    def write(self, folder, prefix=""):
        """Writes the files below `folder`, returns their paths by name."""
        paths = {}
        for name in ("cert", "chain", "fullchain", "key", "combined"):
            paths[name] = os.path.join(folder, f"{prefix}{name}.pem")
            with open(paths[name], "wb") as file:
                file.write(getattr(self, name))
        return paths


def split_pem(data):
    end = b"-----END CERTIFICATE-----\n"
    return [part + end for part in data.split(end)[:-1]]


def load(data):
    return x509.load_pem_x509_certificate(data)


def names_of(certificate):
    value = certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName).value
    return sorted([*value.get_values_for_type(x509.DNSName),
                   *map(str, value.get_values_for_type(x509.IPAddress))])


def public_bytes(key):
    return key.public_bytes(serialization.Encoding.DER,
                            serialization.PublicFormat.SubjectPublicKeyInfo)


def belong_together(certificate, key):
    """Do a certificate's and a key's PEM make a pair?"""
    private = serialization.load_pem_private_key(key, None)
    return public_bytes(load(certificate).public_key()) == public_bytes(private.public_key())
