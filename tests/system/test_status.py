# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What certfs tells of itself: pages, JSON, the command, events, metrics."""

import json
import re
import subprocess

import pytest

from certificates import Authority, Pair, key_pem, new_key
from mount import BINARY
from waiting import LIMIT_S

NAME = "app.example.com"
METRIC = re.compile(r'([a-z_0-9]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (\S+)')


def write(certfs, file, data):
    with open(certfs.path(NAME, file), "wb") as out:
        out.write(data)


def status_page(certfs):
    return certfs.read(NAME, "status").decode()


def refuse_a_pair(certfs):
    with pytest.raises(OSError):
        write(certfs, "combined.pem",
              key_pem(new_key()) + Pair(Authority(), [NAME]).fullchain)


def status_command(*args):
    return subprocess.run([BINARY, "status", *args], capture_output=True, text=True,
                          check=False, timeout=LIMIT_S)


def metrics(certfs):
    found = {}
    for line in certfs.read(".certfs", "metrics").decode().splitlines():
        if not line.startswith("#"):
            name, labels, value = METRIC.fullmatch(line).groups()
            found[name + (labels or "")] = float(value)
    return found


def test_a_fallback_says_that_it_is_one_and_what_to_do(plain):
    plain.mkdir()
    status = plain.status(NAME)
    assert (status["domain"], status["state"]) == (NAME, "attention")
    assert status["serves"]["source"] == "self-signed fallback"
    assert status["serves"]["names"] == [NAME]
    assert "install a certificate with cp" in status["attention"]
    assert status["waiting"] == [] and status["refused"] is None
    page = status_page(plain)
    assert page.startswith(f"{NAME} serves a self-signed fallback")
    assert status["attention"] in page and status["serves"]["sha256"] in page


def test_a_half_that_waits_is_told_with_what_it_waits_for(plain):
    plain.mkdir()
    write(plain, "fullchain.pem", Pair(Authority(), [NAME]).fullchain)
    status = plain.status(NAME)
    assert status["waiting"] == ["fullchain.pem"]
    assert "waits for its key: write privkey.pem" in status["attention"]
    assert "waiting: fullchain.pem" in status_page(plain)


def test_a_refusal_is_told_with_its_reason(plain):
    plain.mkdir()
    refuse_a_pair(plain)
    refused = plain.status(NAME)["refused"]["text"]
    assert "belongs to another certificate" in refused
    assert f"refused: {refused}" in status_page(plain)
    assert refused in plain.read(".certfs", "events").decode()


def test_the_command_prints_a_table_and_json(plain):
    plain.mkdir()
    table = status_command("-m", plain.mountpoint)
    assert table.returncode == 0, table.stderr
    assert re.search(rf"^{NAME} +attention +self-signed ", table.stdout, re.M)
    assert re.search(r"^fallback +ok +self-signed ", table.stdout, re.M)
    assert "2 domains: 1 ok, 1 attention" in table.stdout
    whole = json.loads(status_command("-m", plain.mountpoint, "--json").stdout)
    assert {d["domain"] for d in whole["listed"]} == {NAME, "fallback"}
    one = json.loads(status_command("-m", plain.mountpoint, "--json",
                                    NAME).stdout)
    assert one["domain"] == NAME


def test_the_command_says_where_nothing_is_mounted(plain, folder):
    said = status_command("-m", folder)
    assert said.returncode != 0 and "no certfs is mounted at" in said.stderr


def test_the_mount_counts_its_domains(plain):
    plain.mkdir()
    whole = json.loads(plain.read(".certfs", "status.json"))
    assert whole["domains"] == 2 and whole["left_out"] == 0
    assert whole["by_state"]["attention"] == 1 and whole["by_state"]["ok"] == 1


def test_events_are_told_in_their_order(plain):
    plain.mkdir()
    refuse_a_pair(plain)
    write(plain, "combined.pem", Pair(Authority(), [NAME]).combined)
    kinds = [line.split()[1:3] for line in
             plain.read(".certfs", "events").decode().splitlines()]
    assert [kind for kind, name in kinds if name == NAME] == ["installed", "refused",
                                                             "custom"]


def test_metrics_parse_and_follow_what_is_served(plain):
    plain.mkdir()
    label = 'certfs_domains{source="%s",state="%s"}'
    assert metrics(plain)[label % ("self-signed fallback", "attention")] == 1
    write(plain, "combined.pem", Pair(Authority(), [NAME]).combined)
    plain.wait_for_source(NAME, "custom")
    found = metrics(plain)
    assert found[label % ("self-signed fallback", "attention")] == 0
    assert found[label % ("custom", "ok")] == 1
    assert found['certfs_requests_total{operation="mkdir"}'] == 1
    assert found['certfs_worker_starts_total{worker="fs"}'] == 1


def test_config_is_as_in_force(plain):
    config = plain.read(".certfs", "config").decode()
    assert f"store = {plain.store}" in config
    assert "directory = none" in config and "log-level = debug" in config
    assert "before = 30" in config
