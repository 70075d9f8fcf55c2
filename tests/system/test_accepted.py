# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What is taken for a certificate or a key, and what is refused with which words.

Each row of a table is a file, made by openssl, that is written to a name; what is refused
fails with its errno, changes nothing, and says in status and log what is wrong and what to do.
"""

import errno
import os
import re
import shlex
import subprocess

import pytest

from certificates import belong_together, split_pem
from mount import SERVED
from openssl import CA, KEYS, Issuer, key_of, run
from waiting import LIMIT_S

NAME, ALIAS = "app.example.com", "www.example.com"
SAN = f"DNS:{NAME}"
DAY = 24 * 3600
PASSPHRASE = ["-passout", "pass:secret"]


class World:
    """A root, an intermediate, and a leaf with its key, each as PEM."""

    def __init__(self, folder):
        self.folder = folder
        self.top = Issuer(folder, "Root")
        self.between = Issuer(folder, "Intermediate", self.top)
        self.root, self.chain = self.top.cert, self.between.cert
        self.key, self.leaf = self.pair(SAN)
        self.full = self.leaf + self.chain
        self.made = 0

    def pair(self, *names, key=None, **how):
        key = key or key_of()
        return key, self.between.certificate(key, names, **how)

    def combined(self, *names, **how):
        key, leaf = self.pair(*names, **how)
        return key + leaf + self.chain

    def file(self, data):
        self.made += 1
        path = os.path.join(self.folder, f"made{self.made}")
        with open(path, "wb") as out:
            out.write(data)
        return path

    def converted(self, data, *command):
        """What an openssl command makes of `data`, from file to file."""
        source, made = self.file(data), self.file(b"")
        run(*command, "-in", source, "-out", made)
        with open(made, "rb") as file:
            return file.read()

    def pkcs7(self, *how):
        return self.converted(b"", "crl2pkcs7", "-nocrl", "-certfile", self.file(self.full),
                              *how)

    def pkcs12(self):
        return self.converted(self.key + self.full, "pkcs12", "-export", *PASSPHRASE)

    def encrypted(self, *how):
        return self.converted(self.key, *how, "-aes128", *PASSPHRASE)

    def sec1(self, *how):
        """A key in SEC1's form with its certificate."""
        return self.combined(SAN, key=run("ecparam", "-name", "prime256v1", "-genkey", *how))

    def crossed(self, *order):
        """A chain whose root stands in it as itself and as another root has signed it."""
        other = Issuer(self.folder, "Other Root")
        parts = {"leaf": self.leaf, "chain": self.chain, "root": self.root, "twin":
                 Issuer(self.folder, "Root", other, self.top.key).cert, "other": other.cert}
        return self.key + b"".join(parts[name] for name in order)

    def stranger(self):
        return self.key + self.full + Issuer(self.folder, "Stranger", self.top).cert

    def many(self, size):
        return (self.chain * (size // len(self.chain) + 1))[:size // len(self.chain)
                                                            * len(self.chain)]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(str(tmp_path_factory.mktemp("openssl")))


# Taken: what is written to combined.pem, and, where it is another, the directory's name.

def lines(end):
    return lambda w: (w.key + w.full).replace(b"\n", end)


# Servers take the first certificate for the leaf.
MENDED = ("chain in wrong order", "root first")

ACCEPTED = {
    **{f"key {kind}": (lambda w, kind=kind: w.combined(SAN, key=key_of(kind)), NAME)
       for kind in KEYS if kind not in ("rsa1024", "p224")},
    "PKCS#1": (lambda w: w.combined(SAN, key=w.converted(key_of("rsa2048"), "rsa",
                                                         "-traditional")), NAME),
    "PKCS#8": (lambda w: w.key + w.full, NAME),
    "SEC1": (lambda w: w.sec1("-noout"), NAME),
    "SEC1 with EC PARAMETERS": (lambda w: w.sec1(), NAME),
    "certificates first": (lambda w: w.full + w.key, NAME),
    "CRLF": (lines(b"\r\n"), NAME),
    "trailing blanks": (lines(b"  \t\n"), NAME),
    "byte order mark": (lambda w: b"\xef\xbb\xbf" + w.key + w.full, NAME),
    "no newline at the end": (lambda w: (w.key + w.full)[:-1], NAME),
    "text before and between": (lambda w: b"Bag Attributes\n    friendlyName: x\n" + w.key
                                + b"subject=CN = x\n\n" + w.leaf + b"---\n" + w.chain
                                + b"end\n", NAME),
    "TRUSTED CERTIFICATE": (lambda w: w.key + w.converted(
        w.leaf, "x509", "-addtrust", "serverAuth", "-trustout") + w.chain, NAME),
    "chain in wrong order": (lambda w: w.chain + w.key + w.leaf, NAME),
    "with the root": (lambda w: w.key + w.full + w.root, NAME),
    "root first": (lambda w: w.root + w.chain + w.leaf + w.key, NAME),
    "with duplicates": (lambda w: w.key + w.full + w.chain + w.leaf, NAME),
    "wildcard for the name": (lambda w: w.combined("DNS:*.example.com"), NAME),
    "upper case": (lambda w: w.combined("DNS:APP.Example.COM"), NAME),
    "punycode": (lambda w: w.combined("DNS:xn--bcher-kva.example"), "xn--bcher-kva.example"),
    "one name of many": (lambda w: w.combined(*(f"DNS:a{i}.example.com" for i in range(50)),
                                              SAN), NAME),
    "IP address": (lambda w: w.combined("IP:192.0.2.1"), "192.0.2.1"),
    "IPv6 address": (lambda w: w.combined("IP:2001:DB8:0:0:0:0:0:1"), "2001:db8::1"),
}


def write(certfs, name, file, data):
    """The errno with which the close fails, 0 when it does not."""
    fd = os.open(certfs.path(name, file), os.O_WRONLY | os.O_TRUNC)
    try:
        while data:
            data = data[os.write(fd, data):]
    except OSError:
        pass  # what counts is that the close says so, too
    try:
        os.close(fd)
    except OSError as error:
        return error.errno
    return 0


def move(certfs, name, file, data):
    """The same with a file that is written beside it, and renamed."""
    with open(certfs.path(name, "new"), "wb") as out:
        out.write(data)
    try:
        os.rename(certfs.path(name, "new"), certfs.path(name, file))
    except OSError as error:
        os.unlink(certfs.path(name, "new"))
        return error.errno
    return 0


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(plain, world, case):
    make, name = ACCEPTED[case]
    data = make(world)
    plain.mkdir(name)
    for put in (write, move):
        assert put(plain, name, "combined.pem", data) == 0
        status = plain.status(name)
        assert (status["serves"]["source"], status["refused"]) == ("custom", None)
        assert status["serves"]["warning"] is None and status["state"] == "ok"
        combined = plain.read(name, "combined.pem")
        if case in MENDED:
            assert combined.endswith(world.full) and belong_together(combined, combined)
        else:
            assert combined == data
        assert belong_together(plain.read(name, "cert.pem"), plain.read(name, "privkey.pem"))
        assert plain.read(name, "fullchain.pem") == (plain.read(name, "cert.pem")
                                                     + world.chain)
        assert plain.read(name, "chain.pem") == world.chain
        rm(plain, name)
        plain.wait_for_source(name, "self-signed fallback")


def rm(certfs, name):
    """By a process of its own: whoever unlinks a name finds it gone for a while."""
    subprocess.run(["sh", "-c", "rm $0 && touch $0", certfs.path(name, "cert.pem")],
                   check=True)


def test_missing_intermediate_is_taken_with_a_warning(plain, world):
    plain.mkdir(NAME)
    assert write(plain, NAME, "combined.pem", world.key + world.leaf) == 0
    status = plain.status(NAME)
    assert status["serves"]["source"] == "custom" and status["state"] == "attention"
    warning = r"no intermediate certificate .*; write fullchain\.pem or chain\.pem"
    assert re.search(warning, status["serves"]["warning"])
    assert re.search(warning, plain.read(NAME, "status").decode())
    assert write(plain, NAME, "chain.pem", world.chain) == 0
    assert plain.status(NAME)["serves"]["warning"] is None
    assert plain.read(NAME, "fullchain.pem") == world.full


@pytest.mark.parametrize("order", [("leaf", "chain", "root", "twin"),
                                   ("leaf", "chain", "twin", "root"),
                                   ("twin", "other", "chain", "leaf"),
                                   ("leaf", "chain", "root", "twin", "other")])
def test_cross_signed_chain_goes_on_to_the_other_root(plain, world, order):
    plain.mkdir(NAME)
    data = world.crossed(*order)
    assert write(plain, NAME, "combined.pem", data) == 0
    chain = split_pem(plain.read(NAME, "chain.pem"))
    twin = split_pem(data.split(b"-----END PRIVATE KEY-----\n")[1])[order.index("twin")]
    assert chain == [world.chain, twin]


# Refused: the name in the directory, what is written to it, the errno, and what is said.
# MOUNT stands for the mountpoint.

def into(file):
    return rf"-out MOUNT/{NAME}/{file}'"


REFUSED = {
    "key rsa1024": ("combined.pem", lambda w: w.combined(SAN, key=key_of("rsa1024")),
                    errno.EKEYREJECTED, r"too weak: RSA 1024, .* make a new key"),
    "key p224": ("combined.pem", lambda w: w.combined(SAN, key=key_of("p224")),
                 errno.EKEYREJECTED, r"too weak: ECDSA P-224, .* make a new key"),
    "weak key alone": ("privkey.pem", lambda w: key_of("rsa1024"),
                       errno.EKEYREJECTED, r"too weak: RSA 1024, .* make a new key"),
    "encrypted PKCS#8": ("privkey.pem", lambda w: w.encrypted("pkey"), errno.EBADMSG,
                         r"passphrase.* 'openssl pkey -in ORIGINAL " + into("privkey.pem")),
    "encrypted SEC1": ("privkey.pem", lambda w: w.encrypted("ec"), errno.EBADMSG,
                       r"passphrase.* 'openssl pkey -in ORIGINAL " + into("privkey.pem")),
    "encrypted with certificates": (
        "combined.pem", lambda w: w.encrypted("pkey") + w.full, errno.EBADMSG,
        r"passphrase.* " + into("privkey.pem")
        + rf", and write the certificates to MOUNT/{NAME}/fullchain\.pem"),
    "DER certificate": ("cert.pem", lambda w: w.converted(w.leaf, "x509", "-outform", "DER"),
                        errno.EBADMSG, r"certificate in DER.* 'openssl x509 -inform DER -in "
                        "ORIGINAL " + into("cert.pem")),
    "DER key": ("privkey.pem", lambda w: w.converted(w.key, "pkey", "-outform", "DER"),
                errno.EBADMSG, r"key in DER.* 'openssl pkey -inform DER -in ORIGINAL "
                + into("privkey.pem")),
    "encrypted DER key": ("privkey.pem", lambda w: w.converted(
        w.key, "pkcs8", "-topk8", "-outform", "DER", *PASSPHRASE),
                          errno.EBADMSG, r"key in DER.* 'openssl pkey -inform DER -in "
                          "ORIGINAL " + into("privkey.pem")),
    "PKCS#7": ("fullchain.pem", lambda w: w.pkcs7(), errno.EBADMSG,
               r"PKCS#7.* 'openssl pkcs7 -in ORIGINAL -print_certs " + into("fullchain.pem")),
    "PKCS#7 in DER": ("fullchain.pem", lambda w: w.pkcs7("-outform", "DER"), errno.EBADMSG,
                      r"PKCS#7 in DER.* 'openssl pkcs7 -inform DER -in ORIGINAL -print_certs "
                      + into("fullchain.pem")),
    "PKCS#12": ("combined.pem", lambda w: w.pkcs12(), errno.EBADMSG,
                r"PKCS#12.* 'openssl pkcs12 -in ORIGINAL -nodes " + into("combined.pem")),
    "PKCS#12 as cert.pem": ("cert.pem", lambda w: w.pkcs12(), errno.EBADMSG,
                            r"PKCS#12.* 'openssl pkcs12 -in ORIGINAL -nodes "
                            + into("combined.pem")),
    "other DER": ("cert.pem", lambda w: b"\x30\x03\x02\x01\x05", errno.EBADMSG,
                  r"DER.* neither .*'openssl asn1parse"),
    "certificate request": ("cert.pem", lambda w: run(
        "req", "-new", "-key", w.file(w.key), "-subj", "/CN=x"), errno.EBADMSG,
                            r"a certificate request: write the certificate that the CA made"),
    "public key": ("privkey.pem", lambda w: w.converted(w.key, "pkey", "-pubout"),
                   errno.EBADMSG, r"a public key: write the private key"),
    "parameters too": ("combined.pem", lambda w: w.key + w.full + w.leaf.replace(
        b"CERTIFICATE", b"DH PARAMETERS"), errno.EBADMSG, r"'DH PARAMETERS'.*: leave it out"),
    "stranger in the chain": ("combined.pem", lambda w: w.stranger(), errno.EKEYREJECTED,
                              r"'Stranger' in it is no part of the chain: leave it out"),
    "two keys": ("privkey.pem", lambda w: w.key + key_of(), errno.EBADMSG,
                 r"two private keys.*: leave out"),
    "not yet valid": ("combined.pem", lambda w: w.combined(SAN, begin=2), errno.EKEYREJECTED,
                      r"not valid before \d+-\d+-\d+ .*: install it then"),
    "expired": ("combined.pem", lambda w: w.combined(SAN, begin=-9, days=-2),
                errno.EKEYEXPIRED, r"expired on \d+-\d+-\d+ .*: write the one that follows"),
    "a CA": ("combined.pem", lambda w: w.combined(SAN, extensions=CA), errno.EKEYREJECTED,
             r"is a CA's: write the server's own"),
    "a CA's alone": ("cert.pem", lambda w: w.chain, errno.EKEYREJECTED,
                     r"only certificates of CAs.*: write the server's own"),
    "common name only": ("combined.pem", lambda w: w.combined(common_name=NAME),
                         errno.EKEYREJECTED, rf"no subjectAltName.*: .* a SAN for {NAME}"),
    "another name": ("combined.pem", lambda w: w.combined("DNS:mail.example.com"),
                     errno.EKEYREJECTED,
                     rf"is for mail.example.com, .* is {NAME}: write one that is for it"),
    "wildcard one label too high": ("combined.pem", lambda w: w.combined("DNS:*.com"),
                                    errno.EKEYREJECTED, rf"is for \*\.com, .* is {NAME}: w"),
    "wildcard of the name itself": ("combined.pem", lambda w: w.combined(f"DNS:*.{NAME}"),
                                    errno.EKEYREJECTED, rf"is for \*\.{NAME}, .* is {NAME}: "),
    "the alias is missing": ("combined.pem", lambda w: w.key + w.full, errno.EKEYREJECTED,
                             rf"not for {ALIAS}, .*: have one issued for both, or take the "
                             "alias away with rm"),
    "1 MiB of certificates": ("fullchain.pem", lambda w: w.many(1 << 20), errno.EFBIG,
                              r"more than 16 certificates in it: write the server's own"),
    "more than 1 MiB": ("fullchain.pem", lambda w: w.many(3 << 20), errno.EFBIG,
                        r"more than 1 MiB .*: write the server's own"),
    "a pair and 1 MiB of text": ("combined.pem", lambda w: w.key + w.full
                                 + b"# a comment\n" * (1 << 17), errno.EFBIG,
                                 r"more than 1 MiB .*: write the server's own"),
    "NUL bytes": ("combined.pem", lambda w: w.key + b"\0\0\0" + w.full, errno.EBADMSG,
                  r"NUL bytes.*copy it again"),
    "a hole": ("fullchain.pem", lambda w: bytes(4096) + w.full, errno.EBADMSG,
               r"NUL bytes.*copy it again"),
    "UTF-16": ("fullchain.pem", lambda w: w.full.decode().encode("utf-16"), errno.EBADMSG,
               rf"UTF-16.* 'iconv .* -o MOUNT/{NAME}/fullchain\.pem ORIGINAL'"),
    "no PEM": ("cert.pem", lambda w: b"hello\n", errno.EBADMSG, r"no PEM block.*: write the"),
    "cut off": ("combined.pem", lambda w: (w.key + w.full)[:-40], errno.EBADMSG,
                r"middle of a block: .*write it again"),
    "damaged": ("combined.pem", lambda w: (w.key + w.full).replace(b"M", b"!"), errno.EBADMSG,
                r"damaged .*: copy it again"),
    "damaged certificate": ("cert.pem", lambda w: w.leaf.replace(b"MII", b"AAA"),
                            errno.EBADMSG, r"certificate 1 .*: it is damaged, copy it again"),
    "key of another certificate": ("combined.pem", lambda w: key_of() + w.full,
                                   errno.EKEYREJECTED, r"key belongs to another certificate: "
                                   "write the certificate and the key"),
    "certificates as the key": ("privkey.pem", lambda w: w.full, errno.EBADMSG,
                                r"no private key in it: write .* to fullchain\.pem"),
    "key as the certificates": ("fullchain.pem", lambda w: w.key, errno.EKEYREJECTED,
                                r"everybody may read fullchain\.pem: write the key to"),
    "key where all may read": ("fullchain.pem", lambda w: w.key + w.full, errno.EKEYREJECTED,
                               r"everybody may read fullchain\.pem: write the key to"),
    "half of combined.pem": ("combined.pem", lambda w: w.full, errno.EBADMSG,
                             r"wants the private key and the certificates in one file"),
}


def state_of(certfs, name):
    status = certfs.status(name)
    return ({file: certfs.read(name, file) for file in SERVED}, status["serves"],
            status["waiting"])


def says(certfs, name, file, pattern):
    """The sentence of status and log."""
    pattern = pattern.replace("MOUNT", re.escape(certfs.mountpoint))
    sentence = certfs.status(name)["refused"]["text"]
    assert re.search(pattern, sentence)
    assert sentence.startswith(f"{file} of {name}: ") and "\n" not in sentence
    assert f"refused: {sentence} (" in certfs.read(name, "status").decode()
    certfs.wait_for_log(rf"notice: refused: {re.escape(sentence)} domain={name}")
    assert sentence in certfs.read(".certfs", "events").decode()
    return sentence


@pytest.mark.parametrize("case", REFUSED)
def test_refused(plain, world, case):
    file, make, code, pattern = REFUSED[case]
    data = make(world)
    plain.mkdir(NAME)
    if case == "the alias is missing":
        os.symlink(NAME, plain.path(ALIAS))
    before = state_of(plain, NAME)
    assert write(plain, NAME, file, data) == code
    says(plain, NAME, file, pattern)
    assert state_of(plain, NAME) == before
    if len(data) <= 1 << 20:  # a larger file never comes to the rename
        assert move(plain, NAME, file, data) == code
        says(plain, NAME, file, pattern)
        assert state_of(plain, NAME) == before
    names = [f"DNS:{ALIAS}"] if os.path.islink(plain.path(ALIAS)) else []
    assert write(plain, NAME, "combined.pem", world.combined(SAN, *names)) == 0
    assert plain.status(NAME)["refused"] is None


@pytest.mark.parametrize("name, san, got", [
    ("a.b.example.com", "DNS:*.example.com", r"\*\.example\.com"),
    ("example.com", "DNS:*.example.com", r"\*\.example\.com"),
    ("192.0.2.1", "DNS:192.0.2.1", "192.0.2.1"),
    ("192.0.2.1", "IP:192.0.2.2", "192.0.2.2"),
    ("bcher-kva.example", "DNS:xn--bcher-kva.example", "xn--bcher-kva.example"),
    ("wildcard_.example.com", "DNS:app.example.com", "app.example.com"),
    ("wildcard_.example.com", "DNS:*.example.net", r"\*\.example\.net"),
])
def test_certificate_for_what_the_directory_is_not_is_refused(plain, world, name, san, got):
    plain.mkdir(name)
    before = state_of(plain, name)
    assert write(plain, name, "combined.pem", world.combined(san)) == errno.EKEYREJECTED
    says(plain, name, "combined.pem", f"is for {got}, this directory is {name}: write one")
    assert state_of(plain, name) == before


# The commands that a refusal names

@pytest.mark.parametrize("case, passphrase", [
    ("encrypted PKCS#8", True), ("encrypted SEC1", True), ("DER certificate", False),
    ("DER key", False), ("encrypted DER key", True), ("PKCS#7", False),
    ("PKCS#7 in DER", False), ("PKCS#12", True), ("PKCS#12 as cert.pem", True),
    ("UTF-16", False)])
def test_command_that_a_refusal_names_installs_the_original(plain, world, case, passphrase):
    file, make, code, pattern = REFUSED[case]
    original = world.file(make(world))
    plain.mkdir(NAME)
    with open(original, "rb") as data:
        assert write(plain, NAME, file, data.read()) == code
    sentence = says(plain, NAME, file, pattern)
    command = [original if word == "ORIGINAL" else word
               for word in shlex.split(re.search(r"'((?:openssl|iconv) [^']*)'",
                                                 sentence).group(1))]
    subprocess.run([*command, *(["-passin", "pass:secret"] if passphrase else [])],
                   check=True, timeout=LIMIT_S, capture_output=True)
    other = {"privkey.pem": ("fullchain.pem", world.full)}.get(file, ("privkey.pem", world.key))
    if "PKCS#12" not in case:
        assert plain.status(NAME)["waiting"] == [file]
        assert write(plain, NAME, *other) == 0
    assert plain.source(NAME) == "custom"
    assert plain.read(NAME, "cert.pem").endswith(world.leaf)


# What is empty, and what waits

@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n"])
def test_empty_file_changes_nothing_and_is_told(plain, data):
    plain.mkdir(NAME)
    before = state_of(plain, NAME)
    assert write(plain, NAME, "cert.pem", data) == 0
    status = plain.wait_for_status(NAME, lambda s: s["refused"], "tells of it")
    assert re.search(r"cert\.pem was emptied, .*: write it whole", status["refused"]["text"])
    plain.wait_for_log(r"cert\.pem was emptied, .*: write it whole")
    assert state_of(plain, NAME) == before
    if not data:
        assert move(plain, NAME, "cert.pem", data) == errno.EBADMSG
        says(plain, NAME, "cert.pem", "it is empty: write it whole")
    assert state_of(plain, NAME) == before


@pytest.mark.parametrize("file, for_what", [("fullchain.pem", "its key: write privkey.pem"),
                                            ("privkey.pem",
                                             "its certificate: write fullchain.pem")])
@pytest.mark.parametrize("away", [False, True])
def test_half_whose_other_half_never_comes_is_told_and_dropped_after_a_day(
        certfs, clock, world, file, for_what, away):
    daemon = certfs(certfs=clock.settings)
    daemon.mkdir(NAME)
    before = state_of(daemon, NAME)
    data = {"fullchain.pem": world.full, "privkey.pem": world.key}
    assert write(daemon, NAME, file, data[file]) == 0
    status = daemon.status(NAME)
    assert (status["waiting"], status["state"]) == ([file], "attention")
    assert f"{file} was written and waits for {for_what}" in status["attention"]
    assert status["attention"] in daemon.read(NAME, "status").decode()
    clock(DAY - 600)
    if away:
        assert daemon.stop() == 0
    clock(DAY + 60)
    if away:
        daemon.start()
    status = daemon.wait_for_status(NAME, lambda s: not s["waiting"], "waits no more")
    dropped = f"{file} waited a day for the other half of the pair, which never came"
    daemon.wait_for_log(f"warning: {dropped}, and was dropped: write both")
    status = daemon.wait_for_status(NAME, lambda s: s["refused"], "tells of it")
    assert status["refused"]["text"].startswith(dropped)
    assert dropped in daemon.read(".certfs", "events").decode()
    other = "privkey.pem" if file == "fullchain.pem" else "fullchain.pem"
    assert state_of(daemon, NAME) == before
    assert write(daemon, NAME, other, data[other]) == 0
    assert daemon.status(NAME)["waiting"] == [other]
    assert write(daemon, NAME, file, data[file]) == 0
    assert daemon.source(NAME) == "custom"


def test_name_that_comes_back_waits_for_nothing(plain, world):
    plain.mkdir(NAME)
    assert write(plain, NAME, "privkey.pem", world.key) == 0
    os.rmdir(plain.path(NAME))
    plain.mkdir(NAME)
    assert plain.status(NAME)["waiting"] == []
