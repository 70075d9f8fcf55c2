# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""How a new certificate comes to be served: what watchers are told, and the hook."""

import contextlib
import json
import os
import signal
import stat
import subprocess
import time

import pytest

from certificates import Authority, Pair, belong_together
from mount import SERVED
from readers import Readers
from waiting import wait_for
from watch import Watch

NAME = "app.example.com"
IN_TURN = ["privkey.pem", "combined.pem", "chain.pem", "fullchain.pem", "cert.pem"]


@pytest.fixture
def authority():
    return Authority()


def fallback(authority):
    return Pair(authority, ["fallback.example.net", NAME])


def cp(certfs, directory, pair):
    with open(certfs.path(directory, "combined.pem"), "wb") as out:
        out.write(pair.combined)


def rotate(certfs, authority):
    """Gives NAME another certificate, without anybody writing into its directory."""
    pair = fallback(authority)
    cp(certfs, "fallback", pair)
    return pair


def rotate_and_tell(certfs, authority):
    """The same, until its watchers were told, which comes after the new one is served."""
    told = f"renamed the names of {NAME}: done"
    before = certfs.text().count(told)
    pair = rotate(certfs, authority)
    wait_for(lambda: certfs.text().count(told) > before, "watchers are told")
    serves(certfs, pair)


def serves(certfs, pair):
    wait_for(lambda: certfs.read(NAME, "cert.pem") == pair.cert, "the new one is served")
    assert certfs.read(NAME, "privkey.pem") == pair.key
    assert certfs.read(NAME, "fullchain.pem") == pair.fullchain


def events_of_mv(folder, watched):
    """What a watcher of `watched` is told on an ordinary filesystem."""
    directory = os.path.join(folder, "ordinary")
    os.mkdir(directory)
    for name in IN_TURN:
        for file in (name, f".next.{name}"):
            with open(os.path.join(directory, file), "w", encoding="utf-8"):
                pass
    with Watch(os.path.join(directory, watched).rstrip("/")) as watch:
        for name in IN_TURN:
            os.rename(os.path.join(directory, f".next.{name}"),
                      os.path.join(directory, name))
        wait_for(lambda: len(watch.events) >= (3 if watched else 2 * len(IN_TURN)),
                 "the events of mv")
    return watch.events


@pytest.mark.parametrize("watched", ["", *SERVED])
def test_rotation_is_told_like_mv_of_each_file(plain, folder, authority, watched):
    plain.mkdir(NAME)
    expected = events_of_mv(folder, watched)
    for _ in range(2):
        rotate_and_tell(plain, authority)
        with Watch(plain.path(NAME, watched).rstrip("/")) as watch:
            rotate_and_tell(plain, authority)
            wait_for(lambda: len(watch.events) >= len(expected), f"{expected}")
        assert watch.events == expected


def test_reader_that_is_told_finds_all_of_the_new_pair(plain, authority):
    plain.mkdir(NAME)
    rotate_and_tell(plain, authority)

    def look():
        return plain.read(NAME, "cert.pem"), plain.read(NAME, "privkey.pem")
    with Watch(plain.path(NAME), look) as watch:
        for _ in range(3):
            watch.events.clear()
            watch.found.clear()
            pair = rotate(plain, authority)
            watch.wait_for("MOVED_TO", "cert.pem")
            wait_for(lambda: watch.found and watch.found[-1][0] == "cert.pem", "it looked")
            told = [found for name, found in watch.found if name in IN_TURN]
            assert told and all(found == (pair.cert, pair.key) for found in told)


def test_watcher_of_a_file_that_is_written_is_told_to_look_again(plain, authority):
    plain.mkdir(NAME)
    with Watch(plain.path(NAME, "combined.pem")) as watch:
        cp(plain, NAME, Pair(authority, [NAME]))
        watch.wait_for("DELETE_SELF")
    assert ("CLOSE_WRITE", "") in watch.events


