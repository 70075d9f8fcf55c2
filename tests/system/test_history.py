# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""`.history/N/`: every kept generation, and how a change is taken back with cp."""

import errno
import os
import re
import stat
import subprocess

import pytest

from certificates import Authority, Pair, belong_together
from mount import SERVED
from waiting import wait_for
from watch import Watch

NAME = "app.example.com"
DAY = 24 * 3600


@pytest.fixture
def authority():
    return Authority()


def install(certfs, authority, count=1, name=NAME, **how):
    """Custom certificates one after the other; returns them by generation."""
    made = {}
    for _ in range(count):
        pair = Pair(authority, [name], **how)
        with open(certfs.path(name, "combined.pem"), "wb") as out:
            out.write(pair.combined)
        made[certfs.generation(name)] = pair
    return made


def contents(certfs, *folders):
    return {file: certfs.read(NAME, *folders, file) for file in SERVED}


def kept(certfs):
    return sorted(map(int, os.listdir(certfs.path(NAME, ".history"))))


def take_back(certfs, generation, *files):
    for file in files or ["combined.pem"]:
        subprocess.run(["cp", certfs.path(NAME, ".history", str(generation), file),
                        certfs.path(NAME, file)], check=True)


def refused(function, *args):
    with pytest.raises(OSError) as error:
        function(*args)
    return error.value.errno


def test_each_generation_is_listed_and_reads_as_it_was_served(plain, authority):
    plain.mkdir(NAME)
    seen = {1: contents(plain)}
    for generation in range(2, 6):
        install(plain, authority)
        seen[generation] = contents(plain)
    assert kept(plain) == sorted(seen)
    for generation, files in seen.items():
        assert sorted(os.listdir(plain.path(NAME, ".history", str(generation)))) == \
            sorted(SERVED)
        assert contents(plain, ".history", str(generation)) == files
        assert belong_together(files["cert.pem"], files["privkey.pem"])
    plain.kill_worker("fs")
    assert contents(plain, ".history", "3") == seen[3]
    plain.restart()
    assert contents(plain, ".history", "3") == seen[3] and kept(plain) == sorted(seen)


def test_history_is_reachable_and_stays_out_of_listings(plain, authority):
    plain.mkdir(NAME)
    install(plain, authority)
    assert not [name for name in os.listdir(plain.path(NAME)) if name.startswith(".")]
    found = subprocess.run(["find", plain.mountpoint], check=True, capture_output=True).stdout
    assert b".history" not in found
    for name in ("0", "99", "01", "x", "-1", "4294967297"):
        assert not os.path.exists(plain.path(NAME, ".history", name))


def test_history_is_read_only(plain, authority):
    plain.mkdir(NAME)
    install(plain, authority)
    folder = plain.path(NAME, ".history", "2")
    cert = os.path.join(folder, "cert.pem")
    before = contents(plain, ".history", "2"), kept(plain)
    mode = {file: stat.S_IMODE(os.stat(os.path.join(folder, file)).st_mode)
            for file in SERVED}
    assert mode == {file: 0o440 if file in ("privkey.pem", "combined.pem") else 0o444
                    for file in SERVED}
    for code in (refused(open, cert, "wb"), refused(os.unlink, cert),
                 refused(os.rename, cert, os.path.join(folder, "other.pem")),
                 refused(os.rename, cert, plain.path(NAME, "cert.pem")),
                 refused(os.chmod, cert, 0o666), refused(os.truncate, cert, 0),
                 refused(os.rmdir, folder), refused(os.rmdir, os.path.dirname(folder)),
                 refused(os.mkdir, plain.path(NAME, ".history", "3")),
                 refused(open, os.path.join(folder, "new"), "wb")):
        assert code in (errno.EPERM, errno.EACCES)
    assert (contents(plain, ".history", "2"), kept(plain)) == before


@pytest.mark.parametrize("files", [["combined.pem"], ["fullchain.pem", "privkey.pem"],
                                   ["privkey.pem", "fullchain.pem"]])
