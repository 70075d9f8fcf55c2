# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What is set for one name alone: written, read, refused, and what follows from it."""

import errno
import os
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certificates import Authority, Pair, load
from users import APP, OTHER, as_user, give
from waiting import LIMIT_S, wait_for

NAME = "app.example.com"


def policy(certfs):
    return certfs.path(NAME, "policy")


def page(certfs):
    return certfs.read(NAME, "policy").decode()


def settings(certfs):
    """What is set for this name."""
    lines = [line for line in page(certfs).splitlines() if line and line[0] != "#"]
    return dict(line.split(" = ", 1) for line in lines)


def write(certfs, text, how="wb"):
    with open(policy(certfs), how) as file:
        file.write(text.encode())


def refusal(certfs, text):
    fd = os.open(policy(certfs), os.O_WRONLY | os.O_TRUNC)
    os.write(fd, text.encode())
    with pytest.raises(OSError) as refused:
        os.close(fd)
    return refused.value.errno


def shell(script, *args):
    subprocess.run(["sh", "-ec", script, "sh", *args], check=True, timeout=LIMIT_S)


def test_reading_shows_each_setting_and_where_it_comes_from(certfs):
    plain = certfs(renewal={"before": "12"})
    plain.mkdir(NAME)
    assert settings(plain) == {}
    assert "#key-type = p256\n" in page(plain)
    assert f"({plain.config})\n#before = 12\n" in page(plain)
    write(plain, "keep = 5\nkey-type = p384\n")
    assert settings(plain) == {"keep": "5", "key-type": "p384"}
    assert "(set here; else 10, built in)\nkeep = 5\n" in page(plain)
    assert f"({plain.config})\n#before = 12\n" in page(plain)


def test_it_holds_over_restarts_and_worker_and_for_no_other_name(plain):
    plain.mkdir(NAME)
    plain.mkdir("other.example.com")
    write(plain, "# ours\nkeep = 5\n\nmanaged = no\npreferred-chain = A B = C\n")
    wanted = {"keep": "5", "managed": "no", "preferred-chain": "A B = C"}
    before = os.stat(policy(plain))
    plain.kill_worker("fs")
    assert settings(plain) == wanted
    plain.restart()
    assert settings(plain) == wanted
    after = os.stat(policy(plain))
    assert (after.st_mtime, after.st_size) == (before.st_mtime, before.st_size)
    assert "\nmanaged = no" not in plain.read("other.example.com", "policy").decode()


def test_what_is_read_can_be_written_back(plain, folder):
    plain.mkdir(NAME)
    write(plain, "keep = 5\nbefore = 20\nreminders = 3\n")
    before = page(plain)
    copy = os.path.join(folder, "copy")
    shell('cp "$1" "$2"; cp "$2" "$1"', policy(plain), copy)
    assert page(plain) == before
    write(plain, before)
    assert page(plain) == before


EDITS = {
    "cp": ('printf "keep = 7\\n" > "$2"; cp "$2" "$1"', {"keep": "7"}),
    "mv": ('printf "keep = 7\\n" > "$2"; mv "$2" "$1"', {"keep": "7"}),
    "install": ('printf "keep = 7\\n" > "$2"; install -m 644 "$2" "$1"', {"keep": "7"}),
    "tee": ('echo "keep = 7" | tee "$1"', {"keep": "7"}),
    ">": ('echo "keep = 7" > "$1"', {"keep": "7"}),
    ">, in pieces": ('{ echo "keep = 7"; /bin/true; printf "before"; printf " = 9"; } > "$1"',
                     {"keep": "7", "before": "9"}),
    ">>": ('echo "keep = 7" >> "$1"; echo "keep = 8" >> "$1"', {"before": "20", "keep": "8"}),
    "sed -i": ('sed -i "s/^before = .*/before = 21/; s/^#keep = .*/keep = 7/" "$1"',
               {"keep": "7", "before": "21"}),
    "sed -i, away": ('sed -i /^before/d "$1"', {}),
    "no value": ('echo "before =" >> "$1"', {}),
    "rsync": ('printf "keep = 7\\n" > "$2"; rsync "$2" "$1"', {"keep": "7"}),
    "vim": ('vim -Nu NONE -n -es -c "%s/^before = 20/before = 22/" -c "wq" "$1" < /dev/null',
            {"before": "22"}),
    "rm": ('rm "$1"', {"before": "20"}),
}