def test_cp_announces_all_names_once_it_is_closed(plain, authority):
    plain.mkdir(NAME)
    pair = Pair(authority, [NAME])

    def look():
        return plain.read(NAME, "cert.pem")
    with Watch(plain.path(NAME), look) as watch:
        cp(plain, NAME, pair)
        assert plain.read(NAME, "cert.pem") == pair.cert
        watch.wait_for("MOVED_TO", "cert.pem")
    assert watch.names("MOVED_TO") == IN_TURN
    assert watch.found[-1][1] == pair.cert
    assert watch.events.index(("CLOSE_WRITE", "combined.pem")) < \
        watch.events.index(("MOVED_TO", "privkey.pem"))


def test_mv_onto_a_name_announces_the_others(plain, authority):
    plain.mkdir(NAME)
    pair = Pair(authority, [NAME])
    with open(plain.path(NAME, "new"), "wb") as out:
        out.write(pair.combined)
    with Watch(plain.path(NAME)) as watch:
        os.rename(plain.path(NAME, "new"), plain.path(NAME, "combined.pem"))
        watch.wait_for("MOVED_TO", "cert.pem")
    others = [name for name in IN_TURN if name != "combined.pem"]
    assert watch.names("MOVED_TO") == ["combined.pem", *others]
    assert plain.read(NAME, "cert.pem") == pair.cert


def test_expiry_is_announced(certfs, clock, authority):
    daemon = certfs(certfs=clock.settings)
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME], days=1))
    daemon.wait_for_log(f"renamed the names of {NAME}: done")
    with Watch(daemon.path(NAME)) as watch:
        clock(2 * 86400)
        watch.wait_for("MOVED_TO", "cert.pem")
        assert daemon.source(NAME) == "self-signed fallback"
    daemon.wait_for_log(rf"generation \d+ of {NAME} serves \(self-signed fallback")


def test_rm_of_a_custom_certificate_is_announced_when_it_takes_effect(plain, authority):
    plain.mkdir(NAME)
    cp(plain, NAME, Pair(authority, [NAME]))
    plain.wait_for_log(f"renamed the names of {NAME}: done")
    with Watch(plain.path(NAME)) as watch:
        subprocess.run(["rm", plain.path(NAME, "cert.pem")], check=True)
        plain.wait_for_source(NAME, "self-signed fallback")
        watch.wait_for("MOVED_TO", "cert.pem")


def test_issued_certificate_is_announced(managed):
    daemon, _ = managed()
    daemon.mkdir(NAME)
    with Watch(daemon.path(NAME)) as watch:
        daemon.wait_for_source(NAME, "managed")
        watch.wait_for("MOVED_TO", "cert.pem")
    assert watch.names("MOVED_TO") == IN_TURN


def test_inode_and_mtime_change_with_the_generation_only(plain, authority):
    plain.mkdir(NAME)
    serves(plain, rotate(plain, authority))
    with Watch(plain.path(NAME)) as watch:
        rotate(plain, authority)
        watch.wait_for("MOVED_TO", "cert.pem")
    path = plain.path(NAME, "cert.pem")
    first = os.stat(path)
    with open(path, "rb") as file:
        assert os.fstat(file.fileno()).st_ino == first.st_ino
    plain.kill_worker("fs")
    again = os.stat(path)
    assert (again.st_ino, again.st_mtime, again.st_nlink) == \
        (first.st_ino, first.st_mtime, 1)
    assert stat.S_ISREG(again.st_mode)


def test_placeholders_are_seen_by_nobody(plain, authority):
    plain.mkdir(NAME)
    announce = plain.worker("announce")
    for _ in range(5):
        rotate(plain, authority)
        for name in SERVED:
            assert not os.path.exists(plain.path(NAME, f".next.{name}"))
        assert sorted(n for n in os.listdir(plain.path(NAME)) if n.endswith(".pem")) == \
            sorted(SERVED)
    assert plain.worker("announce") == announce


def test_scratch_file_named_like_a_placeholder_is_its_writers_own(plain, authority):
    plain.mkdir(NAME)
    own = plain.path(NAME, ".next.cert.pem")
    with open(own, "wb") as out:
        out.write(b"mine")
    with Watch(plain.path(NAME)) as watch:
        pair = rotate(plain, authority)
        watch.wait_for("MOVED_TO", "cert.pem")
        serves(plain, pair)
    with open(own, "rb") as file:
        assert file.read() == b"mine"
    pair = Pair(authority, [NAME])
    with open(own, "wb") as out:
        out.write(pair.combined)
    os.rename(own, plain.path(NAME, "combined.pem"))
    serves(plain, pair)


