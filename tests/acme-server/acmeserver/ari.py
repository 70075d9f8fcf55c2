# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Renewal information (RFC 9773): when a certificate should be renewed, and `replaces`.

The window is Let's Encrypt's: around two thirds of the lifetime (half, below 10 days), of
one hundredth of the lifetime to each side; from an hour to half an hour ago once the
certificate is revoked. A test can set another for one certificate or for all, well formed
or not. An order that `replaces` a certificate, inside its window, is outside of all limits.

Violations: asking after the certificate's expiry or after its replacement was issued
(§4.3.1), a certificate identifier that is none, `replaces` where no renewal information is
offered.
"""

from . import jws
from .clock import rfc3339
from .problems import Problem
from .web import Reply

SHORT_S = 10 * 24 * 3600


def window(issued, now_s):
    if issued.revoked:
        return now_s - 3600, now_s - 1800
    life_s = issued.not_after_s - issued.not_before_s
    middle_s = issued.not_before_s + (life_s / 2 if life_s < SHORT_S else life_s * 2 / 3)
    return middle_s - life_s / 100, middle_s + life_s / 100


def _find(world, certid):
    parts = certid.split(".") if isinstance(certid, str) else []
    try:
        good = len(parts) == 2 and all(jws.decode(part) for part in parts)
    except ValueError:
        good = False
    if not good:
        raise Problem("malformed", f"{certid!r} identifies no certificate (RFC 9773 §4.1)",
                      rule="ari-certid")
    issued = world.by_certid.get(certid)
    if issued is None:
        raise Problem("malformed", "that certificate is not of this server", status=404)
    return issued


def current_window(world, issued):
    """As told: what a test has set, or what the certificate says."""
    told = world.windows.get(issued.certid) or world.windows.get("all")
    if told and "start_s" in told:
        return told["start_s"], told["end_s"]
    return window(issued, world.clock.now())


def renewal_info(world, request):
    if not world.settings.renewal_info:
        raise Problem("malformed", "no renewal information is offered", status=404,
                      rule="ari-not-offered")
    issued = _find(world, request.ident)
    if world.clock.now() > issued.not_after_s:
        world.breach("ari-late", "renewal information was asked for a certificate that "
                     "has expired (RFC 9773 §4.3.1)", request)
    elif issued.replaced_by is not None and issued.replaced_by.certificate is not None:
        world.breach("ari-late", "renewal information was asked for a certificate that is "
                     "replaced (RFC 9773 §4.3.1)", request)
    told = world.windows.get(issued.certid) or world.windows.get("all") or {}
    headers = {"Retry-After": str(told.get("retry_after_s",
                                           world.settings.ari_retry_after_s))}
    if "raw" in told:
        return Reply(body=told["raw"], headers=headers)
    start_s, end_s = current_window(world, issued)
    body = {"suggestedWindow": {"start": rfc3339(start_s), "end": rfc3339(end_s)}}
    if "explanation" in told:
        body["explanationURL"] = told["explanation"]
    return Reply(body=body, headers=headers)


def replaced(world, request, identifiers):
    """The certificate that a newOrder replaces, or None (RFC 9773 §5)."""
    if "replaces" not in request.payload:
        return None
    if not world.settings.renewal_info:
        raise Problem("malformed", "replaces is not known here: the directory offers no "
                      "renewal information", rule="ari-not-offered")
    issued = _find(world, request.payload["replaces"])
    if issued.account is not request.account:
        raise Problem("unauthorized", "the certificate to replace is of another account",
                      rule="ari-replaces")
    if not any(one in issued.identifiers for one in identifiers):
        raise Problem("malformed", "the certificate to replace shares no identifier with "
                      "the order", rule="ari-replaces")
    old = issued.replaced_by
    if old is not None and old.status(world.clock.now()) != "invalid":
        raise Problem("alreadyReplaced", f"the certificate is replaced by order {old.ident}")
    return issued


def is_exempt(world, issued):
    """From all limits: a replacement inside the window."""
    if issued is None:
        return False
    start_s, end_s = current_window(world, issued)
    return start_s <= world.clock.now() < end_s
