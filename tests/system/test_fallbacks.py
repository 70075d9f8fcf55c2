# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The pairs of `wildcard_.DOMAIN/` and `fallback/`, which serve for the names below."""

import os
import subprocess

import pytest

from certificates import Authority, Pair, belong_together

NAME = "app.example.com"
FALLBACKS = {"fallback": "fallback", "wildcard": "wildcard_.example.com"}


@pytest.fixture
def authority():
    return Authority()


def put(certfs, directory, pair):
    with open(certfs.path(directory, "combined.pem"), "wb") as out:
        out.write(pair.combined)


def rm(certfs, directory):
    """By a process of its own: whoever unlinks a name finds it gone for a while."""
    subprocess.run(["rm", certfs.path(directory, "cert.pem")], check=True)


def serves(certfs, name, pair):
    """`pair` is served under `name`, by whichever name of a file it is read."""
    def look(_):
        return certfs.read(name, "cert.pem") == pair.cert
    certfs.wait_for_status(name, look, "serves the fallback that was written")
    assert certfs.read(name, "privkey.pem") == pair.key
    assert certfs.read(name, "fullchain.pem") == pair.fullchain


def names_of(kind):
    return ["*.example.com"] if kind == "wildcard" else ["fallback.example.net", NAME]


@pytest.mark.parametrize("kind", FALLBACKS)
def test_written_fallback_is_served_below_it_and_rm_takes_it_back(plain, authority, kind):
    directory = FALLBACKS[kind]
    if kind == "wildcard":
        plain.mkdir(directory)
    plain.mkdir(NAME)
    first, second = Pair(authority, names_of(kind)), Pair(authority, names_of(kind))
    put(plain, directory, first)
    serves(plain, NAME, first)
    put(plain, directory, second)
    serves(plain, NAME, second)
    plain.mkdir("new.example.com")
    serves(plain, "new.example.com", second)
    rm(plain, directory)
    plain.wait_for_status(NAME, lambda status: status["serves"]["names"] == [NAME],
                          "serves a pair of its own")
    assert plain.source(NAME) == "self-signed fallback"
    assert belong_together(plain.read(NAME, "cert.pem"), plain.read(NAME, "privkey.pem"))


def test_wildcard_serves_no_name_that_it_does_not_cover(plain, authority):
    plain.mkdir("wildcard_.example.com")
    for name in ("a.b.example.com", "example.com", "app.example.net", "192.0.2.1"):
        plain.mkdir(name)
    plain.mkdir(NAME)
    pair = Pair(authority, names_of("wildcard"))
    put(plain, "wildcard_.example.com", pair)
    serves(plain, NAME, pair)
    for name in ("a.b.example.com", "example.com", "app.example.net", "192.0.2.1"):
        assert plain.source(name) == "self-signed fallback"


def test_rmdir_of_a_wildcard_takes_it_from_the_names_below(plain, authority):
    plain.mkdir("wildcard_.example.com")
    plain.mkdir(NAME)
    pair = Pair(authority, names_of("wildcard"))
    put(plain, "wildcard_.example.com", pair)
    serves(plain, NAME, pair)
    os.rmdir(plain.path("wildcard_.example.com"))
    plain.wait_for_source(NAME, "self-signed fallback")
    plain.mkdir("wildcard_.example.com")
    serves(plain, NAME, pair)


def test_custom_certificate_goes_before_the_fallbacks(plain, authority):
    plain.mkdir("wildcard_.example.com")
    plain.mkdir(NAME)
    own, wildcard = Pair(authority, [NAME]), Pair(authority, names_of("wildcard"))
    put(plain, NAME, own)
    put(plain, "wildcard_.example.com", wildcard)
    plain.mkdir("other.example.com")
    serves(plain, "other.example.com", wildcard)
    assert plain.read(NAME, "cert.pem") == own.cert
    rm(plain, NAME)
    serves(plain, NAME, wildcard)