def test_readers_get_whole_pairs_while_certificates_are_published(plain, folder, authority):
    directory = plain.mkdir(NAME)
    plain.expect("the (fs|announce) worker was killed by signal 9 ")
    with Readers(folder, directory, 4) as readers:
        for round_ in range(12):
            pair = rotate(plain, authority)
            if round_ % 3:
                os.kill(plain.worker(["fs", "announce"][round_ % 2]), signal.SIGKILL)
            wait_for(lambda: plain.read(NAME, "cert.pem") == pair.cert, "it is served", 20)
            readers.all_go_on()
        assert readers.faults() == []


# Watchers of a file: whoever watches an inode that was served since the last announcement

def told(watch):
    """As by `mv new cert.pem` (CLOSE_WRITE is our own, of what cp wrote)."""
    watch.wait_for("DELETE_SELF")
    assert [e for e in watch.events if e[0] not in ("MODIFY", "CLOSE_WRITE", "IGNORED")] == \
        [("ATTRIB", ""), ("DELETE_SELF", "")]


class Stopped:
    """Stops announce; goes on with it at the end."""

    def __init__(self, certfs):
        self.certfs, self.pid = certfs, certfs.worker("announce")
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self.pid, signal.SIGCONT)

    def is_given_up(self):
        """Nothing waits for it any more."""
        self.certfs.wait_for_log("announce process does not get on")

    def killed(self):
        self.certfs.kill_worker("announce")

    def fs_killed(self):
        self.certfs.kill_worker("fs")
        self.go_on()

    def both_killed(self):
        self.certfs.kill_worker("fs")
        self.certfs.kill_worker("announce")

    def given_up_and_back(self):
        self.is_given_up()
        self.go_on()

    def given_up_and_killed(self):
        self.is_given_up()
        self.certfs.kill_worker("announce")


@pytest.fixture
def few(certfs):
    """certfs that keeps one generation."""
    return certfs(certfs={"keep": 1})


@pytest.mark.parametrize("changes", [2, 5])
@pytest.mark.parametrize("back", ["go_on", "killed", "fs_killed", "both_killed",
                                  "given_up_and_back", "given_up_and_killed"])
def test_watcher_of_any_file_that_was_served_is_told(few, authority, changes, back):
    few.mkdir(NAME)
    cp(few, NAME, Pair(authority, [NAME]))
    few.wait_for_log(f"renamed the names of {NAME}: done")
    stopped = Stopped(few)
    with contextlib.ExitStack() as watches:
        watched = []
        for _ in range(changes):
            for name in ("cert.pem", "privkey.pem"):
                watched.append(watches.enter_context(Watch(few.path(NAME, name))))
            cp(few, NAME, Pair(authority, [NAME]))
        getattr(stopped, back)()
        for watch in watched:
            told(watch)
    serving = os.stat(few.path(NAME, "cert.pem")).st_ino
    with Watch(few.path(NAME, "cert.pem")) as watch:
        assert os.stat(few.path(NAME, "cert.pem")).st_ino == serving
        cp(few, NAME, Pair(authority, [NAME]))
        told(watch)


def test_watcher_that_waits_longest_is_told_after_more_changes_than_are_kept(few, authority):
    few.mkdir(NAME)
    pairs = [Pair(authority, [NAME]) for _ in range(4)]
    cp(few, NAME, pairs[0])
    few.wait_for_log(f"renamed the names of {NAME}: done")
    stopped = Stopped(few)
    with Watch(few.path(NAME, "cert.pem")) as first, contextlib.ExitStack() as watches:
        for i in range(40):
            cp(few, NAME, pairs[(i + 1) % 4])
            watches.enter_context(Watch(few.path(NAME, "cert.pem")))
        with Watch(few.path(NAME, "cert.pem")) as last:
            cp(few, NAME, pairs[1])
            stopped.go_on()
            told(first)
            told(last)


