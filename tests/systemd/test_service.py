# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The mount outlives the supervisor, and a stop leaves nothing."""

import contextlib
import os
import shutil
import subprocess

import pytest

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
        assert service.show("NFileDescriptorStore") == "3"
