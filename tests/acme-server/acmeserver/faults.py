# SPDX-License-Identifier: Apache-2.0
# Copyright (C) 2026 The certfs authors
"""The language of faults: at the Nth request of a kind, answer otherwise.

    KIND[@WHICH] [for NAME]: ANSWER [ARGUMENT…] [KEY=VALUE…] [done]

KIND is a kind of request (`newOrder`, `authz`, …; server.KINDS), or `*`. WHICH counts the
requests that match since the fault was set: `3` is the third, `2-4` three of them, `2+` all
from the second; without it, all. `for NAME` matches requests that are about this name. Of
several faults that hold, the first is taken; all of them count on.

The request is checked as any other, so a fault hides no violation. With `done` the step is
taken before its answer gets lost; without, it has not been taken. ANSWER is one of

    problem TYPE      a problem document. detail= status= instance= retry-after=, and
                      sub=TYPE/NAME/DETAIL for each subproblem
    badNonce          a problem of this type
    paused            rateLimited without Retry-After, which only a person ends
    status CODE       with a page that is no problem document. retry-after=, type=, body=
    nothing           the connection is held, and nothing comes
    close, reset      the connection ends, in peace or not
    half              half of the true answer's body, then the end
    drip              the true answer, byte by byte. every= seconds (0.05)
    endless           a body without an end
    type CONTENT/TYPE the true answer, as another type
    set KEY=VALUE…    the true answer with other members (JSON, or else a string)
    drop MEMBER…      the true answer without these members
    header KEY=VALUE… the true answer with other header fields; none where VALUE is empty
    chain HOW         another chain: key, name, expired, issuer, garbage, empty, bare, long,
                      with-key (ca.COUNTERFEITS)
    window START END  renewal information with this window, from now: -2d -1d. retry-after=

retry-after=120 is sent as seconds, retry-after=date:120 as a date, anything else as it is.
All but `true answer` faults keep the Replay-Nonce that a problem document has; `nonce=no`
leaves it out.
"""

import dataclasses
import json
import re
import shlex

from .ca import COUNTERFEITS
from .clock import rfc3339
from .problems import STATUS, Problem, subproblem
from .web import Reply, of_problem

# Those that need the true answer, and those after which the client can't know what was done.
TRUE = ("half", "drip", "type", "set", "drop", "header", "chain")
LOST = ("status", "nothing", "close", "reset", "half", "endless", "type")
BARE = ("badNonce", "paused", "nothing", "close", "reset", "half", "drip", "endless")
ANSWERS = (*BARE, "problem", "status", "type", "set", "drop", "header", "chain", "window")

RULE = re.compile(r"(?P<kind>[\w*]+)(?:@(?P<first>\d+)(?P<more>\+|-(?P<last>\d+))?)?"
                  r"(?: +for +(?P<name>[^\s]+?))?\s*:\s+(?P<rest>.+)", re.DOTALL)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def duration(text):
    match = re.fullmatch(r"([+-]?\d+(?:\.\d+)?)([smhd]?)", text)
    if not match:
        raise ValueError(f"{text!r} is no duration such as 90, 5m, -2d")
    return float(match[1]) * UNITS[match[2] or "s"]


@dataclasses.dataclass
class Fault:
    text: str
    kind: str
    first: int
    last: int
    name: str
    answer: str
    arguments: list
    options: dict
    subs: list
    done: bool
    seen: int = 0
    hits: int = 0

    def holds(self, request):
        """Counts the request; is it one of those?"""
        if self.kind not in ("*", request.kind):
            return False
        if self.name and self.name not in request.names:
            return False
        self.seen += 1
        if self.seen < self.first or (self.last and self.seen > self.last):
            return False
        return True

    @property
    def argument(self):
        return self.arguments[0]

    @property
    def takes_step(self):
        return self.done or self.answer in TRUE

    @property
    def loses_answer(self):
        return self.done or self.answer in LOST


def parse(text, kinds):
    """ValueError with a sentence when it is no fault."""
    match = RULE.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no fault: KIND[@WHICH] [for NAME]: ANSWER …")
    if match["kind"] != "*" and match["kind"] not in kinds:
        raise ValueError(f"there are no requests of kind {match['kind']!r}; there are "
                         f"{', '.join(kinds)}")
    answer, *words = shlex.split(match["rest"])
    if answer not in ANSWERS:
        raise ValueError(f"{answer!r} is no answer; there are {', '.join(ANSWERS)}")
    done = "done" in words
    pairs = [word.partition("=") for word in words if "=" in word]
    arguments = [word for word in words if "=" not in word and word != "done"]
    first = int(match["first"] or 1)
    last = (int(match["last"]) if match["last"] else
            first if match["first"] and not match["more"] else 0)
    fault = Fault(text, match["kind"], first, last, match["name"], answer, arguments,
                  {key: value for key, _, value in pairs if key != "sub"},
                  [value for key, _, value in pairs if key == "sub"], done)
    _check(fault)
    return fault