@pytest.mark.parametrize("how", EDITS)
def test_everything_that_edits_a_file_edits_it(plain, folder, how):
    plain.mkdir(NAME)
    write(plain, "before = 20\n")
    script, wanted = EDITS[how]
    shell(script, policy(plain), os.path.join(folder, "new"))
    assert settings(plain) == wanted
    assert plain.status(NAME)["refused"] is None
    assert sorted(os.listdir(plain.path(NAME)))[-3:] == ["privkey.pem", "status",
                                                         "status.json"]


@pytest.mark.parametrize("how", [': > "$1"', 'cp /dev/null "$1"', 'truncate -s 0 "$1"'])
def test_emptied_it_sets_nothing(plain, how):
    plain.mkdir(NAME)
    write(plain, "before = 20\n")
    shell(how, policy(plain))
    wait_for(lambda: settings(plain) == {}, "the last close empties it")


@pytest.mark.parametrize("text, says", [
    ("keep = 3\nkep = 4\n", "line 2: unknown key 'kep', did you mean 'keep'?"),
    ("keep = 0\n", "'keep = 0' must be a number from 1 to 1000"),
    ("on-change = /bin/sh\n", "'on-change' can't be set for one name alone"),
    ("key-type = dsa\n", "must be one of p256"),
    ("keep\n", "is no 'key = value'"),
    ("keep = 3\nbefore = 1\033\n", "control character"),
])
def test_what_is_wrong_fails_the_close_and_changes_nothing(plain, text, says):
    plain.mkdir(NAME)
    write(plain, "before = 20\n")
    before = page(plain)
    assert refusal(plain, text) == errno.EINVAL
    assert page(plain) == before
    assert says in plain.status(NAME)["refused"]["text"]
    assert says in plain.read(NAME, "status").decode()
    assert says in plain.text()
    # A rename fails as well, and a text that is right ends what the status says.
    with open(plain.path(NAME, "new"), "wb") as file:
        file.write(text.encode())
    with pytest.raises(OSError) as refused:
        os.rename(plain.path(NAME, "new"), policy(plain))
    assert refused.value.errno == errno.EINVAL
    assert page(plain) == before
    write(plain, "before = 21\n")
    assert plain.status(NAME)["refused"] is None


def test_nothing_is_renamed_over_what_certfs_writes(plain):
    plain.mkdir(NAME)
    for name in ("status", "status.json"):
        with open(plain.path(NAME, "new"), "wb") as file:
            file.write(b"all is well\n")
        with pytest.raises(PermissionError):
            os.rename(plain.path(NAME, "new"), plain.path(NAME, name))


def test_directory_made_anew_begins_without_one(plain):
    plain.mkdir(NAME)
    write(plain, "keep = 5\n")
    os.chmod(policy(plain), 0o600)
    os.rmdir(plain.path(NAME))
    plain.mkdir(NAME)
    assert settings(plain) == {}
    assert os.stat(policy(plain)).st_mode & 0o777 == 0o644


def test_owner_of_a_directory_writes_it_and_nobody_else(plain):
    give(APP, plain.mkdir(NAME))
    assert as_user(OTHER, "tee", policy(plain), text="keep = 2\n").returncode == 1
    assert settings(plain) == {}
    assert as_user(APP, "tee", policy(plain), text="keep = 2\n").returncode == 0
    assert settings(plain) == {"keep": "2"}
    plain.wait_for_log(f"policy was written by uid {APP}")


def test_owner_of_a_directory_keeps_no_more_than_root_allows(plain):
    give(APP, plain.mkdir(NAME))
    assert as_user(APP, "tee", policy(plain), text="keep = 11\n").returncode == 1
    assert "'keep' is at most 10" in plain.read(NAME, "status").decode()
    assert settings(plain) == {}
    write(plain, "keep = 20\n")
    assert as_user(APP, "tee", policy(plain), text="keep = 20\nbefore = 9\n").returncode == 0
    assert as_user(APP, "tee", policy(plain), text="keep = 21\n").returncode == 1
    assert settings(plain) == {"keep": "20", "before": "9"}


