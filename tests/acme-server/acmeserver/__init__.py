# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""A strict, scripted ACME server for tests of ACME clients.

It issues certificates as RFC 8555 says, with `ip` identifiers (RFC 8738), renewal
information (RFC 9773) and profiles (draft-ietf-acme-profiles); it takes nothing that these
forbid, and writes down each breach as a *violation*; and it misbehaves on demand.

    problems    problem documents, and what a client did wrong
    clock       the time as the server sees it
    jws         signatures of requests
    nonces      anti-replay nonces
    accounts    accounts, their keys, external account binding
    orders      orders, authorizations, certificates: the state machines
    validation  http-01 and dns-01
    ca          roots, intermediates, leaves; also leaves that are wrong
    ari         renewal information
    profiles    what kinds of certificates there are
    limits      token buckets
    faults      the language in which misbehaviour is described
    world       all of these, and the settings, for one server
    server      HTTP: what a client reaches
    control     HTTP: what a test reaches
"""