def test_cp_out_of_the_history_takes_a_change_back(plain, authority, files):
    plain.mkdir(NAME)
    pairs = install(plain, authority, 3)
    assert sorted(pairs) == [2, 3, 4]
    with Watch(plain.path(NAME)) as watch:
        take_back(plain, 2, *files)
        assert plain.read(NAME, "cert.pem") == pairs[2].cert
        watch.wait_for("MOVED_TO", "cert.pem")
    status = plain.status(NAME)
    assert (status["serves"]["source"], status["serves"]["generation"]) == ("custom", 5)
    assert (status["state"], status["waiting"]) == ("ok", [])
    assert contents(plain) == contents(plain, ".history", "2")
    told = "generation 5, a custom certificate, was installed by uid 0: " \
           "it is generation 2 (custom) again"
    assert status["events"][-1]["text"] == told
    assert told in plain.read(".certfs", "events").decode()
    plain.wait_for_log(f"notice: {re.escape(told)} domain={NAME}")
    assert kept(plain) == [1, 2, 3, 4, 5]
    take_back(plain, 4)  # and the taking back, too
    assert plain.read(NAME, "cert.pem") == pairs[4].cert
    assert plain.status(NAME)["events"][-1]["text"].endswith(
        "it is generation 4 (custom) again")


def test_generation_that_is_new_is_not_called_an_old_one(plain, authority):
    plain.mkdir(NAME)
    install(plain, authority, 2)
    assert " again" not in plain.read(".certfs", "events").decode()


def test_served_generation_copied_onto_itself_is_no_new_one(plain, authority):
    plain.mkdir(NAME)
    install(plain, authority, 2)
    take_back(plain, 3)
    assert plain.generation(NAME) == 3 and kept(plain) == [1, 2, 3]


def test_renewal_is_taken_back_and_rm_gives_the_name_to_the_ca_again(managed):
    daemon, ca = managed()
    daemon.mkdir(NAME)
    daemon.wait_for_source(NAME, "managed")
    first = contents(daemon)
    subprocess.run(["touch", daemon.path(NAME, "cert.pem")], check=True)
    daemon.wait_for_status(NAME, lambda s: s["serves"]["generation"] == 3, "was renewed")
    second = contents(daemon)
    take_back(daemon, 2)
    assert contents(daemon) == first
    assert daemon.source(NAME) == "custom"
    assert daemon.status(NAME)["events"][-1]["text"].endswith(
        "it is generation 2 (managed) again")
    subprocess.run(["sh", "-c", "rm $0 && touch $0", daemon.path(NAME, "cert.pem")],
                   check=True)
    daemon.wait_for_source(NAME, "managed")
    assert contents(daemon) == second and ca.orders() == 2


def test_generation_that_has_expired_does_not_come_back(certfs, clock, authority):
    daemon = certfs(certfs=clock.settings)
    daemon.mkdir(NAME)
    install(daemon, authority, days=3)
    now = install(daemon, authority, days=90)
    clock(5 * DAY)
    daemon.wait_for_status(NAME, lambda s: s["now"] > s["events"][-1]["at"],
                           "has the new time")
    wait_for(lambda: take_back_fails(daemon, 2), "the old one is refused")
    assert "expired on" in daemon.status(NAME)["refused"]["text"]
    assert daemon.read(NAME, "cert.pem") == now[3].cert


def take_back_fails(certfs, generation):
    done = subprocess.run(["cp", certfs.path(NAME, ".history", str(generation),
                                             "combined.pem"),
                           certfs.path(NAME, "combined.pem")], check=False,
                          capture_output=True, text=True)
    return done.returncode != 0 and os.strerror(errno.EKEYEXPIRED) in done.stderr


@pytest.mark.parametrize("keep", [1, 3])
def test_as_many_generations_are_kept_as_configured(certfs, authority, keep):
    daemon = certfs(certfs={"keep": keep})
    daemon.mkdir(NAME)
    fallback = contents(daemon)
    newest = install(daemon, authority, 6)
    contents(daemon, ".history", str(7 - keep))  # in the kernel's caches
    # The self-signed one is what the name would fall back on; that is kept as well.
    wait_for(lambda: kept(daemon) == [1, *range(8 - keep, 8)], "the others are gone")
    assert contents(daemon, ".history", "1") == fallback
    for generation in range(8 - keep, 8):
        assert daemon.read(NAME, ".history", str(generation), "combined.pem") == \
            newest[generation].combined
    for generation in range(2, 8 - keep):
        gone = daemon.path(NAME, ".history", str(generation))
        wait_for(lambda path=gone: not os.path.exists(os.path.join(path, "privkey.pem")),
                 "it is gone for whoever has seen it, too")
    if keep > 1:
        take_back(daemon, 5)
        assert daemon.read(NAME, "cert.pem") == newest[5].cert
        wait_for(lambda: kept(daemon) == [1, 6, 7, 8], "the others are gone")
