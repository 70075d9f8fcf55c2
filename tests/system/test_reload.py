# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""certfs reload: new processes from the binary and the configuration on disk, unnoticed."""

import json
import os
import shutil
import signal
import subprocess

import pytest

import mount
from mount import mounts
from readers import Readers
from waiting import LIMIT_S, wait_for

NAME = "app.example.com"
# The promise is 100; CERTFS_TEST_RELOADS=100 asks for it.
RELOADS = int(os.environ.get("CERTFS_TEST_RELOADS", "20"))

ROLES = {"fs", "net", "announce"}
AWAITED = {"fs", "net"}  # announce may have a hook to end

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78


def reload(certfs):
    return certfs.command("reload", certfs.mountpoint)


def told(certfs):
    return json.loads(certfs.read(".certfs", "status.json"))["supervisor"]["reload"]


def workers_of(certfs):
    """Those that a reload waits for."""
    return {role: pid for role, pid in certfs.children().items() if role in AWAITED}


def program(certfs):
    return os.readlink(f"/proc/{certfs.pid}/exe")


def programs(certfs):
    """Of the supervisor and of all workers that it should have."""
    workers = certfs.children()
    if set(workers) != ROLES:
        return None
    try:
        return {os.readlink(f"/proc/{pid}/exe") for pid in (certfs.pid, *workers.values())}
    except FileNotFoundError:
        return None


@pytest.fixture
def movable(certfs, folder):
    """certfs that runs from a copy of the binary, which replace() puts another one over."""
    binary = os.path.join(folder, "bin", "certfs")
    os.mkdir(os.path.dirname(binary))
    shutil.copy(mount.BINARY, binary)
    daemon = certfs(binary=binary)

    def replace(content=None):
        if content is None:
            shutil.copy(mount.BINARY, binary + ".new")
        else:
            with open(binary + ".new", "w", encoding="utf-8") as file:
                file.write(content)
            os.chmod(binary + ".new", 0o755)
        os.rename(binary + ".new", binary)
    daemon.replace = replace
    daemon.binary = binary
    return daemon


def test_reloads_are_noticed_by_no_reader(plain, folder):
    directory = plain.mkdir(NAME)
    mount_id = mounts()[plain.mountpoint]
    workers = set(workers_of(plain).values())
    with Readers(folder, directory, 8) as readers:
        for number in range(1, RELOADS + 1):
            done = reload(plain)
            assert done.returncode == 0, done.stderr
            assert told(plain)["count"] == number
            again = set(workers_of(plain).values())
            assert not workers & again, "every worker is a new one"
            workers = again
        readers.all_go_on()
        assert mounts()[plain.mountpoint] == mount_id
        assert readers.faults() == []


def test_supervisor_becomes_the_new_binary(movable, folder):
    directory = movable.mkdir(NAME)
    mount_id = mounts()[movable.mountpoint]
    pid, before = movable.pid, movable.read(NAME, "cert.pem")
    with Readers(folder, directory, 8) as readers:
        for _ in range(3):
            movable.replace()
            assert program(movable).endswith(" (deleted)")
            starts = movable.times_served("fs")
            done = reload(movable)
            assert done.returncode == 0, done.stderr
            assert program(movable) == movable.binary
            assert movable.is_running() and movable.pid == pid
            assert movable.times_served("fs") == starts + 1, "no worker is new twice"
        readers.all_go_on()
        assert mounts()[movable.mountpoint] == mount_id
        assert readers.faults() == []
    assert movable.read(NAME, "cert.pem") == before


def test_supervisor_after_exec_goes_on_as_before(movable):
    movable.mkdir(NAME)
    mode = os.stat(os.path.dirname(movable.mountpoint)).st_mode
    movable.replace()
    assert reload(movable).returncode == 0
    for role in ("fs", "net", "announce"):
        movable.kill_worker(role)
    assert movable.read(NAME, "cert.pem")
    workers = movable.children().values()
    assert movable.stop() == 0
    assert not movable.is_mounted()
    assert os.stat(os.path.dirname(movable.mountpoint)).st_mode == mode
    assert not [pid for pid in workers if os.path.exists(f"/proc/{pid}")]


