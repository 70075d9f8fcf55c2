# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The mount outlives the supervisor, and a stop leaves nothing."""

import contextlib
import os
import shutil
import subprocess

import pytest

from certificates import Authority, Pair
from machine import BUILD, CONFIG
from readers import Readers
from waiting import wait_for

NAME = "app.example.com"
KILLS = 12
RESTARTS = 6


@pytest.fixture
def directory(service):
    path = service.path(NAME)
    os.makedirs(path, exist_ok=True)
    return path


def test_killed_supervisors_are_noticed_by_no_reader(service, directory, folder):
    mount_id = service.mount_id()
    with Readers(folder, directory, 2) as readers:
        for _ in range(KILLS):
            service.kill()
            readers.all_go_on()
        assert service.mount_id() == mount_id
        assert readers.faults() == []


def test_listener_outlives_the_supervisor(service, machine):
    """Nobody is refused a connection, and a restart binds what the configuration names."""
    def connects(port):
        return machine.run("bash", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}").returncode == 0
    service.configure(CONFIG.replace("listen = none", "listen = 127.0.0.1:8080"))
    service.systemctl("restart")
    assert connects(8080)
    for _ in range(3):
        before = service.main()
        assert machine.run("kill", "-9", str(before)).returncode == 0
        assert connects(8080)
        wait_for(lambda: service.main() not in (0, before), "another supervisor is there")
    wait_for(lambda: service.show("ActiveState") == "active", "it serves")
    service.configure(CONFIG.replace("listen = none", "listen = 127.0.0.1:8081"))
    service.systemctl("restart")
    assert connects(8081)
    assert not connects(8080)


@pytest.fixture
def readonly(service, machine, directory):
    """Its mountpoint, and the path at which our processes see NAME there."""
    mountpoint = "/srv/certs"
    os.makedirs(machine.inside(mountpoint), exist_ok=True)
    done = machine.run("certfs", "mount", "-o", "ro", mountpoint)
    assert done.returncode == 0, done.stderr
    assert service.read(NAME, "cert.pem")
    yield mountpoint, machine.path(os.path.join(mountpoint, NAME))
    machine.run("umount", mountpoint)


def test_read_only_mount_outlives_the_supervisor(service, readonly, folder):
    mountpoint, path = readonly
    mount_ids = service.mount_id(mountpoint), service.mount_id()
    assert "" not in mount_ids
    with Readers(folder, path, 2) as readers:
        for turn in range(KILLS):
            if turn % 3 == 0:
                service.systemctl("restart")
            elif turn % 3 == 1:
                service.systemctl("reload")
            service.kill()
            readers.all_go_on()
        assert (service.mount_id(mountpoint), service.mount_id()) == mount_ids
        assert readers.faults() == []
    assert service.show("NFileDescriptorStore") == "6"


def test_read_only_mount_serves_what_comes_after_another_supervisor(service, readonly):
    _, path = readonly
    service.kill()
    pair = Pair(Authority(), [NAME])
    with open(service.path(NAME, "combined.pem"), "wb") as file:
        file.write(pair.combined)

    def served():
        with open(os.path.join(path, "cert.pem"), "rb") as file:
            return file.read()
    wait_for(lambda: served() == pair.cert, "the new certificate is served there")


def test_read_only_mount_goes_with_the_service(service, readonly, machine):
    mountpoint, _ = readonly
    service.kill()
    service.systemctl("stop")
    assert service.mount_id(mountpoint) == ""
    assert os.listdir(machine.inside(mountpoint)) == []
    assert service.show("NFileDescriptorStore") == "0"


def test_read_only_mount_that_was_unmounted_is_kept_no_more(service, readonly, machine):
    mountpoint, _ = readonly
    assert machine.run("umount", mountpoint).returncode == 0
    wait_for(lambda: service.show("NFileDescriptorStore") == "4", "systemd has let it go")
    service.kill()
    assert service.mount_id(mountpoint) == ""
    assert service.read(NAME, "cert.pem")


def test_read_only_mount_where_it_is_forbidden_to_take_it_over_says_so(service, machine):
    mountpoint, limits = "/srv/certs", machine.inside("etc/systemd/system/certfs.service.d")
    os.makedirs(machine.inside(mountpoint), exist_ok=True)
    os.makedirs(limits)
    try:
        with open(os.path.join(limits, "limits.conf"), "w", encoding="utf-8") as file:
            file.write("[Service]\nSystemCallFilter=~pidfd_getfd\n"
                       "SystemCallErrorNumber=EPERM\n")
        machine.run("systemctl", "daemon-reload")
        service.systemctl("restart")
        done = machine.run("certfs", "mount", "-o", "ro", mountpoint)
    finally:
        shutil.rmtree(limits)
        machine.run("systemctl", "daemon-reload")
    assert done.returncode != 0
    assert "pidfd_getfd(2) is forbidden here" in done.stderr
    assert service.mount_id(mountpoint) == ""


