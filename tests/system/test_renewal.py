# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Renewal: when it is due, by itself, by a read and by hand, and what failures do.

The clock is turned (clock-offset-file), not waited for.
"""

import datetime
import errno
import json
import os
import re
import subprocess
import threading

import pytest

from certificates import belong_together, now
from fake_ca import Answer
from mount import SERVED
from waiting import LIMIT_S, wait_for

NAME, OTHER = "app.example.com", "other.example.com"
MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
LIFETIME_S = 30 * DAY  # due a third before its end


def time_of(text):
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def now_of(certfs):
    return time_of(json.loads(certfs.read(".certfs", "status.json"))["now"])


def ordered(certfs, name=NAME):
    certfs.mkdir(name)
    certfs.wait_for_source(name, "managed")
    return certfs.generation(name)


def renewed(certfs, generation, name=NAME):
    return certfs.wait_for_status(name, lambda s: s["serves"]["generation"] > generation
                                  and s["serves"]["source"] == "managed", "was renewed")


def contents(certfs, name=NAME):
    return {file: certfs.read(name, file) for file in SERVED}


def is_a_pair(files):
    return belong_together(files["cert.pem"], files["privkey.pem"])


def cat(certfs, name, file):
    """A reader of its own, that can be given up on."""
    return subprocess.run(["cat", certfs.path(name, file)], check=True, timeout=LIMIT_S,
                          capture_output=True).stdout


def touch(certfs, name=NAME):
    subprocess.run(["touch", certfs.path(name, "cert.pem")], check=True, timeout=LIMIT_S)


# When

def test_due_certificate_is_renewed_with_no_read(managed, clock):
    certfs, ca = managed(validity_s=LIFETIME_S, certfs=clock.settings)
    generation, before = ordered(certfs), contents(certfs)
    clock(21 * DAY)
    # Seen at the CA: nobody reads in the mount meanwhile.
    wait_for(lambda: ca.issued() == 2, "a second certificate was issued")
    renewed(certfs, generation)
    after = contents(certfs)
    assert is_a_pair(after) and after["cert.pem"] != before["cert.pem"]


def test_certificate_that_is_not_due_is_left_alone(managed, clock):
    certfs, ca = managed(validity_s=LIFETIME_S, certfs=clock.settings)
    generation = ordered(certfs)
    before = now_of(certfs)
    clock(19 * DAY)
    wait_for(lambda: now_of(certfs) - before >= datetime.timedelta(days=19),
             "certfs has the new time")
    cat(certfs, NAME, "cert.pem")
    ordered(certfs, OTHER)
    assert certfs.generation(NAME) == generation
    assert ca.orders() == 2


def test_short_lived_certificate_is_renewed_at_half_its_life(managed, clock):
    certfs, ca = managed(validity_s=6 * DAY, certfs=clock.settings)
    generation = ordered(certfs)
    clock(3 * DAY + HOUR)
    renewed(certfs, generation)
    assert ca.orders() == 2


def hold(ca):
    """Renewals get as far as their CSR, until the event that is returned is set."""
    go = threading.Event()

    def finalize(_, request):
        go.wait(LIMIT_S)
        return ca.finalize(request)
    ca.steps["finalize"] = finalize
    return go


def wait_for_csr(ca, count):
    wait_for(lambda: ca.seen.count("finalize") == count, "the CA has the CSR")


def test_reads_past_the_due_time_get_the_old_pair_during_the_renewal(certfs, fake, clock):
    ca = fake()
    daemon = certfs(acme=ca.settings(), certfs=clock.settings)
    generation, before = ordered(daemon), contents(daemon)
    go = hold(ca)
    clock(61 * DAY)
    assert cat(daemon, NAME, "cert.pem") == before["cert.pem"]
    wait_for_csr(ca, 2)
    assert {file: cat(daemon, NAME, file) for file in SERVED} == before
    assert daemon.generation(NAME) == generation
    go.set()
    renewed(daemon, generation)
    after = contents(daemon)
    assert is_a_pair(after) and after["privkey.pem"] != before["privkey.pem"]
    assert ca.orders(NAME) == 2


def issued_in_order(certfs):
    lines = certfs.read(".certfs", "events").decode().splitlines()
    return [line.split()[2] for line in lines if line.split()[1] == "issued"]


def test_read_past_the_due_time_is_renewed_before_what_nobody_reads(certfs, fake, clock):
    ca = fake()
    daemon = certfs(acme=ca.settings(**{"orders-at-once": 1}), certfs=clock.settings)
    names = [f"n{i}.example.com" for i in range(5)]
    for name in names:
        ordered(daemon, name)
    assert issued_in_order(daemon) == names
    go = hold(ca)
    clock(61 * DAY)
    wait_for_csr(ca, len(names) + 1)
    cat(daemon, names[-1], "cert.pem")
    go.set()
    wait_for(lambda: len(issued_in_order(daemon)) == 2 * len(names), "all are renewed")
    assert issued_in_order(daemon)[len(names):] == [names[0], names[-1], *names[1:-1]]
    assert [ca.orders(name) for name in names] == [2] * len(names)


# By hand

def test_touch_renews_by_hand(managed):
    certfs, ca = managed()
    generation, before = ordered(certfs), contents(certfs)
    touch(certfs)
    renewed(certfs, generation)
    after = contents(certfs)
    assert is_a_pair(after) and after["privkey.pem"] != before["privkey.pem"]
    assert ca.orders() == 2


def test_touch_of_what_no_ca_renews_is_refused_with_a_reason(plain):
    plain.mkdir(NAME)
    with pytest.raises(OSError) as refused:
        os.utime(plain.path(NAME, "cert.pem"))
    assert refused.value.errno == errno.EPERM
    plain.wait_for_log(rf"refused: no CA is configured .*{NAME}")


# Failures

def out_of_order(*_):
    return Answer({"type": "urn:ietf:params:acme:error:serverInternal",
                   "detail": "out of order"}, 500,
                  {"Content-Type": "application/problem+json"})


def wait_s(status):
    """From the last failure to the next try."""
    assert status["next"]["what"] == "next try"
    return (time_of(status["next"]["at"]) - time_of(status["error"]["at"])).total_seconds()


def test_failures_back_off_and_are_remembered(certfs, fake, clock):
    ca = fake(neworder=out_of_order)
    daemon = certfs(acme=ca.settings(), certfs=clock.settings)
    daemon.mkdir(NAME)
    first = daemon.wait_for_error(NAME)
    assert "placing the order: out of order" in first["text"]
    planned = daemon.status(NAME)["next"]
    # A minute, ten, a hundred: a tenth more or less.
    assert 0.9 * MINUTE <= wait_s(daemon.status(NAME)) <= 1.1 * MINUTE
    daemon.restart()
    assert daemon.status(NAME)["error"] == first
    assert daemon.status(NAME)["next"] == planned
    daemon.mkdir(OTHER)
    daemon.wait_for_error(OTHER)
    assert (ca.orders(NAME), ca.orders(OTHER)) == (1, 1)
    clock(2 * MINUTE)
    second = daemon.wait_for_error(NAME, 2)
    assert second["since"] == first["since"]
    assert 9 * MINUTE <= wait_s(daemon.status(NAME)) <= 11 * MINUTE
    clock(2 * MINUTE + 6 * MINUTE)
    daemon.mkdir("third.example.com")
    daemon.wait_for_error("third.example.com")
    assert ca.orders(NAME) == 2 and daemon.status(NAME)["error"] == second
    ca.steps.clear()
    clock(30 * MINUTE)
    daemon.wait_for_source(NAME, "managed")
    assert daemon.status(NAME)["error"] is None and daemon.status(NAME)["state"] == "ok"


def test_read_does_not_break_a_back_off(certfs, fake, clock):
    ca = fake()
    daemon = certfs(acme=ca.settings(), certfs=clock.settings)
    ordered(daemon)
    ca.steps["neworder"] = out_of_order
    clock(61 * DAY)
    before = daemon.wait_for_error(NAME)
    asked = ca.orders(NAME)
    for _ in range(50):
        daemon.read(NAME, "cert.pem")
    daemon.mkdir(OTHER)
    daemon.wait_for_error(OTHER)
    assert daemon.status(NAME)["error"] == before and ca.orders(NAME) == asked


def test_touch_does_not_wait_for_a_back_off(certfs, fake):
    ca = fake(neworder=out_of_order)
    daemon = certfs(acme=ca.settings())
    daemon.mkdir(NAME)
    daemon.wait_for_error(NAME)
    ca.steps.clear()
    touch(daemon)
    daemon.wait_for_source(NAME, "managed")
    assert daemon.status(NAME)["error"] is None


def test_renewal_that_fails_leaves_the_valid_pair_and_says_why(managed, clock):
    certfs, ca = managed(validity_s=LIFETIME_S, certfs=clock.settings)
    ordered(certfs)
    before = contents(certfs)
    ca.stop()
    clock(21 * DAY)
    text = certfs.wait_for_error(NAME)["text"]
    assert "connect" in text and str(ca.port) in text
    assert text in certfs.read(NAME, "status").decode()
    assert contents(certfs) == before
    assert (certfs.source(NAME), certfs.status(NAME)["state"]) == ("managed", "failing")


# Clocks that jump

def test_clock_that_jumps_past_the_end_leaves_the_pair_and_says_why(managed, clock):
    certfs, ca = managed(validity_s=LIFETIME_S, certfs=clock.settings)
    ordered(certfs)
    before = contents(certfs)
    clock(400 * DAY)
    # What the CA issues is over too, by this clock.
    text = certfs.wait_for_error(NAME)["text"]
    assert "expired on" in text
    status = certfs.status(NAME)
    assert status["state"] == "expired" and text in status["attention"]
    assert contents(certfs) == before and certfs.source(NAME) == "managed"
    clock(0)
    certfs.wait_for_log("the clock was set back")
    certfs.wait_for_status(NAME, lambda s: s["state"] != "expired", "is valid again")
    assert contents(certfs) == before
    assert ca.orders() == 2


def test_clock_that_jumps_back_and_forth_changes_nothing(managed, clock):
    certfs, ca = managed(certfs=clock.settings)
    generation, before = ordered(certfs), contents(certfs)
    for times, seconds in enumerate((-400 * DAY, 400 * DAY, -DAY, 0)):
        behind = len(re.findall("the clock was set back", certfs.text()))
        clock(seconds)
        # Two jumps that are noticed as one may be no jump back.
        shown = now() + datetime.timedelta(seconds=seconds)
        wait_for(lambda: abs(now_of(certfs) - shown) < datetime.timedelta(hours=1),
                 f"jump {times} is noticed")
        if seconds < 0:
            wait_for(lambda: len(re.findall("the clock was set back", certfs.text()))
                     > behind, f"jump {times} back is noticed")
        certfs.wait_for_source(NAME, "managed")
        assert contents(certfs) == before
    wait_for(lambda: certfs.status(NAME)["state"] == "ok", "all is well")
    assert certfs.generation(NAME) == generation and certfs.status(NAME)["error"] is None
    assert ca.orders() == 1
