# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""scripts/quickstart: one command from nothing to a page over TLS."""

import os
import shlex
import signal
import subprocess

import pytest

from mount import SANITIZERS, mounts
from ports import listens
from waiting import LIMIT_S, wait_for

SCRIPT = os.path.join(os.environ["CERTFS_SOURCE"], "scripts", "quickstart")


def environment():
    return {**os.environ, **SANITIZERS}


def quickstart(*args):
    done = subprocess.run([SCRIPT, *args], capture_output=True, text=True, check=False,
                          env=environment(), cwd="/", timeout=4 * LIMIT_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_env(folder):
    shell = f'set -eu; . {shlex.quote(folder)}/env; for v in MOUNT STORE CONF CERTFS ACME_DIRECTORY '
    shell += 'ACME_ROOTS HTTPS_PORT SUPERVISOR_PID; do echo "$v=${!v}"; done'
    out = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in out.stdout.splitlines())


@pytest.fixture
def place(folder):
    """place(name): a folder for a quickstart, taken down at the end."""
    made = []

    def choose(name):
        made.append(os.path.join(folder, name))
        return made[-1]
    yield choose
    for path in made:
        subprocess.run([SCRIPT, "--dir", path, "--down"], check=True, timeout=LIMIT_S,
                       stdout=subprocess.DEVNULL)


def page(env):
    url = f"https://app.example.com:{env['HTTPS_PORT']}/"
    return subprocess.run(["curl", "--silent", "--show-error", "--fail", "--cacert",
                           env["ACME_ROOTS"], "--connect-to", "::127.0.0.1:", url],
                          capture_output=True, text=True, check=True).stdout


def test_check_finds_everything_in_order_and_leaves_nothing(place):
    folder = place("checked")
    assert "Everything works." in quickstart("--dir", folder, "--check")
    assert not os.path.exists(folder)


def test_two_side_by_side_do_not_disturb_each_other(place):
    first, second = place("first"), place("second with a space")
    both = [subprocess.Popen([SCRIPT, "--dir", path], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, env=environment())
            for path in (first, second)]
    for process in both:
        out, _ = process.communicate(timeout=4 * LIMIT_S)
        assert process.returncode == 0, out
    env = read_env(second)
    assert os.path.join(first, "mnt") in mounts()
    quickstart("--dir", first, "--down")
    assert os.path.join(first, "mnt") not in mounts()
    assert "certificate of certfs" in page(env)
    os.kill(int(env["SUPERVISOR_PID"]), 0)


def test_down_a_second_time_does_nothing(place):
    folder = place("twice")
    quickstart("--dir", folder, "--down")
    quickstart("--dir", folder, "--down")
    assert not os.path.exists(folder)


def test_interrupt_takes_everything_down(place):
    folder = place("interrupted")
    process = subprocess.Popen([SCRIPT, "--dir", folder, "--check"], env=environment(),
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               start_new_session=True)
    wait_for(lambda: os.path.join(folder, "mnt") in mounts(), "it has mounted")
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(LIMIT_S) == 143
    assert os.path.join(folder, "mnt") not in mounts()
    assert not os.path.exists(folder)


def test_down_kills_no_stranger(place):
    folder = place("stranger")
    os.mkdir(folder)
    with open(os.path.join(folder, ".quickstart"), "w", encoding="utf-8") as file:
        file.write("made\n")
    with subprocess.Popen(["sleep", "1000"]) as stranger:
        with open(os.path.join(folder, "pids"), "w", encoding="utf-8") as file:
            file.write(f"nginx {stranger.pid} 1\n")
        os.mkdir(os.path.join(folder, "log"))
        quickstart("--dir", folder, "--down")
        assert stranger.poll() is None
        stranger.kill()


def test_ports_of_a_quickstart_are_closed_after_down(place):
    folder = place("ports")
    quickstart("--dir", folder)
    port = int(read_env(folder)["HTTPS_PORT"])
    assert listens(port)
    quickstart("--dir", folder, "--down")
    assert not listens(port)
