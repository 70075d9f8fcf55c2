# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The pairs of `wildcard_.DOMAIN/` and `fallback/`, which serve for the names below."""

import errno
import os
import subprocess
from contextlib import ExitStack

import pytest

from certificates import Authority, Pair, belong_together, key_pem, new_key
from mount import SERVED
from waiting import wait_for
from watch import Watch

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


# The same rules as anywhere else

@pytest.mark.parametrize("order", [("fullchain.pem", "privkey.pem"),
                                   ("privkey.pem", "fullchain.pem")])
@pytest.mark.parametrize("kind", FALLBACKS)
def test_halves_of_a_fallback_change_nothing_below_until_they_are_two(plain, authority, kind,
                                                                      order):
    directory = there(plain, kind)
    plain.mkdir(NAME)
    before = {file: plain.read(NAME, file) for file in SERVED}
    pair = Pair(authority, names_of(kind))
    halves = {"fullchain.pem": pair.fullchain, "privkey.pem": pair.key}
    assert write(plain, directory, order[0], halves[order[0]]) == 0
    assert plain.status(directory)["waiting"] == [order[0]]
    assert {file: plain.read(NAME, file) for file in SERVED} == before
    assert write(plain, directory, order[1], halves[order[1]]) == 0
    serves(plain, NAME, pair)


def there(certfs, kind):
    if kind == "wildcard":
        certfs.mkdir(FALLBACKS[kind])
    return FALLBACKS[kind]


def write(certfs, directory, file, data):
    """The errno with which the close fails, 0 when it does not."""
    fd = os.open(certfs.path(directory, file), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, data)
    try:
        os.close(fd)
    except OSError as error:
        return error.errno
    return 0


def bad(authority, kind):
    names = names_of(kind)
    weak = new_key("weak")
    return {
        "expired": (Pair(authority, names, days=-1, since_days=9).combined,
                    errno.EKEYEXPIRED, "expired on"),
        "another key": (key_pem(new_key()) + Pair(authority, names).fullchain,
                        errno.EKEYREJECTED, "belongs to another certificate"),
        "a CA": (Pair(authority, names, ca=True).combined, errno.EKEYREJECTED, "a CA's"),
        "weak": (Pair(authority, names, key=weak).combined, errno.EKEYREJECTED, "RSA 1024"),
        "passphrase": (key_pem(new_key(), b"secret"), errno.EBADMSG, "passphrase"),
        "another zone": (Pair(authority, ["*.example.net"]).combined, errno.EKEYREJECTED,
                         "is for *.example.net, this directory is wildcard_.example.com"),
        "no wildcard": (Pair(authority, [NAME]).combined, errno.EKEYREJECTED,
                        f"is for {NAME}, this directory is wildcard_.example.com"),
    }


@pytest.mark.parametrize("kind, case", [
    (kind, case) for kind in FALLBACKS
    for case in ("expired", "another key", "a CA", "weak", "passphrase", "another zone",
                 "no wildcard") if kind == "wildcard" or not case.endswith(("zone", "card"))])
def test_what_is_refused_for_a_fallback_changes_nothing_below(plain, authority, kind, case):
    directory = there(plain, kind)
    plain.mkdir(NAME)
    good = Pair(authority, names_of(kind))
    put(plain, directory, good)
    data, code, says = bad(authority, kind)[case]
    assert write(plain, directory, "combined.pem", data) == code
    assert says in plain.status(directory)["refused"]["text"]
    plain.wait_for_log(f"refused: combined.pem of {directory}: ")
    assert plain.status(NAME)["refused"] is None
    for name in (directory, NAME):
        serves(plain, name, good)


# All names below at once

def below(count):
    return [f"app{i}.example.com" for i in range(count)]


def served_by(certfs, names, pair):
    return [name for name in names if certfs.read(name, "cert.pem") == pair.cert
            and certfs.read(name, "privkey.pem") == pair.key]


