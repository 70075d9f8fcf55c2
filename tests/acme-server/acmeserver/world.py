# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""All that one server knows, and its settings.

Everything is in memory: a server that is started anew knows no account, order or nonce.
"""

import asyncio
import dataclasses
import secrets

from . import profiles
from .ca import Authority
from .clock import Clock
from .faults import Faults
from .jws import thumbprint
from .limits import Limits
from .nonces import Nonces
from .problems import Violation
from .validation import Validator


@dataclasses.dataclass
class Settings:
    """What a test may change at any time (PATCH /settings).

    `validation_polls`: how many looks at an authorization don't show the validation's
    result yet; `issuance_polls`: the same of an order that is being issued; `finalize_valid`:
    the answer to finalize has the certificate already. `poll_retry_after`: seconds, sent
    with what is being processed, as a date where `retry_after_date`."""
    terms: str = "https://example.com/terms/1"
    offer_profiles: bool = True
    default_profile: str = "classic"
    profiles: dict = dataclasses.field(default_factory=profiles.lets_encrypt)
    renewal_info: bool = True
    ari_retry_after_s: int = 21600
    authz_reuse: bool = True
    order_reuse: bool = True
    challenge_processing: bool = False
    validation_polls: int = 0
    issuance_polls: int = 0
    finalize_valid: bool = False
    poll_retry_after: int = None
    retry_after_date: bool = False
    binding_keys: dict = dataclasses.field(default_factory=dict)

    def change(self, values):
        """ValueError for what is no setting. Profiles are given with what is other."""
        known = {field.name for field in dataclasses.fields(self)}
        for name, value in values.items():
            if name not in known:
                raise ValueError(f"there is no setting {name!r}; there are {sorted(known)}")
            if name == "profiles":
                value = {**self.profiles, **{one: profiles.Profile(**how)
                                             for one, how in value.items()}}
            setattr(self, name, value)


class World:
    def __init__(self, base, clock=None, validator=None, roots=1):
        self.base = base
        self.prefix = secrets.token_hex(4)  # nobody can guess an address
        self.clock = clock or Clock()
        self.validator = validator or Validator()
        self.authority = Authority("Scripted CA", self.clock.now(), roots)
        self.ended = asyncio.Event()
        self.begin()

    def begin(self):
        """As new, but for the authority and for addresses."""
        self.clock.offset_s = 0.0
        self.settings, self.nonces = Settings(), Nonces()
        self.limits, self.faults = Limits(self.clock), Faults()
        self.accounts, self.forgotten = {}, set()  # by thumbprint; idents
        self.orders, self.authorizations, self.challenges = {}, {}, {}
        self.certificates, self.by_certid, self.windows = {}, {}, {}
        self.log, self.violations, self.validations = [], [], []
        self.not_before, self.lied = {}, set()
        self.uncertain, self.lost = set(), set()  # addresses, nonces of answers lost by faults
        self.validating = {}
        self.poured = 0  # bytes of endless answers

    def url(self, kind, ident=None):
        if kind == "directory":
            return f"{self.base}/directory"
        path = f"{self.base}/{self.prefix}/{kind}"
        return f"{path}/{ident}" if ident else path

    @staticmethod
    def new_ident():
        return secrets.token_hex(8)

    @staticmethod
    def new_token():
        return secrets.token_urlsafe(32)

    def breach(self, rule, text, request):
        self.violations.append(Violation(rule, text, request.number, request.kind))

    def poll_headers(self):
        wait_s = self.settings.poll_retry_after
        if wait_s is None:
            return {}
        if self.settings.retry_after_date:
            return {"Retry-After": self.clock.http_date(wait_s)}
        return {"Retry-After": str(wait_s)}

    def authorizations_of(self, account):
        return [one for one in self.authorizations.values() if one.account is account]

    def lied_about(self, ident):
        return ident in self.lied

    def validate(self, challenge):
        """Begins the validation; orders.settle() shows its result."""
        task = asyncio.get_running_loop().create_task(self._validate(challenge))
        self.validating[challenge.ident] = task
        task.add_done_callback(lambda _: self.validating.pop(challenge.ident, None))

    async def _validate(self, challenge):
        authorization = challenge.authorization
        error = await self.validator.validate(
            challenge.type, authorization.identifier, challenge.token,
            thumbprint(authorization.account.jwk))
        now_s = self.clock.now()
        self.validations.append({"name": authorization.identifier["value"],
                                 "type": challenge.type, "token": challenge.token,
                                 "error": error})
        authorization.result = (challenge, error, None if error else now_s)

    def looked_at(self, request):
        """The challenges that a request shows or whose state it depends on."""
        if request.kind == "challenge":
            one = self.challenges.get(request.ident)
            return [one] if one else []
        if request.kind == "authz":
            authorizations = [self.authorizations.get(request.ident)]
        else:
            one = self.orders.get(request.ident) if request.kind == "order" else None
            authorizations = one.authorizations if one else []
        return [each for one in authorizations if one for each in one.challenges]

    def about(self, request):
        """The names that a request is about, as far as can be told before it is handled."""
        table = {"order": self.orders, "finalize": self.orders,
                 "authz": self.authorizations, "challenge": self.challenges,
                 "certificate": self.certificates}.get(request.kind)
        if request.kind == "newOrder":
            asked = (request.payload or {}).get("identifiers")
            return [one.get("value") for one in asked if isinstance(one, dict)] if isinstance(
                asked, list) else []
        one = table.get(request.ident.partition(".")[0]) if table is not None else None
        if one is None:
            return []
        if request.kind == "challenge":
            one = one.authorization
        if hasattr(one, "identifiers"):
            return [each["value"] for each in one.identifiers]
        return [one.identifier["value"]]
