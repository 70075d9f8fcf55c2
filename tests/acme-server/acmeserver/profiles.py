# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Profiles of certificates (draft-ietf-acme-profiles), by default Let's Encrypt's.

A directory names them with a description each; an order that names none gets the default.
A profile that the directory doesn't name is refused as invalidProfile, and is a violation:
a client must not ask for it.
"""

import dataclasses

from .problems import Problem

HOUR, DAY = 3600, 24 * 3600


@dataclasses.dataclass
class Profile:
    """Times in seconds: of a certificate, of an authorization that is valid or pending, of
    an order. `identifiers`: the types that it takes."""
    description: str
    lifetime_s: int
    reuse_s: int
    pending_s: int
    order_s: int
    common_name: bool = False
    key_identifier: bool = False
    names: int = 25
    identifiers: tuple = ("dns",)


def lets_encrypt():
    return {
        "classic": Profile("The profile you know", 90 * DAY, 30 * DAY, 7 * DAY, 7 * DAY,
                           common_name=True, key_identifier=True, names=100),
        "tlsserver": Profile("A smaller one, of 45 days", 45 * DAY, 7 * HOUR, HOUR, 8 * HOUR),
        "shortlived": Profile("Of 160 hours", 160 * HOUR, 7 * HOUR, HOUR, 8 * HOUR,
                              identifiers=("dns", "ip")),
    }


def choose(settings, name):
    """The profile of an order that asks for `name` (None: for none)."""
    if name is None:
        return settings.default_profile, settings.profiles[settings.default_profile]
    if not settings.offer_profiles or name not in settings.profiles:
        raise Problem("invalidProfile", f"there is no profile {name!r} in the directory",
                      rule="profile-not-offered")
    return name, settings.profiles[name]