@pytest.mark.parametrize("kind", FALLBACKS)
def test_close_of_a_fallback_has_changed_every_name_below(plain, authority, kind):
    names, directory = below(40), there(plain, kind)
    for name in names:
        plain.mkdir(name)
    for name in names:  # in the kernel's caches
        plain.read(name, "cert.pem")
    for _ in range(3):
        pair = Pair(authority, names_of(kind))
        put(plain, directory, pair)
        assert served_by(plain, names, pair) == names
    source = "wildcard fallback" if kind == "wildcard" else "self-signed fallback"
    events = plain.read(".certfs", "events").decode()
    for name in names:
        generation = plain.generation(name)
        told = f"generation {generation} of {name} serves ({source}, until "
        assert told in events
        plain.wait_for_log(f"notice: {told}".replace("(", r"\("))
    rm(plain, directory)
    plain.wait_for_source(directory, "self-signed fallback")
    assert served_by(plain, names, pair) == []


@pytest.mark.parametrize("kind", FALLBACKS)
def test_rename_onto_a_fallbacks_file_changes_every_name_below(plain, authority, kind):
    names, directory = below(5), there(plain, kind)
    for name in names:
        plain.mkdir(name)
    pair = Pair(authority, names_of(kind))
    with open(plain.path(directory, "new"), "wb") as out:
        out.write(pair.combined)
    os.rename(plain.path(directory, "new"), plain.path(directory, "combined.pem"))
    wait_for(lambda: served_by(plain, names, pair) == names, "all names serve it")


IN_TURN = ["privkey.pem", "combined.pem", "chain.pem", "fullchain.pem", "cert.pem"]


@pytest.mark.parametrize("kind", FALLBACKS)
def test_watchers_of_names_below_are_told(plain, authority, kind):
    names, directory = below(12), there(plain, kind)
    for name in names:
        plain.mkdir(name)
    with ExitStack() as stack:
        folders = [stack.enter_context(Watch(plain.path(name))) for name in names]
        files = [stack.enter_context(Watch(plain.path(name, "cert.pem"))) for name in names]
        put(plain, directory, Pair(authority, names_of(kind)))
        for watch in folders:
            watch.wait_for("MOVED_TO", "cert.pem")
            assert watch.names("MOVED_TO") == IN_TURN
        for watch in files:
            watch.wait_for("DELETE_SELF")
        for watch in folders:
            watch.events.clear()
        rm(plain, directory)
        for watch in folders:
            watch.wait_for("MOVED_TO", "cert.pem")
            assert watch.names("MOVED_TO") == IN_TURN


def test_watchers_of_names_below_are_told_by_the_worker_that_follows(plain, authority):
    names, directory = below(20), there(plain, "wildcard")
    for name in names:
        plain.mkdir(name)
    with ExitStack() as stack:
        watches = [stack.enter_context(Watch(plain.path(name))) for name in names]
        pair = Pair(authority, names_of("wildcard"))
        put(plain, directory, pair)
        plain.kill_worker("fs")
        assert served_by(plain, names, pair) == names
        for watch in watches:
            watch.wait_for("MOVED_TO", "cert.pem")


def test_more_names_than_a_commit_bears_follow_and_are_told(plain, authority):
    names, directory = below(300), there(plain, "wildcard")
    for name in names:
        plain.mkdir(name)
    with ExitStack() as stack:
        watches = [stack.enter_context(Watch(plain.path(name))) for name in names[-20:]]
        pair = Pair(authority, names_of("wildcard"))
        put(plain, directory, pair)
        assert len(served_by(plain, names, pair)) >= 200
        plain.kill_worker("fs")
        wait_for(lambda: served_by(plain, names, pair) == names, "all names serve it")
        for watch in watches:
            watch.wait_for("MOVED_TO", "cert.pem")


def test_name_with_a_custom_certificate_falls_back_on_what_changed_meanwhile(plain, authority):
    directory = there(plain, "wildcard")
    plain.mkdir(NAME)
    own = Pair(authority, [NAME])
    put(plain, NAME, own)
    put(plain, directory, Pair(authority, names_of("wildcard")))
    pair = Pair(authority, names_of("wildcard"))
    put(plain, directory, pair)
    assert plain.read(NAME, "cert.pem") == own.cert
    rm(plain, NAME)
    serves(plain, NAME, pair)