@pytest.mark.parametrize("bits", ["644", "666"])
def test_install_leaves_out_what_everybody_could_write(plain, folder, bits):
    plain.mkdir(NAME)
    new = os.path.join(folder, "new")
    with open(new, "w", encoding="utf-8") as file:
        file.write("keep = 7\n")
    subprocess.run(["install", "-m", bits, new, policy(plain)], check=True, timeout=LIMIT_S)
    assert settings(plain) == {"keep": "7"}
    assert os.stat(policy(plain)).st_mode & 0o777 == int(bits, 8) & 0o775


def test_renamed_into_place_it_is_what_was_written_and_no_other_file(plain):
    plain.mkdir(NAME)
    with open(plain.path(NAME, "new"), "w", encoding="utf-8") as file:
        file.write("keep = 7\n")
    os.rename(plain.path(NAME, "new"), policy(plain))
    with pytest.raises(PermissionError):
        os.chmod(plain.path(NAME, "cert.pem"), 0o666)
    os.chmod(policy(plain), 0o666)
    assert os.stat(policy(plain)).st_mode & 0o777 == 0o664
    assert settings(plain) == {"keep": "7"}


def test_keep_prunes_at_once_and_from_then_on(plain):
    plain.mkdir(NAME)
    authority = Authority()

    def install():
        with open(plain.path(NAME, "combined.pem"), "wb") as file:
            file.write(Pair(authority, [NAME]).combined)

    def kept():
        return sorted(map(int, os.listdir(plain.path(NAME, ".history"))))
    for _ in range(5):
        install()
    assert kept() == [1, 2, 3, 4, 5, 6]
    write(plain, "keep = 2\n")
    # The first is the fallback, which is named while nothing else is.
    wait_for(lambda: kept() == [1, 5, 6], "older ones go")
    install()
    wait_for(lambda: kept() == [1, 6, 7], "older ones go")


def test_key_type_is_that_of_the_next_renewal(managed):
    daemon, _ = managed()
    daemon.mkdir(NAME)
    daemon.wait_for_source(NAME, "managed")

    def key():
        return load(daemon.read(NAME, "cert.pem")).public_key()
    before = daemon.generation(NAME)
    assert isinstance(key().curve, ec.SECP256R1)
    write(daemon, "key-type = rsa2048\n")
    os.utime(daemon.path(NAME, "cert.pem"))
    daemon.wait_for_status(NAME, lambda s: s["serves"]["generation"] > before, "is renewed")
    assert isinstance(key(), rsa.RSAPublicKey) and key().key_size == 2048


def test_name_that_is_not_managed_is_not_renewed_until_it_is(managed):
    daemon, _ = managed()
    daemon.mkdir(NAME)
    daemon.wait_for_source(NAME, "managed")
    assert daemon.status(NAME)["renew_at"]
    write(daemon, "managed = no\n")
    status = daemon.wait_for_status(NAME, lambda s: not s["renew_at"], "is not renewed")
    assert "managed = no" in status["next"]["what"]
    assert status["serves"]["source"] == "managed"
    with pytest.raises(PermissionError):
        os.utime(daemon.path(NAME, "cert.pem"))
    write(daemon, "managed = yes\n")
    before = daemon.generation(NAME)
    os.utime(daemon.path(NAME, "cert.pem"))
    daemon.wait_for_status(NAME, lambda s: s["serves"]["generation"] > before, "is renewed")


def test_changed_before_moves_the_renewal(managed):
    daemon, _ = managed()
    daemon.mkdir(NAME)
    daemon.wait_for_source(NAME, "managed")
    before = daemon.status(NAME)["renew_at"]
    write(daemon, "before = 11\n")
    after = daemon.status(NAME)["renew_at"]
    assert after > before
    assert b"renewal is due " + after[:10].encode() in daemon.read(NAME, "status")
    write(daemon, "\n")
    assert daemon.status(NAME)["renew_at"] == before
