# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Certificates that someone writes: what is taken, what is refused and what then holds."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from certificates import Authority, Pair, belong_together, key_pem, new_key
from mount import SERVED
from waiting import LIMIT_S

NAME = "app.example.com"
FALLBACK = "self-signed fallback"


@pytest.fixture
def pair():
    return Pair(Authority(), [NAME])


def write(certfs, file, data):
    with open(certfs.path(NAME, file), "wb") as out:
        out.write(data)


def refusal(certfs, file, data):
    """The errno with which the close fails."""
    fd = os.open(certfs.path(NAME, file), os.O_WRONLY | os.O_TRUNC)
    assert os.write(fd, data) == len(data)
    with pytest.raises(OSError) as refused:
        os.close(fd)
    return refused.value.errno


def served(certfs):
    return {file: certfs.read(NAME, file) for file in SERVED}


def serves(certfs, pair):
    certfs.wait_for_source(NAME, "custom")
    assert certfs.read(NAME, "cert.pem") == pair.cert
    assert certfs.read(NAME, "chain.pem") == pair.chain
    assert certfs.read(NAME, "fullchain.pem") == pair.fullchain
    assert certfs.read(NAME, "privkey.pem") == pair.key
    combined = certfs.read(NAME, "combined.pem")
    assert pair.fullchain in combined and pair.key in combined


@pytest.mark.parametrize("order", [("fullchain", "key"), ("key", "fullchain")])
def test_cp_of_both_halves_in_either_order_installs(plain, pair, folder, order):
    plain.mkdir()
    before, paths = served(plain), pair.write(folder)
    names = {"fullchain": "fullchain.pem", "key": "privkey.pem"}
    subprocess.run(["cp", paths[order[0]], plain.path(NAME, names[order[0]])], check=True)
    status = plain.status(NAME)
    assert status["waiting"] == [names[order[0]]]
    assert status["serves"]["source"] == FALLBACK
    assert served(plain) == before
    subprocess.run(["cp", paths[order[1]], plain.path(NAME, names[order[1]])], check=True)
    serves(plain, pair)
    assert plain.status(NAME)["waiting"] == []


def test_cp_of_combined_installs_both(plain, pair, folder):
    plain.mkdir()
    subprocess.run(["cp", pair.write(folder)["combined"], plain.path(NAME, "combined.pem")],
                   check=True)
    serves(plain, pair)


def test_what_was_written_is_read_back_byte_for_byte(plain, pair):
    plain.mkdir()
    spelt = b"# written by hand\n" + pair.fullchain + b"\n" + pair.key + b"\n"
    write(plain, "combined.pem", spelt)
    serves(plain, pair)
    assert plain.read(NAME, "combined.pem") == spelt
    assert os.stat(plain.path(NAME, "combined.pem")).st_size == len(spelt)


def bad_pairs():
    authority = Authority()
    good = Pair(authority, [NAME])
    other = Pair(authority, ["other.example.com"])
    expired = Pair(authority, [NAME], days=-1, since_days=10)
    return {
        "another key": (key_pem(new_key()) + good.fullchain, errno.EKEYREJECTED,
                        "belongs to another certificate"),
        "another name": (other.combined, errno.EKEYREJECTED, NAME),
        "expired": (expired.combined, errno.EKEYEXPIRED, "expired on"),
        "cut off": (good.combined[:-100], errno.EBADMSG, "middle of a block"),
        "no PEM": (b"hello\n", errno.EBADMSG, "PEM"),
    }


@pytest.mark.parametrize("custom_before", [False, True])
@pytest.mark.parametrize("case", ["another key", "another name", "expired", "cut off",
                                  "no PEM"])
def test_what_is_wrong_fails_the_close_and_the_old_pair_stays(plain, pair, case,
                                                              custom_before):
    data, why, text = bad_pairs()[case]
    plain.mkdir()
    if custom_before:
        write(plain, "combined.pem", pair.combined)
        serves(plain, pair)
    before, generation = served(plain), plain.generation(NAME)
    assert refusal(plain, "combined.pem", data) == why
    status = plain.status(NAME)
    assert text in status["refused"]["text"]
    assert text in plain.read(NAME, "status").decode()
    plain.wait_for_log(f"refused: .*{text}")
    assert served(plain) == before and plain.generation(NAME) == generation


def test_a_key_of_another_pair_leaves_the_half_that_waits(plain, pair):
    plain.mkdir()
    write(plain, "fullchain.pem", pair.fullchain)
    assert refusal(plain, "privkey.pem", key_pem(new_key())) == errno.EKEYREJECTED
    assert plain.status(NAME)["waiting"] == ["fullchain.pem"]
    write(plain, "privkey.pem", pair.key)
    serves(plain, pair)


