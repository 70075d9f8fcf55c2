# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""bench.py [--quick] [--json] [--only reading|ordering]: what certfs costs, beside tmpfs,
ext4, lego and certbot.

What is compared is measured in turn, round by round, so that a machine that gets slower
or faster in between does it to all of them; the medians count, and ratios are printed.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = os.environ["CERTFS_SOURCE"]
sys.path.insert(0, os.path.join(SOURCE, "tests", "system"))

from challtestsrv import Challtestsrv  # noqa: E402
from gate import Gate  # noqa: E402
from mount import Certfs  # noqa: E402
from pebble import Pebble  # noqa: E402
from ports import free_port  # noqa: E402
from waiting import LIMIT_S, NeverHappened  # noqa: E402

READER = os.path.join(os.environ["CERTFS_HELPERS"], "reader")
NAME = "app.example.com"
QUIETLY = {"log-level": "notice"}


class Scale:
    """How much is measured."""

    def __init__(self, quick):
        self.rounds = 5 if quick else 25
        self.round_ms = 50 if quick else 200
        self.domains = 100 if quick else 1000
        self.orders = 1 if quick else 5


# What was measured

class Table:
    """A line: what, its unit, and medians by name, certfs first."""

    def __init__(self, quick):
        self.quick, self.rows, self.notes = quick, [], []

    def add(self, what, unit, medians):
        ours = medians["certfs"]
        self.rows.append({"what": what, "unit": unit, "medians": medians,
                          "ratios": {name: ours / value for name, value in medians.items()
                                     if name != "certfs"}})

    def note(self, text):
        self.notes.append(text)

    @staticmethod
    def machine():
        with open("/proc/meminfo", encoding="ascii") as file:
            kib = int(file.readline().split()[1])
        return {"processors": len(os.sched_getaffinity(0)), "memory_gib": round(kib / 2**20),
                "kernel": os.uname().release}

    def as_json(self):
        return json.dumps({"machine": self.machine(), "quick": self.quick,
                           "rows": self.rows, "notes": self.notes},
                          ensure_ascii=False, indent=2)

    def as_text(self):
        machine = self.machine()
        lines = [f"{machine['processors']} processors, {machine['memory_gib']} GiB, "
                 f"Linux {machine['kernel']}; medians, in brackets certfs' ratio to them"]
        for row in self.rows:
            cells = [f"certfs {row['medians']['certfs']:9.2f} {row['unit']}"]
            cells += [f"{name:<7} {row['medians'][name]:7.2f} {row['unit']} "
                      + f"({ratio:.2f})".rjust(9) for name, ratio in row["ratios"].items()]
            lines.append(f"{row['what']:<29}" + "  ".join(cells))
        return "\n".join(lines + self.notes)


# Places to read from

def mount_at(stack, path, *how):
    subprocess.run(["mount", *how, path], check=True, capture_output=True)
    stack.callback(subprocess.run, ["umount", "-l", path], check=True)


def kind_of(path):
    """The filesystem that a folder lies on."""
    return subprocess.run(["findmnt", "--noheadings", "--output", "FSTYPE", "--target", path],
                          check=True, text=True, capture_output=True).stdout.strip()


def tmpfs(stack, folder):
    path = os.path.join(folder, "tmpfs")
    os.mkdir(path)
    mount_at(stack, path, "-t", "tmpfs", "-o", "size=64M", "tmpfs")
    return path


def disk(stack, folder, table):
    """ext4: the folder itself, or else a loop image; where neither can be had, what is
    there, by its name."""
    path, image = os.path.join(folder, "disk"), os.path.join(folder, "disk.img")
    os.mkdir(path)
    kind = kind_of(path)
    if kind == "ext4":
        return kind, path
    with open(image, "wb") as file:
        file.truncate(256 << 20)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True, capture_output=True)
        mount_at(stack, path, "-o", "loop", image)
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip()
        table.note(f"{kind} stands in for ext4, which could not be mounted: {reason}")
        return kind, path
    return "ext4", path


def copy_served(certfs, others):
    """The same tree as in the mount, in each of the other places."""
    files = {file: certfs.read(NAME, file) for file in os.listdir(certfs.path(NAME))}
    for path in others:
        for name in os.listdir(certfs.mountpoint):
            os.mkdir(os.path.join(path, name))
        for file, content in files.items():
            with open(os.path.join(path, NAME, file), "wb") as out:
                out.write(content)


# Measuring

def readers(operation, path, milliseconds, count):
    """Microseconds that one operation takes each of `count` processes at work together."""
    with contextlib.ExitStack() as stack:
        running = []
        for _ in range(count):
            running.append(stack.enter_context(subprocess.Popen(
                [READER, operation, str(milliseconds), path], text=True, stdout=subprocess.PIPE)))
            stack.callback(running[-1].kill)
        taken = [process.communicate()[0] for process in running]
        if any(process.returncode for process in running):
            raise SystemExit(f"bench: a reader of {path} failed")
    return statistics.mean(int(one) / 1000 for one in taken)


def listing(path):
    """Milliseconds that `ls -l` takes."""
    return 1000 * timed(lambda: subprocess.run(["ls", "-l", path], check=True,
                                               stdout=subprocess.DEVNULL))


def timed(action):
    """Seconds."""
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def in_turn(rounds, measures):
    """Medians by name; each round measures all of them, once unmeasured to warm up."""
    taken = {name: [] for name in measures}
    for round_number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if round_number:
                taken[name].append(value)
    return {name: statistics.median(values) for name, values in taken.items()}