def test_mode_of_the_folder_comes_back_after_exec(movable):
    assert movable.stop() == 0
    os.chmod(movable.mountpoint, 0o711)
    movable.start()
    movable.replace()
    assert reload(movable).returncode == 0
    assert movable.stop() == 0
    assert os.stat(movable.mountpoint).st_mode & 0o7777 == 0o711


@pytest.mark.parametrize("content, said", [
    ("#!/bin/sh\nexit 0\n", "without an answer"),
    ("#!/bin/sh\nexit 3\n", "status 3"),
    ("#!/bin/sh\nexec sleep 1000\n", "does not answer within"),
    ("no program", "cannot start"),
], ids=["silent", "failing", "hanging", "no program"])
def test_binary_that_cannot_take_over_changes_nothing(movable, content, said):
    movable.expect(r"not reloaded: ")
    movable.mkdir(NAME)
    workers, running = workers_of(movable), program(movable)
    movable.replace(content)
    done = reload(movable)
    assert done.returncode not in (0, None)
    assert said in done.stderr
    assert workers_of(movable) == workers
    assert program(movable) == running + " (deleted)"
    assert told(movable)["error"] in done.stderr
    movable.replace()
    assert reload(movable).returncode == 0
    assert told(movable)["error"] is None
    assert program(movable) == movable.binary


@pytest.mark.parametrize("role", ["fs", "net"])
def test_new_worker_that_cannot_serve_gives_way_to_the_old_binary(movable, folder, role):
    """Its probe answers, a worker of it dies."""
    movable.expect(rf"not reloaded: |the {role} worker ended")
    directory, running = movable.mkdir(NAME), program(movable)
    with Readers(folder, directory, 2) as readers:
        movable.replace(f'#!/bin/sh\n[ "$CERTFS_CHILD" = {role} ] && exit 5\n'
                        f'exec {mount.BINARY} "$@"\n')
        done = reload(movable)
        assert done.returncode != 0
        assert f"the new {role} worker" in done.stderr
        wait_for(lambda: programs(movable) == {running + " (deleted)"},
                 "all run the old binary")
        readers.all_go_on()
        movable.replace()
        assert reload(movable).returncode == 0
        wait_for(lambda: programs(movable) == {movable.binary}, "all run the new binary")
        readers.all_go_on()
        assert readers.faults() == []


def test_wrong_configuration_changes_nothing(plain):
    plain.expect(r"not reloaded: ")
    plain.mkdir(NAME)
    workers = workers_of(plain)
    wait_for(lambda: plain.times_served("announce"), "all have read it")
    with open(plain.config, encoding="utf-8") as file:
        right = file.read()
    with open(plain.config, "a", encoding="utf-8") as file:
        file.write("contcat = me\n")
    line = len(right.splitlines()) + 1
    done = reload(plain)
    assert done.returncode == EX_CONFIG
    assert f"{plain.config}:{line}:" in done.stderr
    assert "contcat" in done.stderr
    assert workers_of(plain) == workers
    assert plain.read(NAME, "cert.pem")
    with open(plain.config, "w", encoding="utf-8") as file:
        file.write(right)
    assert reload(plain).returncode == 0


@pytest.mark.parametrize("role", sorted(ROLES))
def test_worker_that_dies_over_a_wrong_configuration_starts_with_the_one_in_force(plain, role):
    plain.expect(rf"the {role} worker was killed by signal 9")
    directory = plain.mkdir(NAME)
    wait_for(lambda: plain.times_served(role), "it serves")
    with open(plain.config, "a", encoding="utf-8") as file:
        file.write("contcat = me\n")
    before = plain.times_served(role)
    os.kill(plain.children()[role], signal.SIGKILL)
    wait_for(lambda: plain.times_served(role) > before, "another one serves")
    assert os.path.exists(os.path.join(directory, "cert.pem"))
    assert b"contcat" not in plain.read(".certfs", "config")