@pytest.mark.parametrize("waits, then", [("privkey.pem", ["combined.pem"]),
                                         ("cert.pem", ["fullchain.pem", "privkey.pem"])])
def test_a_half_that_waits_is_not_served_beside_another_pair(plain, pair, waits, then):
    plain.mkdir()
    parts = {"privkey.pem": "key", "cert.pem": "cert", "chain.pem": "chain",
             "fullchain.pem": "fullchain", "combined.pem": "combined"}
    other = Pair(Authority(), [NAME])
    write(plain, waits, getattr(other, parts[waits]))
    for file in then:
        write(plain, file, getattr(pair, parts[file]))
    for file in SERVED:
        assert plain.read(NAME, file) == getattr(pair, parts[file]), file


def test_a_leaf_that_does_not_come_first_is_put_there(plain, pair):
    plain.mkdir()
    write(plain, "privkey.pem", pair.key)
    write(plain, "fullchain.pem", pair.chain + pair.cert)
    assert plain.read(NAME, "fullchain.pem") == pair.fullchain
    kept = os.listdir(plain.path(NAME, ".history"))
    write(plain, "fullchain.pem", pair.chain + pair.cert)
    assert plain.read(NAME, "fullchain.pem") == pair.fullchain
    assert os.listdir(plain.path(NAME, ".history")) == kept


def test_a_chain_of_others_that_waits_keeps_nothing_from_being_installed(plain, pair):
    plain.mkdir()
    write(plain, "combined.pem", Pair(Authority(), [NAME]).combined)
    write(plain, "chain.pem", Pair(Authority(), [NAME]).chain)
    write(plain, "combined.pem", pair.combined)
    assert plain.read(NAME, "chain.pem") == pair.chain
    assert plain.read(NAME, "fullchain.pem") == pair.fullchain


def test_tar_of_a_directory_ends(plain, pair, folder):
    """status can't be written, and tar(1) unlinks what it finds in its way."""
    directory, backup = plain.mkdir(), os.path.join(folder, "backup")
    write(plain, "combined.pem", pair.combined)
    subprocess.run(["cp", "-a", directory, backup], check=True, timeout=LIMIT_S)
    packed = subprocess.run(["tar", "-C", backup, "-c", "."], check=True, timeout=LIMIT_S,
                            stdout=subprocess.PIPE).stdout
    write(plain, "combined.pem", Pair(Authority(), [NAME]).combined)
    done = subprocess.run(["tar", "-C", directory, "-x"], input=packed, check=False,
                          timeout=LIMIT_S, capture_output=True)
    assert done.returncode != 0 and b"status: Cannot open: Permission denied" in done.stderr
    assert plain.read(NAME, "cert.pem") == pair.cert
    assert plain.read(NAME, "privkey.pem") == pair.key


def test_a_custom_certificate_goes_before_a_managed_one(managed, pair):
    daemon, _ = managed()
    daemon.mkdir()
    daemon.wait_for_source(NAME, "managed")
    before = daemon.read(NAME, "cert.pem")
    write(daemon, "combined.pem", pair.combined)
    serves(daemon, pair)
    subprocess.run(["rm", daemon.path(NAME, "combined.pem")], check=True)
    daemon.wait_for_source(NAME, "managed")
    assert daemon.read(NAME, "cert.pem") == before


def test_rm_gives_the_name_back(plain, pair):
    plain.mkdir()
    write(plain, "combined.pem", pair.combined)
    serves(plain, pair)
    subprocess.run(["rm", plain.path(NAME, "combined.pem")], check=True)
    plain.wait_for_source(NAME, FALLBACK)
    now = served(plain)
    assert now["cert.pem"] != pair.cert
    assert belong_together(now["cert.pem"], now["privkey.pem"])


def test_cp_p_keeps_the_mode(plain, pair, folder):
    plain.mkdir()
    source = pair.write(folder)["combined"]
    os.chmod(source, 0o600)
    subprocess.run(["cp", "-p", source, plain.path(NAME, "combined.pem")], check=True)
    serves(plain, pair)
    assert stat.S_IMODE(os.stat(plain.path(NAME, "combined.pem")).st_mode) == 0o600


HALVES = {"fullchain": "fullchain.pem", "key": "privkey.pem"}