# What is wrong with each is found by somebody else: whoever reads the file, the supervisor,
# the fs worker, the net worker.
WRONG = {
    "unknown-key": CONFIG + "contcat = me\n",
    "user": CONFIG.replace("[acme]", "net-user = nobody-of-that-name\n[acme]"),
    "address": CONFIG.replace("listen = none", "listen = 192.0.2.77:80"),
    "master-key": CONFIG.replace("[acme]", "master-key-file = /nowhere\n[acme]"),
    "roots": CONFIG.replace("[http-01]", "roots-file = /nowhere\n[http-01]"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_restart_with_a_wrong_configuration_keeps_the_mount_and_says_so(service, directory,
                                                                       folder, wrong):
    service.configure(CONFIG.replace("[acme]", "keep = 7\n[acme]"))
    service.systemctl("restart")
    mount_id = service.mount_id()
    with Readers(folder, directory, 2) as readers:
        service.configure(WRONG[wrong])
        for again in (lambda: service.systemctl("restart"), service.kill):
            again()
            readers.all_go_on()
            assert b"\nkeep = 7\n" in service.read(".certfs", "config")
            wait_for(lambda: "not with what stands on disk" in service.status()[0],
                     "systemctl status tells of it")
            assert "What stands on disk is not in force" in service.status()[1]
        assert "goes on with the configuration that was in force before" in service.log()
        service.configure(CONFIG)
        service.systemctl("restart")
        readers.all_go_on()
        assert b"\nkeep = 10\n" in service.read(".certfs", "config")
        assert "disk" not in "".join(service.status())
        assert service.mount_id() == mount_id
        assert readers.faults() == []


@pytest.mark.parametrize("wrong", WRONG)
def test_start_with_a_wrong_configuration_fails_and_leaves_nothing(service, wrong):
    service.systemctl("stop")
    service.configure(WRONG[wrong])
    assert service.systemctl("start", check=False) != 0
    assert service.mount_id() == ""
    assert service.show("NFileDescriptorStore") == "0"
    service.systemctl("stop")
    service.configure(CONFIG)
    service.systemctl("start")


@contextlib.contextmanager
def mkdir_of_the_service_that_waits(service, machine):
    """A process of the service's that nothing ends, since the mount has its request and can't
    answer it: the store's write lock is held until release() is called."""
    # Of version 2, or where version 1 keeps the units.
    join = (f"for at in /sys/fs/cgroup/ /sys/fs/cgroup/*/; do "
            f"procs=$at{service.show('ControlGroup')}/cgroup.procs; "
            f"[ ! -e $procs ] || echo 0 >$procs; done")
    before = service.mkdirs()
    with subprocess.Popen([os.path.join(BUILD, "tests", "system", "hold_lock"),
                           machine.inside("var/lib/certfs")],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with subprocess.Popen(["nsenter", "-t", str(machine.leader), "-a", "--", "sh", "-c",
                               f"{join}; exec mkdir /etc/certs/{NAME}"]):
            try:
                wait_for(lambda: service.mkdirs() > before, "a worker has the request")
                pid = machine.run("pgrep", "-x", "mkdir").stdout.strip()
                assert "/certfs.service" in machine.run("cat", f"/proc/{pid}/cgroup").stdout
                yield pid, holder.stdin.close
            finally:
                holder.stdin.close()


def test_next_supervisor_waits_for_no_process_of_the_dead_one(service, machine):
    with mkdir_of_the_service_that_waits(service, machine) as (pid, release):
        machine.run("kill", "-9", pid)
        service.kill()
        assert machine.run("kill", "-0", pid).returncode == 0
        release()
        wait_for(lambda: machine.run("kill", "-0", pid).returncode != 0, "it has its answer")
    assert service.read(NAME, "cert.pem")


def test_restarts_are_noticed_by_no_reader(service, directory, folder):
    mount_id = service.mount_id()
    with Readers(folder, directory, 2) as readers:
        for _ in range(RESTARTS):
            before = service.main()
            service.systemctl("restart")
            assert service.main() != before
            readers.all_go_on()
        assert service.mount_id() == mount_id
        assert readers.faults() == []


def test_restart_needs_no_message_bus(service, directory, machine):
    mount_id = service.mount_id()
    assert machine.run("systemctl", "stop", "dbus.socket", "dbus").returncode == 0
    try:
        service.systemctl("restart")
        assert service.mount_id() == mount_id
        assert os.path.exists(os.path.join(directory, "cert.pem"))
    finally:
        machine.run("systemctl", "start", "dbus.socket")


def test_requests_of_a_dead_supervisor_are_answered_by_the_next(service):
    names = [f"d{i}.example.com" for i in range(20)]
    for i, name in enumerate(names):
        if i % 7 == 0:
            service.kill()
        os.mkdir(service.path(name))
    assert set(names) <= set(os.listdir(service.mountpoint))
    for name in names:
        os.rmdir(service.path(name))


def test_reload_starts_new_workers(service, directory, folder):
    main, workers = service.main(), service.workers()
    with Readers(folder, directory, 2) as readers:
        service.systemctl("reload")
        assert service.main() == main
        assert not workers & service.workers()
        assert service.show("ActiveState") == "active"
        readers.all_go_on()
        assert readers.faults() == []


def test_upgrade_needs_no_restart_and_survives_a_kill_after_it(service, directory, machine,
                                                               folder):
    main, mount_id = service.main(), service.mount_id()
    binary = machine.inside("usr/local/bin/certfs")
    with Readers(folder, directory, 2) as readers:
        shutil.copy(binary, binary + ".new")
        os.rename(binary + ".new", binary)
        assert service.program().endswith(" (deleted)")
        service.systemctl("reload")
        assert service.main() == main
        assert service.program() == "/usr/local/bin/certfs"
        service.kill()
        readers.all_go_on()
        assert service.mount_id() == mount_id
        assert readers.faults() == []


def test_reload_with_a_wrong_configuration_fails_and_keeps_everything(service, directory):
    main, workers = service.main(), service.workers()
    service.configure(CONFIG + "contcat = me\n")
    assert service.systemctl("reload", check=False) != 0
    assert "/etc/certfs.conf:7:" in service.log()
    assert service.main() == main
    assert service.workers() == workers
    assert service.show("ActiveState") == "active"
    assert os.path.exists(os.path.join(directory, "cert.pem"))
    service.configure(CONFIG)
    service.systemctl("reload")


def test_stop_leaves_nothing(service, machine):
    """Also when the supervisor that stops isn't the one that mounted."""
    service.systemctl("stop")
    beneath = machine.inside("etc/certs")
    os.chmod(beneath, 0o711)
    service.systemctl("start")
    assert os.stat(beneath).st_mode & 0o7777 == 0o555
    service.kill()
    service.systemctl("reload")
    service.systemctl("stop")
    assert service.mount_id() == ""
    assert os.stat(beneath).st_mode & 0o7777 == 0o711
    assert os.listdir(beneath) == []
    assert service.show("NFileDescriptorStore") == "0"
    assert service.show("ActiveState") == "inactive"
    assert machine.run("pgrep", "-f", "certfs").returncode == 1
    os.chmod(beneath, 0o755)


def test_aborted_connection_is_mounted_anew(service, machine):
    mount_id, restarts = service.mount_id(), int(service.show("NRestarts"))
    with open(service.path("fallback", "cert.pem"), "rb"):
        # Forced, but busy: the connection ends, the mount stays.
        assert machine.run("umount", "-f", "/etc/certs").returncode != 0
        wait_for(lambda: service.mount_id() not in ("", mount_id)
                 and service.show("ActiveState") == "active",
                 f"another mount is there\n{service.log()}")
    assert service.read("fallback", "cert.pem")
    assert int(service.show("NRestarts")) == restarts + 1


def test_unmount_from_outside_ends_the_service(service, machine):
    assert machine.run("umount", "/etc/certs").returncode == 0
    wait_for(lambda: service.show("ActiveState") == "inactive", "the service has ended")
    assert service.show("NFileDescriptorStore") == "0"
    assert service.mount_id() == ""


def test_mountpoint_that_was_unmounted_meanwhile_is_mounted_anew(service, machine):
    """The supervisor is dead, systemd holds a connection that is mounted nowhere."""
    main = service.main()
    with open(service.path("fallback", "cert.pem"), "rb"):
        machine.run("sh", "-c", f"kill -STOP {main}; umount -l /etc/certs; kill -9 {main}")
        wait_for(lambda: service.main() not in (0, main)
                 and service.show("ActiveState") == "active", "another supervisor serves")
        assert "mounts anew: what systemd kept can't be used" in service.log()
        assert service.read("fallback", "cert.pem")
        assert service.show("NFileDescriptorStore") == "4"