def test_status_tells_of_a_reload_in_vain_until_one_succeeds(plain):
    plain.expect(r"not reloaded: ")
    with open(plain.config, encoding="utf-8") as file:
        right = file.read()
    with open(plain.config, "a", encoding="utf-8") as file:
        file.write("contcat = me\n")
    assert reload(plain).returncode == EX_CONFIG
    assert "contcat" in plain.command("status", "--mountpoint", plain.mountpoint).stdout
    with open(plain.config, "w", encoding="utf-8") as file:
        file.write(right)
    assert reload(plain).returncode == 0
    assert "contcat" not in plain.command("status", "--mountpoint", plain.mountpoint).stdout


def test_new_configuration_is_in_force_after_a_reload(plain):
    assert b"\nkeep = 10\n" in plain.read(".certfs", "config")
    with open(plain.config, encoding="utf-8") as file:
        text = file.read()
    with open(plain.config, "w", encoding="utf-8") as file:
        file.write(text.replace("[certfs]\n", "[certfs]\nkeep = 7\n"))
    assert reload(plain).returncode == 0
    assert b"\nkeep = 7\n" in plain.read(".certfs", "config")


def test_reload_in_mid_order_goes_on_with_it(gated):
    certfs, ca, gate = gated()
    certfs.mkdir(NAME)
    wait_for(lambda: gate.arrived, "the CA has asked for the token")
    assert reload(certfs).returncode == 0
    gate.open.set()
    certfs.wait_for_source(NAME, "managed")
    assert ca.orders() == 1


def test_two_reloads_at_once_both_succeed(plain):
    commands = [subprocess.Popen([mount.BINARY, "reload", plain.mountpoint],
                                 stderr=subprocess.PIPE, text=True) for _ in range(2)]
    for command in commands:
        _, said = command.communicate(timeout=LIMIT_S)
        assert command.returncode == 0, said
    assert told(plain)["count"] in (1, 2)


def test_hangup_reloads(plain):
    workers = set(workers_of(plain).values())
    os.kill(plain.pid, signal.SIGHUP)
    wait_for(lambda: told(plain)["count"] == 1, "the reload is over")
    assert not workers & set(workers_of(plain).values())


def test_reload_of_what_is_not_mounted_says_so(plain, folder):
    done = plain.command("reload", folder)
    assert done.returncode == EX_UNAVAILABLE
    assert f"no certfs is mounted at {folder}" in done.stderr


def test_reload_of_a_dead_mount_says_so(plain):
    plain.process.kill()
    plain.process.wait()
    done = reload(plain)
    assert done.returncode == EX_UNAVAILABLE
    assert "has died" in done.stderr


def test_no_other_process_is_told_to_reload(plain, folder):
    """A page that names somebody else's process gets it no signal."""
    with subprocess.Popen(["sleep", "1000"]) as victim:
        os.makedirs(os.path.join(folder, "lie", ".certfs"))
        with open(os.path.join(folder, "lie", ".certfs", "status.json"), "w",
                  encoding="utf-8") as file:
            file.write('{"supervisor": {"pid": %d, "reload": {"begun": 0, "count": 0, '
                       '"at": null, "code": 0, "error": null}}}' % victim.pid)
        done = plain.command("reload", os.path.join(folder, "lie"))
        assert done.returncode == EX_UNAVAILABLE
        assert victim.poll() is None
        victim.kill()


def test_reload_explains_itself(plain):
    done = plain.command("reload", "--help")
    assert done.returncode == 0
    assert "certfs reload [MOUNTPOINT]" in done.stdout
    assert plain.command("reload", "one", "two").returncode == EX_USAGE
