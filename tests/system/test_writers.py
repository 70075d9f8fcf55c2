# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Real writers: on certfs each shows what it shows on ext4."""

import contextlib
import dataclasses
import os
import shutil
import stat
import subprocess
import tempfile
import threading

import pytest

import conftest
from certificates import Authority, Pair, belong_together, key_pem, new_key
from challtestsrv import Challtestsrv
from ext4 import Ext4
from mount import SERVED, Certfs, abort
from pebble import Pebble
from ports import free_port
from writers import GROUP, USER, WRITERS, Put, Site, Sshd

KEY, COMBINED = "privkey.pem", "combined.pem"
KEYS = (KEY, COMBINED)
DIRECTORIES = ("new", "custom", "managed")
ORDERS = ("key first", "certificate first", "combined")
PAGES = {"policy", "status", "status.json"}
MTIME_S = 1_500_000_000


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a user sees of a file."""

    content: bytes
    mode: str
    owner: tuple
    mtime_s: int

    @property
    def attributes(self):
        return self.mode, self.owner, self.mtime_s

    @classmethod
    def of(cls, path):
        found = os.stat(path)
        with open(path, "rb") as file:
            return cls(file.read(), oct(stat.S_IMODE(found.st_mode)),
                       (found.st_uid, found.st_gid), int(found.st_mtime))


def beside(folder):
    """What a writer left: the names of what nobody serves."""
    return sorted({*os.listdir(folder)} - {*SERVED, *PAGES})


def clear(folder):
    subprocess.run(["rm", "-rf", "--", *beside(folder)], cwd=folder, check=True)


class World:
    """All that the writers run on. One for all of them, since a CA has its price."""

    def __init__(self, folder, stack):
        self.folder, self.stack = folder, stack
        self.sshd = self._service(Sshd(folder)).start()
        self.ext4 = stack.enter_context(Ext4(folder)).path
        self.site = Site(folder, self.sshd)
        self.full = Site(folder, self.sshd, full=True)
        self.plain = self._certfs("plain")
        self.managed = self._certfs("managed", **self._ca())
        authority = Authority()
        self.pair = Pair(authority, ["*.example.com"])
        self.before = Pair(authority, ["*.example.com"])
        self.good = self._sources("good", self.pair, self.pair.key)
        wrong = Pair(authority, ["other.test"])
        self.bad = self._sources("bad", wrong, key_pem(new_key("weak")))
        for case in self.cases():
            self.of(case).mkdir(case.name)

    def _service(self, one):
        self.stack.callback(one.stop)
        return one

    def _ca(self):
        dns = self._service(Challtestsrv(self.folder)).start()
        ca = self._service(Pebble(self.folder, dns, free_port())).start()
        return {"acme": ca.settings(),
                "http_01": {"listen": f"127.0.0.1:{ca.http_port}"}}

    def _certfs(self, name, **sections):
        one = Certfs(self.folder, store=f"{self.folder}/{name}-store",
                     mountpoint=f"{self.folder}/{name}", name=name, **sections)
        self.stack.callback(one.clean_up)
        return one.start()

    def _sources(self, name, pair, key):
        folder = os.path.join(self.folder, name)
        os.mkdir(folder)
        contents = {"cert.pem": pair.cert, "fullchain.pem": pair.fullchain, KEY: key,
                    COMBINED: pair.combined}
        for file, content in contents.items():
            path = os.path.join(folder, file)
            with open(path, "wb") as out:
                out.write(content)
            os.chown(path, USER, GROUP)
            os.chmod(path, 0o600 if file in KEYS else 0o604)
            os.utime(path, (MTIME_S, MTIME_S))
        return {file: os.path.join(folder, file) for file in contents}

    @staticmethod
    def cases():
        return [case for writer in WRITERS for case in cases_of(writer)]

    def of(self, case):
        return self.managed if case.directory == "managed" else self.plain

    def path(self, case, *file):
        return self.of(case).path(case.name, *file)

    def begin(self, case):
        """The directory as the writer finds it."""
        if case.directory == "custom":
            with open(self.path(case, COMBINED), "wb") as out:
                out.write(self.before.combined)
        elif case.directory == "managed":
            self.managed.wait_for_source(case.name, "managed")

    def served(self, case):
        return {file: Seen.of(self.path(case, file)) for file in SERVED}

    def ext4_like(self, name, case):
        """A folder on ext4 with the files that the directory has."""
        folder = os.path.join(self.ext4, name)
        os.mkdir(folder)
        for file in SERVED:
            path, seen = os.path.join(folder, file), os.stat(self.path(case, file))
            shutil.copy(self.path(case, file), path)
            os.chown(path, seen.st_uid, seen.st_gid)
            os.chmod(path, stat.S_IMODE(seen.st_mode))
        return folder


@dataclasses.dataclass(frozen=True)
class Case:
    """A writer, a kind of directory, and the order of the files."""

    writer: object
    directory: str
    order: str

    @property
    def name(self):
        return f"{WRITERS.index(self.writer)}-{self.directory}-{self.order.split()[0]}" \
               ".example.com"

    @property
    def files(self):
        certificate = self.writer.certificate
        return {"key first": (KEY, certificate), "certificate first": (certificate, KEY),
                "combined": (COMBINED,)}[self.order]

    def __str__(self):
        return f"{self.directory} directory, {self.order}"


def cases_of(writer):
    orders = ORDERS if writer.combined else ORDERS[:2]
    if writer.slow:
        return [Case(writer, *both) for both in zip(DIRECTORIES, orders)]
    return [Case(writer, directory, order) for directory in DIRECTORIES for order in orders]


@pytest.fixture(scope="module")
def world():
    folder = tempfile.mkdtemp(prefix=conftest.PREFIX, dir=conftest.BASE)
    os.chmod(folder, 0o755)
    hung = threading.Timer(conftest.TEST_LIMIT_S,
                           lambda: [abort(m) for m in conftest.ours()])
    hung.daemon = True
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        stack.callback(hung.cancel)
        hung.start()
        made = World(folder, stack)
        yield made
    for one in (made.plain, made.managed):
        assert not one.unexpected()


class Reference:
    """What ext4 shows of a writer, by file, each in a folder of its own."""

    def __init__(self, world, writer, case):
        self.files = sorted({KEY, writer.certificate, *([COMBINED] * writer.combined)})
        full = self._folders(world, case, "full")
        self.full = self._run(world.full, writer, world.bad, full)
        self.full_beside = {file: beside(full[file]) for file in self.files}
        good = self._folders(world, case, "good")
        self.good = self._run(world.site, writer, world.good, good)
        self.seen = {file: Seen.of(os.path.join(good[file], file)) for file in self.files}
        self.beside = {file: beside(good[file]) for file in self.files}
        self.again = writer.twice and self._run(world.site, writer, world.good, good)

    def _folders(self, world, case, what):
        return {file: world.ext4_like(f"{case.name}-{file}-{what}", case)
                for file in self.files}

    def _run(self, site, writer, sources, folders):
        puts = [Put(sources[file], os.path.join(folders[file], file)) for file in self.files]
        return dict(zip(self.files, writer.write(site, puts)))


class Differences(list):
    def compare(self, what, certfs, ext4):
        if certfs != ext4:
            self.append(f"{what}: {certfs!r}, expected {ext4!r}")

    def compare_content(self, what, certfs, ext4):
        if certfs != ext4:
            self.append(f"{what}: other content, {len(certfs)} bytes of {len(ext4)}")


def try_what_is_refused(world, writer, cases, reference, wrong):
    before = {case: world.served(case) for case in cases}
    tried = [(case, case.files[0]) for case in cases]
    done = writer.write(world.site, [Put(world.bad[file], world.path(case, file))
                                     for case, file in tried])
    for (case, file), one in zip(tried, done):
        what, ext4 = f"{case}: refused {file}", reference.full[file]
        wrong.compare(f"{what}: worked", one.worked, ext4.worked)
        if not writer.moves_away:
            wrong.compare(f"{what}: left where it ran", one.left, ext4.left)
            wrong.compare(f"{what}: beside", beside(world.path(case)),
                          reference.full_beside[file])
        status = world.of(case).status(case.name)
        wrong.compare(f"{what}: told in status", bool(status["refused"]), True)
        wrong.compare(f"{what}: waits", status["waiting"], [])
        stands = world.served(case)
        for name in SERVED:
            compare_stands(f"{what}: {name}", stands[name], before[case][name],
                           one.worked or writer.goes_on, wrong)
        clear(world.path(case))
    return before


def compare_stands(what, seen, before, unnoticed, wrong):
    wrong.compare_content(what, seen.content, before.content)
    # Who has noticed nothing goes on, and gives the name a mode, an owner and a time.
    if not unnoticed:
        wrong.compare(f"{what}: attributes", seen.attributes, before.attributes)


def kept_by(writer, file):
    key = ("mode",) if file in KEYS and "mode of a key" in writer.keeps else ()
    return (*writer.keeps, *key)


def compare_file(what, seen, ext4, before, keeps, wrong):
    wrong.compare_content(what, seen.content, ext4.content)
    for name in ("mode", "owner"):
        wrong.compare(f"{what}: {name}", getattr(seen, name),
                      getattr(before if name in keeps else ext4, name))
    if ext4.mtime_s == MTIME_S:
        wrong.compare(f"{what}: mtime", seen.mtime_s, MTIME_S)


def try_what_is_good(world, writer, cases, reference, before, wrong):
    tried = [(case, file) for case in cases for file in case.files]
    puts = [Put(world.good[file], world.path(case, file)) for case, file in tried]
    for (case, file), one in zip(tried, writer.write(world.site, puts)):
        wrong.compare(f"{case}: {file}: worked", one.worked, True)
        wrong.compare(f"{case}: {file}", one, reference.good[file])
    for case in cases:
        served = world.served(case)
        for file in case.files:
            compare_file(f"{case}: {file}", served[file], reference.seen[file],
                         before[case][file], kept_by(writer, file), wrong)
        status = world.of(case).status(case.name)
        wrong.compare(f"{case}: source", status["serves"]["source"], "custom")
        wrong.compare(f"{case}: waits", status["waiting"], [])
        wrong.compare(f"{case}: refused", status["refused"], None)
        wrong.compare_content(f"{case}: cert.pem", served["cert.pem"].content,
                              world.pair.cert)
        assert belong_together(served["cert.pem"].content, served[KEY].content)
        wrong.compare(f"{case}: beside", set(beside(world.path(case))),
                      {name for file in case.files for name in reference.beside[file]})
    if writer.twice:
        for (case, file), one in zip(tried, writer.write(world.site, puts)):
            wrong.compare(f"{case}: {file} again", one, reference.again[file])
            assert one.said in ("", "ok") or wrong, one


@pytest.mark.parametrize("writer", WRITERS, ids=lambda writer: writer.name)
def test_writer_shows_what_it_shows_on_ext4(world, writer):
    cases, wrong = cases_of(writer), Differences()
    reference = Reference(world, writer, cases[0])
    assert all(one.worked for one in reference.good.values()), reference.good
    for case in cases:
        world.begin(case)
    before = try_what_is_refused(world, writer, cases, reference, wrong)
    try_what_is_good(world, writer, cases, reference, before, wrong)
    assert not wrong, "\n".join(wrong)


def test_pkcs12_made_beside_the_pair_is_there_for_its_owner(world):
    folder = world.plain.mkdir("beside.example.com")
    subprocess.run(["openssl", "pkcs12", "-export", "-in", "fullchain.pem", "-inkey", KEY,
                    "-passout", "pass:", "-out", "x.p12"], cwd=folder, check=True)
    assert beside(folder) == ["x.p12"]
    assert stat.S_IMODE(os.stat(f"{folder}/x.p12").st_mode) == 0o600
    key = subprocess.run(["openssl", "pkcs12", "-in", "x.p12", "-passin", "pass:", "-nodes",
                          "-nocerts"], cwd=folder, check=True, capture_output=True).stdout
    assert belong_together(Seen.of(f"{folder}/cert.pem").content, key)
    assert world.plain.status("beside.example.com")["waiting"] == []
