# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""What a test reaches: plain HTTP with JSON, on a port of its own.

    GET    /requests          {"counts": {KIND: n}, "log": [...]}
    DELETE /requests          empties the log
    GET    /violations        [{"rule", "text", "request", "kind"}]
    DELETE /violations
    GET    /validations       [{"name", "type", "token", "error"}]
    POST   /faults            "TEXT" or ["TEXT", ...] in the language of faults
    GET    /faults            [{"text", "seen", "hits"}]
    DELETE /faults
    POST   /clock             {"offset_s": n} or {"advance_s": n}; {"now_s": n}
    GET    /settings          what may be changed
    PATCH  /settings          {NAME: value}
    PUT    /limits            {NAME: [count, period_s]}, or "letsencrypt", or {} for none
    PUT    /suffixes          ["co.uk", ...]: public suffixes of more than one label
    PUT    /windows           {CERTID or "all": {"start_s", "end_s", "retry_after_s",
                              "explanation", "raw"}}
    POST   /accounts/forget   {"account": IDENT}, or {} for all
    POST   /nonces/forget     all that were given out are bad now
    POST   /revoke            {"certid": …}, as after an incident
    GET    /roots/N           a root of the certificates, PEM
    GET    /certificates      [{"ident", "certid", "names", "profile", …}]
    POST   /reset             all of the above as new; roots and addresses stay
    GET    /poured            bytes of endless answers that were sent
"""

import collections
import dataclasses

from aiohttp import web

from . import accounts, limits
from .ca import pem
from .server import KINDS


class Control:
    def __init__(self, world):
        self.world = world
        self.app = web.Application()
        for method, path, handler in (
                ("GET", "/requests", self.requests), ("DELETE", "/requests", self.forget_log),
                ("GET", "/violations", self.violations),
                ("DELETE", "/violations", self.forget_violations),
                ("GET", "/validations", self.validations),
                ("GET", "/faults", self.faults), ("POST", "/faults", self.add_faults),
                ("DELETE", "/faults", self.clear_faults), ("POST", "/clock", self.clock),
                ("GET", "/settings", self.settings), ("PATCH", "/settings", self.change),
                ("POST", "/reset", self.reset), ("PUT", "/limits", self.limits),
                ("PUT", "/suffixes", self.suffixes),
                ("PUT", "/windows", self.windows), ("POST", "/revoke", self.revoke),
                ("POST", "/accounts/forget", self.forget_accounts),
                ("POST", "/nonces/forget", self.forget_nonces),
                ("GET", "/certificates", self.certificates), ("GET", "/poured", self.poured),
                ("GET", "/roots/{number}", self.root)):
            self.app.router.add_route(method, path, self._answering(handler))

    @staticmethod
    def _answering(handler):
        async def answer(http):
            try:
                sent = await http.json() if http.can_read_body else None
                found = handler(sent, http)
            except (ValueError, TypeError, KeyError, IndexError) as error:
                return web.json_response({"error": str(error)}, status=400)
            return found if isinstance(found, web.Response) else web.json_response(found)
        return answer

    # What happened

    def requests(self, *_):
        counts = collections.Counter(one["kind"] for one in self.world.log)
        return {"counts": counts, "log": self.world.log}

    def forget_log(self, *_):
        self.world.log.clear()

    def violations(self, *_):
        return [dataclasses.asdict(one) for one in self.world.violations]

    def forget_violations(self, *_):
        self.world.violations.clear()

    def validations(self, *_):
        return self.world.validations

    def poured(self, *_):
        return self.world.poured

    def root(self, _, http):
        number = int(http.match_info["number"])
        return web.Response(body=pem(self.world.authority.roots[number]),
                            content_type="application/x-pem-file")

    def certificates(self, *_):
        return [{"ident": one.ident, "certid": one.certid, "profile": one.order.profile,
                 "names": [each["value"] for each in one.identifiers],
                 "not_before_s": one.not_before_s, "not_after_s": one.not_after_s,
                 "revoked": one.revoked,
                 "replaces": one.order.replaces and one.order.replaces.certid}
                for one in self.world.certificates.values()]

    # What shall happen

    def faults(self, *_):
        return [{"text": one.text, "seen": one.seen, "hits": one.hits}
                for one in self.world.faults.all]

    def add_faults(self, sent, _):
        for text in [sent] if isinstance(sent, str) else sent:
            self.world.faults.add(text, KINDS)

    def clear_faults(self, *_):
        self.world.faults.all.clear()

    def clock(self, sent, _):
        clock = self.world.clock
        clock.offset_s = sent.get("offset_s", clock.offset_s) + sent.get("advance_s", 0)
        return {"now_s": clock.now(), "offset_s": clock.offset_s}

    def settings(self, *_):
        return dataclasses.asdict(self.world.settings)

    def change(self, sent, _):
        self.world.settings.change(sent)

    def limits(self, sent, _):
        self.world.limits.set(limits.LETS_ENCRYPT if sent == "letsencrypt" else sent)
        if not sent:
            self.world.limits.clear()

    def suffixes(self, sent, _):
        self.world.limits.suffixes = set(sent)

    def windows(self, sent, _):
        self.world.windows = sent

    def forget_accounts(self, sent, _):
        return accounts.forget(self.world, (sent or {}).get("account", "all"))

    def forget_nonces(self, *_):
        self.world.nonces.forget()

    def reset(self, *_):
        self.world.begin()

    def revoke(self, sent, _):
        self.world.by_certid[sent["certid"]].revoked = True