def test_changes_that_nobody_watches_are_announced_once(plain, authority):
    plain.mkdir(NAME)
    cp(plain, NAME, Pair(authority, [NAME]))
    plain.wait_for_log(f"renamed the names of {NAME}: done")
    stopped = Stopped(plain)
    with Watch(plain.path(NAME)) as watch:
        for _ in range(8):
            cp(plain, NAME, Pair(authority, [NAME]))
        stopped.is_given_up()
        watch.events.clear()
        stopped.go_on()
        watch.wait_for("MOVED_TO", "cert.pem")
    # One that waited in the link already, and one for all the others.
    assert watch.names("MOVED_TO") in (IN_TURN, 2 * IN_TURN)


# Announce's death

def is_whole(certfs):
    return belong_together(certfs.read(NAME, "cert.pem"), certfs.read(NAME, "privkey.pem"))


def test_certificate_is_served_without_announce(plain, authority):
    plain.mkdir(NAME)
    serves(plain, rotate(plain, authority))
    os.kill(plain.worker("announce"), signal.SIGSTOP)
    try:
        for _ in range(3):
            pair = rotate(plain, authority)
            wait_for(lambda: is_whole(plain) and plain.read(NAME, "cert.pem") == pair.cert,
                     "it is served all the same", 20)
        assert plain.read(".combined", f"{NAME}.pem") == plain.read(NAME, "combined.pem")
        plain.wait_for_log("announce process does not get on")
    finally:
        os.kill(plain.worker("announce"), signal.SIGCONT)
    with Watch(plain.path(NAME)) as watch:
        rotate(plain, authority)
        watch.wait_for("MOVED_TO", "cert.pem")


def test_announce_that_is_killed_while_it_works_delays_nobody(plain, authority):
    plain.mkdir(NAME)
    plain.expect("the announce worker was killed by signal 9 ")
    for round_ in range(10):
        pair = rotate(plain, authority)
        time.sleep(round_ / 500)
        os.kill(plain.worker("announce"), signal.SIGKILL)
        wait_for(lambda: plain.read(NAME, "cert.pem") == pair.cert, "it is served", 20)
        assert is_whole(plain)
        serves(plain, pair)


def test_worker_that_is_killed_while_it_publishes_tells_watchers_again(plain, authority):
    plain.mkdir(NAME)
    plain.expect("the fs worker was killed by signal 9 ")
    for round_ in range(6):
        rotate_and_tell(plain, authority)
        with Watch(plain.path(NAME)) as watch:
            pair = rotate(plain, authority)
            time.sleep(round_ / 500)
            os.kill(plain.worker("fs"), signal.SIGKILL)
            watch.wait_for("MOVED_TO", "cert.pem")
            serves(plain, pair)
        assert is_whole(plain)


def test_announce_that_never_goes_on_is_replaced(certfs, authority):
    daemon = certfs(certfs={"hang-limit": 3})
    daemon.mkdir(NAME)
    stopped = daemon.worker("announce")
    daemon.expect("the announce worker was killed by signal 9 ")
    os.kill(stopped, signal.SIGSTOP)
    serves(daemon, rotate(daemon, authority))
    wait_for(lambda: daemon.times_served("announce") > 1, "another announce")
    with Watch(daemon.path(NAME)) as watch:
        rotate(daemon, authority)
        watch.wait_for("MOVED_TO", "cert.pem")


def test_stopped_announce_keeps_no_mount(plain):
    os.kill(plain.worker("announce"), signal.SIGSTOP)
    assert plain.stop() == 0
    assert not plain.is_mounted()


def test_announce_holds_neither_keys_nor_the_device(plain):
    pid = plain.worker("announce")
    held = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
    assert not [path for path in held if "/dev/fuse" in path or "certfs-slots" in path
                or path.startswith((plain.mountpoint, plain.store))]
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert len([path for path in held if path.startswith("socket:")]) == 1


# The hook

HOOK = """#!/bin/sh
{{
  echo "domains=$CERTFS_DOMAINS truncated=$CERTFS_DOMAINS_TRUNCATED"
  echo "mountpoint=$CERTFS_MOUNTPOINT arguments=$# third=$3"
  while read -r domain; do echo "line=$domain"; done
  echo end
}} >>{folder}/hook.out
{body}
"""


