# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""Rate limits: token buckets as Let's Encrypt publishes and names them; none by default.

A bucket holds `count` tokens and gets one back each period/count seconds. By the server's
clock; a limit that is not set doesn't hold.

    new-accounts          a peer's address      10 in 3 h
    new-orders            an account           300 in 3 h
    certificates          a registered domain   50 in 7 d
    same-names            a set of identifiers   5 in 7 d
    failed-validations    account and name       5 in 1 h
    paused                account and name   1,152 failures in a row; one forgiven a day
    requests/KIND         a peer's address      (count, burst) a second: 503

Over a limit: 429 rateLimited with Retry-After and a link to the documentation. Over
`paused`: 429 without Retry-After, for only a person ends that. A renewal that replaces a
certificate inside its window is under no limit; one of the same names is not under
new-orders and certificates. What counts for `certificates` and `same-names` is what was
issued; an order is refused by them where one more would be too many.
"""

import dataclasses
import ipaddress
import math

from .clock import as_date
from .problems import Problem

HELP = "https://letsencrypt.org/docs/rate-limits"
HOUR, DAY = 3600, 24 * 3600

LETS_ENCRYPT = {"new-accounts": (10, 3 * HOUR), "new-orders": (300, 3 * HOUR),
                "certificates": (50, 7 * DAY), "same-names": (5, 7 * DAY),
                "failed-validations": (5, HOUR), "paused": (1152, 1152 * DAY),
                "requests/newNonce": (10, 0.5), "requests/newAccount": (15, 3),
                "requests/newOrder": (200, 2 / 3), "requests/revokeCert": (100, 10),
                "requests/renewalInfo": (100, 0.1), "requests/directory": (40, 1),
                "requests/other": (125, 0.5)}
SAME_WITHIN_S = 120 * DAY


@dataclasses.dataclass
class Bucket:
    """`used` tokens at the moment `at_s`."""
    used: float = 0.0
    at_s: float = 0.0


class Limits:
    def __init__(self, clock):
        self.clock, self.rules, self.suffixes = clock, {}, set()
        self._buckets, self._issued = {}, {}

    def set(self, rules):
        """{name: (count, period in seconds)}; buckets that exist keep what is in them."""
        self.rules = {name: tuple(rule) for name, rule in rules.items()}

    def clear(self):
        self._buckets.clear()

    def registered_domain(self, value):
        """One label more than the public suffix: the last one, or one of `suffixes`."""
        try:
            address = ipaddress.ip_address(value)
            return (str(ipaddress.ip_network((address, 64), strict=False))
                    if address.version == 6 else value)
        except ValueError:
            labels = value.removeprefix("*.").split(".")
        for start in range(1, len(labels)):
            if ".".join(labels[start:]) in self.suffixes:
                return ".".join(labels[start - 1:])
        return ".".join(labels[-2:])

    def _bucket(self, name, key):
        count, period_s = self.rules[name]
        bucket, now_s = self._buckets.setdefault((name, key), Bucket()), self.clock.now()
        gone_s = max(0.0, now_s - bucket.at_s)
        bucket.used, bucket.at_s = max(0.0, bucket.used - gone_s * count / period_s), now_s
        return bucket

    def wait_s(self, name, key):
        """0 when there is a token, else how long until there is one."""
        if name not in self.rules:
            return 0
        count, period_s = self.rules[name]
        over = self._bucket(name, key).used + 1 - count
        return over * period_s / count if over > 1e-9 else 0

    def take(self, name, key):
        if name in self.rules:
            self._bucket(name, key).used += 1

    def _check(self, name, key, text):
        wait_s = self.wait_s(name, key)
        if wait_s:
            until = as_date(self.clock.now() + wait_s)
            raise Problem("rateLimited", f"{text}, retry after {until} UTC: see {HELP}",
                          headers={"Retry-After": str(math.ceil(wait_s)),
                                   "Link": f'<{HELP}>;rel="help"'})

    # What the server tells

    def request(self, kind, peer):
        """Seconds to wait, or 0: every request comes by here."""
        name = f"requests/{kind}"
        if name not in self.rules:
            name = "requests/other"
        wait_s = self.wait_s(name, peer)
        if not wait_s:
            self.take(name, peer)
        return math.ceil(wait_s)

    def new_account(self, _, request):
        count = self.rules.get("new-accounts", (0, 0))[0]
        self._check("new-accounts", request.peer, "too many new registrations "
                    f"({count}) from this IP address in the last 3h0m0s")
        self.take("new-accounts", request.peer)

    def new_order(self, world, account, identifiers, exempt):
        """Returns the tokens that its certificate will take."""
        values = sorted(one["value"] for one in identifiers)
        for value in values:
            if self.wait_s("paused", (account.ident, value)):
                raise Problem("rateLimited", "Your account is temporarily prevented from "
                              f"requesting certificates for {value} and possibly others. "
                              f"Please visit: {world.url('unpause', account.ident)}")
        if exempt:
            return []
        names = ",".join(values)
        renewal = self.clock.now() - self._issued.get(names, -math.inf) < SAME_WITHIN_S
        wanted = [("same-names", names, "certificates (%d) already issued for this exact set "
                   f"of identifiers in the last 168h0m0s: {names}")]
        for value in values:
            self._check("failed-validations", (account.ident, value), "too many failed "
                        f"authorizations ({self._count('failed-validations')}) for {value!r} "
                        "in the last 1h0m0s")
        if not renewal:
            wanted.append(("new-orders", account.ident, "new orders (%d) from this account in "
                           "the last 3h0m0s"))
            for domain in sorted({self.registered_domain(value) for value in values}):
                wanted.append(("certificates", domain, "certificates (%d) already issued for "
                               f"{domain!r} in the last 168h0m0s"))
        for name, key, text in wanted:
            self._check(name, key, "too many " + text % self._count(name))
        if not renewal:
            self.take("new-orders", account.ident)
        return [(name, key) for name, key, _ in wanted if name != "new-orders"]

    def _count(self, name):
        return self.rules.get(name, (0, 0))[0]

    def failed(self, account, value):
        self.take("failed-validations", (account.ident, value))
        self.take("paused", (account.ident, value))

    def succeeded(self, account, value):
        self._buckets.pop(("paused", (account.ident, value)), None)

    def issued(self, order):
        names = ",".join(sorted(one["value"] for one in order.identifiers))
        self._issued[names] = self.clock.now()
        for name, key in order.counted:
            if not self.wait_s(name, key):
                self.take(name, key)