@pytest.mark.parametrize("order", [("fullchain", "key"), ("key", "fullchain")])
def test_cp_p_keeps_time_and_mode_of_both_halves(plain, pair, folder, order):
    plain.mkdir()
    paths, modes = pair.write(folder), {"fullchain": 0o444, "key": 0o400}
    for half, mode in modes.items():
        os.chmod(paths[half], mode)
    for begin in (1_500_000_000, 1_600_000_000):  # the second time, only they are new
        for number, half in enumerate(order):
            os.utime(paths[half], (begin + number,) * 2)
            subprocess.run(["cp", "-p", paths[half], plain.path(NAME, HALVES[half])],
                           check=True)
        serves(plain, pair)
        for number, half in enumerate(order):
            found = os.stat(plain.path(NAME, HALVES[half]))
            assert (found.st_mtime, stat.S_IMODE(found.st_mode)) == (begin + number,
                                                                     modes[half])


def test_mode_of_a_key_that_waits_is_not_that_of_the_key_that_is_served(plain, pair, folder):
    plain.mkdir()
    served_key, paths = plain.path(NAME, "privkey.pem"), pair.write(folder)
    os.chmod(served_key, 0o600)
    os.chmod(paths["key"], 0o640)
    subprocess.run(["cp", "-p", paths["key"], served_key], check=True)
    assert stat.S_IMODE(os.stat(served_key).st_mode) == 0o600
    subprocess.run(["cp", paths["fullchain"], plain.path(NAME, "fullchain.pem")], check=True)
    serves(plain, pair)
    assert stat.S_IMODE(os.stat(served_key).st_mode) == 0o640


def test_the_same_pair_once_more_changes_nothing_and_waits_for_nothing(plain, pair):
    plain.mkdir()
    for _ in range(2):
        write(plain, "fullchain.pem", pair.fullchain)
        write(plain, "privkey.pem", pair.key)
        serves(plain, pair)
        status = plain.status(NAME)
        assert (status["state"], status["waiting"]) == ("ok", [])
        assert status["serves"]["generation"] == 2


def test_replacing_a_served_name_installs(plain, pair):
    plain.mkdir()
    write(plain, "combined.pem.tmp", pair.combined)
    assert plain.source(NAME) == FALLBACK
    os.replace(plain.path(NAME, "combined.pem.tmp"), plain.path(NAME, "combined.pem"))
    serves(plain, pair)
    assert "combined.pem.tmp" not in os.listdir(plain.path(NAME))


def test_replacing_with_what_is_wrong_fails_the_rename(plain):
    plain.mkdir()
    before = served(plain)
    write(plain, "new.tmp", bad_pairs()["another key"][0])
    with pytest.raises(OSError) as refused:
        os.replace(plain.path(NAME, "new.tmp"), plain.path(NAME, "combined.pem"))
    assert refused.value.errno == errno.EKEYREJECTED
    assert served(plain) == before


def test_scratch_files_are_written_read_renamed_and_removed(plain):
    plain.mkdir()
    write(plain, "notes", b"one\n")
    with open(plain.path(NAME, "notes"), "ab") as file:
        file.write(b"two\n")
    assert plain.read(NAME, "notes") == b"one\ntwo\n"
    os.rename(plain.path(NAME, "notes"), plain.path(NAME, "more"))
    assert plain.read(NAME, "more") == b"one\ntwo\n"
    os.unlink(plain.path(NAME, "more"))
    assert not os.path.exists(plain.path(NAME, "more"))
    assert set(os.listdir(plain.path(NAME))) == {*SERVED, "policy", "status",
                                                 "status.json"}


def test_a_scratch_file_of_more_than_a_mebibyte_is_too_large(plain):
    plain.mkdir()
    with open(plain.path(NAME, "notes"), "wb", buffering=0) as file:
        with pytest.raises(OSError) as refused:
            while file.tell() <= 1 << 20:
                file.write(b"x" * 65536)
        assert refused.value.errno == errno.EFBIG
        assert file.tell() == 1 << 20


# The opener ends first, so that no close of the half is the one that counts.
HALF_BY_AN_HEIR = """
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
wait, opener = os.pipe()
if os.fork():
    os._exit(0)
os.close(opener)
os.read(wait, 1)
os.write(fd, sys.stdin.buffer.read())
"""