class Hook:
    def __init__(self, folder):
        self.folder = folder
        self.path = os.path.join(folder, "hook")
        self.write("")

    def write(self, body):
        with open(f"{self.path}.new", "w", encoding="utf-8") as out:
            out.write(HOOK.format(folder=self.folder, body=body))
        os.chmod(f"{self.path}.new", 0o755)
        os.rename(f"{self.path}.new", self.path)

    def text(self):
        try:
            with open(os.path.join(self.folder, "hook.out"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def runs(self):
        return self.text().count("end\n")

    def wait_for_run(self, run):
        wait_for(lambda: self.runs() >= run, f"run {run} of the hook")


@pytest.fixture
def hook(folder):
    return Hook(folder)


@pytest.fixture
def hooked(certfs, hook):
    """hooked(delay=..., ...) starts a certfs with the hook."""
    def make(**settings):
        command = f'{hook.path} "a b" c "d e"'
        return certfs(hook={"on-change": command, "delay": 0, **settings})
    return make


def hook_failure(certfs):
    return json.loads(certfs.read(".certfs", "status.json"))["hook"]


def test_hook_is_told_of_the_domain_that_changed(hooked, hook, authority):
    daemon = hooked()
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME]))
    hook.wait_for_run(1)
    assert hook.text() == (f"domains={NAME} truncated=\nmountpoint={daemon.mountpoint} "
                           f"arguments=3 third=d e\nline={NAME}\nend\n")


def test_hook_runs_once_for_changes_that_come_together(hooked, hook, authority):
    daemon = hooked(delay=3)
    names = [f"app{i}.example.com" for i in range(5)]
    for name in names:
        daemon.mkdir(name)
        cp(daemon, name, Pair(authority, [name]))
        cp(daemon, name, Pair(authority, [name]))
    hook.wait_for_run(1)
    told = hook.text().splitlines()[0].split()[:-1]
    assert sorted(told) == sorted([f"domains={names[0]}", *names[1:]])
    assert hook.runs() == 1
    cp(daemon, names[0], Pair(authority, [names[0]]))
    hook.wait_for_run(2)
    assert hook.text().splitlines()[-3:] == [
        f"mountpoint={daemon.mountpoint} arguments=3 third=d e", f"line={names[0]}", "end"]


def test_hook_finds_the_new_pair_served(hooked, hook, authority):
    daemon = hooked()
    daemon.mkdir(NAME)
    hook.write(f"cat $CERTFS_MOUNTPOINT/{NAME}/fullchain.pem >{hook.folder}/seen")
    pair = rotate(daemon, authority)

    def seen():
        try:
            with open(os.path.join(hook.folder, "seen"), "rb") as file:
                return file.read() == pair.fullchain
        except FileNotFoundError:
            return False
    wait_for(seen, "the hook saw the new certificate")


def test_changes_during_a_run_make_the_next_one(hooked, hook, authority):
    daemon = hooked()
    hook.write(f"until [ -e {hook.folder}/go ]; do sleep 0.05; done")
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME]))
    hook.wait_for_run(1)
    for name in ("b.example.com", "c.example.com"):
        daemon.mkdir(name)
        cp(daemon, name, Pair(authority, [name]))
    assert hook.runs() == 1
    with open(os.path.join(hook.folder, "go"), "w", encoding="utf-8"):
        pass
    wait_for(lambda: "line=b.example.com" in hook.text()
             and "line=c.example.com" in hook.text(), "the next run")
    assert hook.text().count(f"line={NAME}") == 1


def test_failure_of_the_hook_is_told_until_it_runs_well(hooked, hook, authority):
    daemon = hooked()
    assert hook_failure(daemon) is None
    hook.write("echo no such service; exit 3")
    daemon.expect("the on-change hook failed: it ended with status 3")
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME]))
    failure = wait_for(lambda: hook_failure(daemon), "the failure is told")
    assert failure["text"] == "it ended with status 3" and failure["failed_at"]
    daemon.wait_for_log("info: hook: no such service")
    assert b" hook - the on-change hook failed: it ended with status 3\n" in \
        daemon.read(".certfs", "events")
    daemon.restart()
    assert hook_failure(daemon) == failure
    said = daemon.command("status", "-m", daemon.mountpoint).stdout
    assert f"The on-change hook failed at {failure['failed_at']}: it ended with" in said
    hook.write("")
    cp(daemon, NAME, Pair(authority, [NAME]))
    wait_for(lambda: hook_failure(daemon) is None, "the failure is over")