def _check(fault):
    wanted = 0 if fault.answer in (*BARE, "set", "header") else 1
    if fault.answer == "window":
        wanted = 2
    if len(fault.arguments) < wanted or (wanted == 0 and fault.arguments):
        raise ValueError(f"{fault.text!r}: {fault.answer} takes {wanted or 'no'} argument(s)")
    if fault.answer == "problem" and fault.argument not in STATUS:
        raise ValueError(f"{fault.argument!r} is no type of problem")
    if fault.answer == "chain" and fault.argument not in COUNTERFEITS:
        raise ValueError(f"{fault.argument!r} is no chain; there are {COUNTERFEITS}")
    if fault.answer == "status":
        int(fault.argument)
    if fault.answer == "window":
        fault.window = [duration(one) for one in fault.arguments]


def _headers(world, fault):
    wanted = fault.options.get("retry-after")
    if wanted is None:
        return {}
    if wanted.startswith("date:"):
        return {"Retry-After": world.clock.http_date(float(wanted.removeprefix("date:")))}
    return {"Retry-After": wanted}


def _problem(world, request, fault):
    if fault.answer == "badNonce":
        return Problem("badNonce", "the nonce was refused by a fault")
    if fault.answer == "paused":
        return Problem("rateLimited", "Your account is temporarily prevented from requesting "
                       f"certificates for {', '.join(request.names) or 'names'} and possibly "
                       f"others. Please visit: {world.url('unpause', 'here')}")
    subs = []
    for one in fault.subs:
        kind, name, detail = one.split("/", 2)
        subs.append(subproblem(kind, detail, {"type": "dns", "value": name}))
    members = {"subproblems": subs} if subs else {}
    if "instance" in fault.options:
        members["instance"] = fault.options["instance"]
    return Problem(fault.argument, fault.options.get("detail", "refused by a fault"),
                   status=int(fault.options.get("status", 0)) or None,
                   headers=_headers(world, fault), **members)


def _value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def alter(world, request, fault, reply):
    """The reply that the fault makes of the true one (None where the step was not taken).
    What concerns the connection (nothing, close, reset, half, drip, endless) is the
    server's to do."""
    answer = fault.answer
    if answer in ("problem", "badNonce", "paused"):
        return of_problem(_problem(world, request, fault))
    if answer == "status":
        return Reply(int(fault.argument), fault.options.get("body", "<html>sorry</html>"),
                     _headers(world, fault), fault.options.get("type", "text/html"))
    if answer == "window":
        start_s, end_s = (world.clock.now() + one for one in fault.window)
        return Reply(body={"suggestedWindow": {"start": rfc3339(start_s),
                                               "end": rfc3339(end_s)}},
                     headers=_headers(world, fault) or {"Retry-After": "21600"})
    if answer == "type":
        return dataclasses.replace(reply, content_type=fault.argument)
    if answer == "header":
        headers = {**reply.headers, **fault.options}
        return dataclasses.replace(reply, headers={k: v for k, v in headers.items() if v})
    if answer == "chain" and reply.status == 200:
        issued = world.certificates[request.ident.partition(".")[0]]
        profile = world.settings.profiles[issued.order.profile]
        return dataclasses.replace(reply, body=world.authority.counterfeit(
            issued, profile, fault.argument, world.clock.now()))
    if answer in ("set", "drop") and isinstance(reply.body, dict):
        body = {k: v for k, v in reply.body.items()
                if answer == "set" or k not in fault.arguments}
        if answer == "set":
            body.update({k: _value(v) for k, v in fault.options.items()})
        world.lied.add(request.ident)
        return dataclasses.replace(reply, body=body)
    return reply


class Faults:
    def __init__(self):
        self.all = []

    def add(self, text, kinds):
        self.all.append(parse(text, kinds))

    def of(self, request):
        """The fault for this request, or None."""
        holding = [fault for fault in self.all if fault.holds(request)]
        if not holding:
            return None
        holding[0].hits += 1
        return holding[0]