def test_file_that_its_last_writer_left_half_written_is_told_and_changes_nothing(plain, pair):
    plain.mkdir(NAME)
    before = served(plain)
    half = pair.cert[:len(pair.cert) // 2]
    subprocess.run([sys.executable, "-c", HALF_BY_AN_HEIR, plain.path(NAME, "cert.pem")],
                   input=half, check=True, timeout=LIMIT_S)
    status = plain.wait_for_status(NAME, lambda s: s["refused"], "tells of the half")
    assert "unfinished" in status["refused"]["text"]
    assert served(plain) == before


def test_file_that_was_emptied_changes_nothing_and_is_told(plain):
    plain.mkdir(NAME)
    before = served(plain)
    subprocess.run(["cp", "/dev/null", plain.path(NAME, "fullchain.pem")], check=True)
    status = plain.wait_for_status(NAME, lambda s: s["refused"], "tells of it")
    assert "fullchain.pem was emptied" in status["refused"]["text"]
    assert served(plain) == before


@pytest.mark.parametrize("how", [["mv"], ["cp", "-p"], ["install", "-m", "644"]])
def test_key_is_never_readable_by_everybody(plain, pair, folder, how):
    plain.mkdir(NAME)
    source = pair.write(folder)["combined"]
    os.chmod(source, 0o644)
    subprocess.run([*how, source, plain.path(NAME, "combined.pem")], check=True)
    with pytest.raises(PermissionError):
        os.chmod(plain.path(NAME, "privkey.pem"), 0o644)
    plain.wait_for_source(NAME, "custom")
    for file in ("combined.pem", "privkey.pem"):
        assert os.stat(plain.path(NAME, file)).st_mode & 0o777 == 0o640
        for generation in os.listdir(plain.path(NAME, ".history")):
            mode = os.stat(plain.path(NAME, ".history", generation, file)).st_mode
            assert mode & 0o777 == 0o440
    plain.wait_for_log("privkey.pem of app.example.com holds a key, .* domain=app.example.com")


def test_rm_of_a_half_that_waits_withdraws_it(plain, pair):
    plain.mkdir(NAME)
    write(plain, "privkey.pem", pair.key)
    assert plain.status(NAME)["waiting"] == ["privkey.pem"]
    os.unlink(plain.path(NAME, "privkey.pem"))
    assert plain.status(NAME)["waiting"] == []


def test_each_change_is_a_line_of_the_log(plain, pair):
    plain.mkdir(NAME)
    os.symlink(NAME, plain.path("www.example.com"))
    os.unlink(plain.path("www.example.com"))
    write(plain, "privkey.pem", pair.key)
    write(plain, "fullchain.pem", pair.fullchain)
    subprocess.run(["rm", plain.path(NAME, "cert.pem")], check=True)
    os.rmdir(plain.path(NAME))
    for line in ("app.example.com was installed", "www.example.com is an alias of",
                 "www.example.com is an alias no more",
                 "privkey.pem was written by uid 0 and waits for its certificate",
                 r"generation \d+, a custom certificate, was installed by uid 0",
                 "cert.pem was unlinked: the custom certificate is taken away in 5 s",
                 "app.example.com was removed; its certificates are kept"):
        plain.wait_for_log(rf"notice: {line}.* domain=\S+\.example\.com")


def test_touch_after_rm_takes_the_custom_certificate_away_at_once(plain, pair):
    plain.mkdir(NAME)
    write(plain, "combined.pem", pair.combined)
    plain.wait_for_source(NAME, "custom")
    subprocess.run(["sh", "-c", "rm $0 && touch $1", plain.path(NAME, "fullchain.pem"),
                    plain.path(NAME, "cert.pem")], check=True)
    plain.wait_for_log("cert.pem was touched after the rm")
    plain.wait_for_source(NAME, FALLBACK)


def test_owner_of_what_is_refused_changes_nothing(plain, folder):
    plain.mkdir(NAME)
    wrong = Pair(Authority(), ["other.example.com"]).write(folder)["combined"]
    os.chown(wrong, 12345, 12345)
    before = os.stat(plain.path(NAME, "combined.pem"))
    done = subprocess.run(["cp", "-p", wrong, plain.path(NAME, "combined.pem")], check=False,
                          stderr=subprocess.DEVNULL)
    assert done.returncode != 0
    after = os.stat(plain.path(NAME, "combined.pem"))
    assert (after.st_uid, after.st_gid, after.st_mode) == (
        before.st_uid, before.st_gid, before.st_mode)


def test_owner_comes_along_with_what_is_installed(plain, pair, folder):
    plain.mkdir(NAME)
    source = pair.write(folder)["combined"]
    os.chown(source, 12345, 12346)
    subprocess.run(["cp", "-p", source, plain.path(NAME, "combined.pem")], check=True)
    plain.wait_for_source(NAME, "custom")
    after = os.stat(plain.path(NAME, "combined.pem"))
    assert (after.st_uid, after.st_gid) == (12345, 12346)


def test_truncated_file_is_told(plain):
    plain.mkdir(NAME)
    before = served(plain)
    subprocess.run(["truncate", "-s", "0", plain.path(NAME, "privkey.pem")], check=True)
    status = plain.wait_for_status(NAME, lambda s: s["refused"], "tells of it")
    assert "privkey.pem was emptied" in status["refused"]["text"]
    assert served(plain) == before