def measure_reading(scale, table, places):
    def by_place(operation, count):
        return {name: lambda path=path: readers(
            operation, os.path.join(path, NAME, "fullchain.pem"), scale.round_ms, count)
                for name, path in places.items()}
    for count in (1, 4):
        table.add(f"open+read+close, {count} reader{'s' if count > 1 else ''}", "µs",
                  in_turn(scale.rounds, by_place("read", count)))
    table.add("stat", "µs", in_turn(scale.rounds, by_place("stat", 1)))
    table.add(f"ls -l of {scale.domains} domains", "ms", in_turn(scale.rounds, {
        name: lambda path=path: listing(path) for name, path in places.items()}))


def run_reading(scale, table, folder):
    with contextlib.ExitStack() as stack:
        certfs = Certfs(folder, certfs=QUIETLY)
        stack.callback(certfs.clean_up)
        certfs.start()
        certfs.mkdir(NAME)
        for i in range(scale.domains - 1):
            certfs.mkdir(f"d{i}.example.com")
        memory, (kind, on_disk) = tmpfs(stack, folder), disk(stack, folder, table)
        copy_served(certfs, [memory, on_disk])
        measure_reading(scale, table,
                        {"certfs": certfs.mountpoint, "tmpfs": memory, kind: on_disk})


# Ordering

class Ordering:
    """Orders at one pebble. The round that warms up makes each client's account."""

    def __init__(self, folder, ca, certfs, listen):
        self.folder, self.ca, self.certfs, self.listen = folder, ca, certfs, listen
        self.number = 0

    def new_name(self, client):
        self.number += 1
        return f"{client}{self.number}.example.com"

    def certfs_takes(self):
        """pebble asks one port, which the other clients bind by themselves: certfs'
        listener has another, and is reached through a gate while its turn lasts."""
        gate = Gate(self.ca.http_port, self.listen)
        gate.open.set()
        try:
            return timed(lambda: self._mkdir_and_wait(self.new_name("certfs")))
        finally:
            gate.close()

    def _mkdir_and_wait(self, name):
        self.certfs.mkdir(name)
        path, end = self.certfs.path(name, "fullchain.pem"), time.monotonic() + LIMIT_S
        first = os.stat(path).st_ino
        while os.stat(path).st_ino == first:
            if time.monotonic() > end:
                raise NeverHappened(f"{name} is managed\n{self.certfs.tail()}")
            time.sleep(0.002)
        assert self.certfs.source(name) == "managed"

    @staticmethod
    def _run(command, **env):
        done = subprocess.run(command, env={**os.environ, **env}, capture_output=True,
                              text=True, check=False)
        if done.returncode:
            raise SystemExit(f"bench: {command[0]} failed:\n{done.stdout}{done.stderr}")

    def lego_takes(self):
        command = ["lego", "--accept-tos", "--server", self.ca.directory,
                   "--email", "admin@example.com", "--path", f"{self.folder}/lego",
                   "--http", "--http.port", f"127.0.0.1:{self.ca.http_port}",
                   "--domains", self.new_name("lego"), "run"]
        return timed(lambda: self._run(command, LEGO_CA_CERTIFICATES=self.ca.tls_roots))

    def certbot_takes(self):
        command = ["certbot", "certonly", "--standalone", "--non-interactive",
                   "--agree-tos", "--email", "admin@example.com", "--no-eff-email",
                   "--server", self.ca.directory,
                   "--http-01-address", "127.0.0.1",
                   "--http-01-port", str(self.ca.http_port),
                   "--config-dir", f"{self.folder}/certbot/etc",
                   "--work-dir", f"{self.folder}/certbot/work",
                   "--logs-dir", f"{self.folder}/certbot/log",
                   "--domain", self.new_name("certbot")]
        return timed(lambda: self._run(command, REQUESTS_CA_BUNDLE=self.ca.tls_roots))


def run_ordering(scale, table, folder):
    with contextlib.ExitStack() as stack:
        dns = Challtestsrv(folder)
        stack.callback(dns.stop)
        dns.start()
        ca = Pebble(folder, dns, free_port())
        stack.callback(ca.stop)
        ca.start()
        listen = free_port()
        certfs = Certfs(folder, certfs=QUIETLY, acme=ca.settings(),
                        http_01={"listen": f"127.0.0.1:{listen}"})
        stack.callback(certfs.clean_up)
        certfs.start()
        ordering = Ordering(folder, ca, certfs, listen)
        measures = {"certfs": ordering.certfs_takes}
        for client in ("lego", "certbot"):
            if shutil.which(client):
                measures[client] = getattr(ordering, f"{client}_takes")
            else:
                table.note(f"{client} is not installed, and left out")
        table.add("mkdir to managed certificate", "s", in_turn(scale.orders, measures))


PARTS = {"reading": run_reading, "ordering": run_ordering}


def main():
    parser = argparse.ArgumentParser(prog="bench")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and domains")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--only", choices=PARTS, help="one part")
    options = parser.parse_args()
    for sign in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, _: sys.exit(128 + number))
    table = Table(options.quick)
    for part in [options.only] if options.only else PARTS:
        with tempfile.TemporaryDirectory(prefix="certfs-bench-") as folder:
            os.chmod(folder, 0o755)
            PARTS[part](Scale(options.quick), table, folder)
    print(table.as_json() if options.json else table.as_text())


if __name__ == "__main__":
    main()