def test_hook_that_is_missing_is_told(certfs, folder, authority):
    daemon = certfs(hook={"on-change": f"{folder}/nothing", "delay": 0})
    daemon.expect("the on-change hook did not run: .*/nothing can't be started")
    daemon.mkdir(NAME)
    pair = Pair(authority, [NAME])
    cp(daemon, NAME, pair)
    failure = wait_for(lambda: hook_failure(daemon), "the failure is told")
    assert "can't be started: No such file or directory" in failure["text"]
    serves(daemon, pair)


def test_hook_past_its_time_limit_is_ended_with_all_it_started(hooked, hook, authority):
    daemon = hooked(**{"time-limit": 1})
    hook.write("trap '' TERM\nsleep 1000 &\n"
               f"echo $! >{hook.folder}/started\nwhile :; do sleep 1000; done")
    daemon.expect(r"the on-change hook failed: it took longer than 1 s")
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME]))
    assert "took longer than 1 s" in wait_for(lambda: hook_failure(daemon), "told")["text"]
    with open(os.path.join(hook.folder, "started"), encoding="utf-8") as file:
        pid = int(file.read())
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "what the hook started has ended")


def test_output_of_the_hook_is_bounded_in_the_log(hooked, hook, authority):
    daemon = hooked()
    hook.write("seq -f 'output %g' 100000")
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME]))
    daemon.wait_for_log("the on-change hook ran well")
    assert daemon.text().count("hook: output") == 100
    assert "the rest of its output is left out" in daemon.text()


def test_hook_runs_later_for_what_changed_while_announce_was_dead(hooked, hook, authority):
    daemon = hooked()
    daemon.mkdir(NAME)
    daemon.expect("the announce worker was killed by signal 9 ")
    stopped = daemon.worker("announce")
    os.kill(stopped, signal.SIGSTOP)
    pair = Pair(authority, [NAME])
    cp(daemon, NAME, pair)
    serves(daemon, pair)
    assert hook.runs() == 0
    os.kill(stopped, signal.SIGKILL)
    hook.wait_for_run(1)
    assert f"line={NAME}\n" in hook.text()


def test_hook_runs_after_a_restart_for_what_it_was_not_told(hooked, hook, authority):
    daemon = hooked(delay=3600)
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME]))
    daemon.wait_for_log(f"renamed the names of {NAME}")
    assert daemon.stop() == 0
    with open(daemon.config, encoding="utf-8") as file:
        text = file.read()
    with open(daemon.config, "w", encoding="utf-8") as file:
        file.write(text.replace("delay = 3600", "delay = 0"))
    daemon.start()
    hook.wait_for_run(1)
    assert f"line={NAME}\n" in hook.text()


def test_hook_is_ended_with_the_daemon(hooked, hook, authority):
    daemon = hooked()
    hook.write(f"echo $$ >{hook.folder}/started\nexec sleep 1000")
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME]))
    started = os.path.join(hook.folder, "started")
    wait_for(lambda: os.path.exists(started) and os.path.getsize(started), "the hook runs")
    assert daemon.stop() == 0
    with open(started, encoding="utf-8") as file:
        pid = int(file.read())
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the hook has ended")


def test_hook_gets_a_clean_environment(hooked, hook, authority):
    daemon = hooked()
    hook.write(f"env >{hook.folder}/env; ls -l /proc/$$/fd >{hook.folder}/fds")
    daemon.mkdir(NAME)
    cp(daemon, NAME, Pair(authority, [NAME]))
    daemon.wait_for_log("the on-change hook ran well")
    with open(os.path.join(hook.folder, "env"), encoding="utf-8") as file:
        names = {line.split("=")[0] for line in file}
    assert names <= {"PATH", "LANG", "TZ", "PWD", "OLDPWD", "SHLVL", "_", "CERTFS_DOMAINS",
                     "CERTFS_MOUNTPOINT"}
    with open(os.path.join(hook.folder, "fds"), encoding="utf-8") as file:
        assert "socket:" not in file.read()


def test_hook_that_is_no_absolute_path_is_refused_at_the_start(certfs):
    daemon = certfs(start=False, hook={"on-change": "systemctl reload nginx"})
    assert "must be named by its absolute path" in daemon.refuses_to_start()
