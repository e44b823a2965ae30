"""A client: asks one controller after the other until one answers, and records what came of it.

That is what a caller of the API should do: the same request again, with the same id or Idempotency-Key, at
another address. Sometimes it hangs up before the answer, and sometimes it sends a request to two controllers
at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.rest import Answer
from tests.history.op import MARK, Kind, Op, Outcome, Seen
from tests.history.recorder import History
from tests.history.wire import Lost, NotSent, Wire

PATIENCE_S = 20.0
PAUSE_S = 0.1
GONE_POLL_S = 0.05
NOT_NOW = frozenset({429, 503})
ONE = "/v1/endpoints"
MANY = "/v1/endpoints:batch"
NOBODY_THERE = "not-found"


@dataclass(frozen=True, slots=True)
class Wanted:
    """An endpoint that is to be made."""

    id: str
    asked: Mapping[str, Any]
    """What the body says of node, pools, addresses and tenant."""
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a request is sent."""

    key: str = ""
    """The Idempotency-Key from which the ids follow; else the body names them."""
    hang_up: bool = False
    """Before the first answer."""
    twice: bool = False
    """To two controllers at once, the first time."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes with each attempt."""
        return {"Idempotency-Key": self.key} if self.key else {}


PLAIN = Manner()


@dataclass(slots=True)
class _Said:
    """What was heard of a request, in all its attempts."""

    heard: list[Answer] = field(default_factory=list)
    """The answers, save those that only say "not now"."""
    done: bool = False
    """The last of them leaves nothing open."""
    loose: bool = False
    attempts: int = 0

    @property
    def answer(self) -> Answer | None:
        """The one that counts; None when there was none in all the time."""
        made = [answer for answer in self.heard if answer.ok]
        return (made or self.heard)[-1] if self.done else None


class Client:
    """One client with a connection to each controller. For one thread."""

    def __init__(self, number: int, wires: Sequence[Wire], history: History) -> None:
        self.number = number
        self._wires = tuple(wires)
        self._next = number
        self._history = history
        self._idle = threading.Event()

    def assign(self, wanted: Wanted, manner: Manner = PLAIN) -> Op:
        """Ask for an endpoint."""
        begun = time.monotonic()
        said = self._ask("POST", ONE, _body(wanted, manner), manner)
        return self._record(Kind.ASSIGN, wanted.id, begun, said, wanted.asked)

    def assign_many(
        self, name: str, many: Sequence[Wanted], manner: Manner = PLAIN, *, atomic: bool = False
    ) -> list[Op]:
        """Ask for endpoints in one request: one operation of each, with the name of the batch."""
        begun = time.monotonic()
        body = {"items": [_body(each, manner) for each in many], "atomic": atomic}
        said = self._ask("POST", MANY, body, manner, _all_answered)
        ended = time.monotonic()
        return [
            self._history.record(
                Op(
                    self.number,
                    Kind.ASSIGN,
                    each.id,
                    begun,
                    ended,
                    attempts=said.attempts,
                    asked=dict(each.asked),
                    batch=name,
                    part=part,
                    atomic=atomic,
                    **_of_item(said, part, twice=manner.twice),
                )
            )
            for part, each in enumerate(many)
        ]

    def read(self, name: str) -> Op:
        """Read an endpoint."""
        begun = time.monotonic()
        said = self._ask("GET", f"{ONE}/{name}")
        said.loose = False
        return self._record(Kind.READ, name, begun, said)

    def move(self, name: str, node: str, manner: Manner = PLAIN) -> Op:
        """Move an endpoint."""
        begun = time.monotonic()
        said = self._ask("PATCH", f"{ONE}/{name}", {"node": node}, manner)
        return self._record(Kind.MOVE, name, begun, said, {"node": node})

    def relabel(self, name: str, mark: str, manner: Manner = PLAIN) -> Op:
        """Change a label of an endpoint."""
        begun = time.monotonic()
        said = self._ask("PATCH", f"{ONE}/{name}", {"labels": {MARK: mark}}, manner)
        return self._record(Kind.RELABEL, name, begun, said, {MARK: mark})

    def release(self, name: str, uid: str | None, manner: Manner = PLAIN) -> Op:
        """Delete an endpoint, if it is the one that has this uid, and wait until it is gone."""
        begun = time.monotonic()
        path = f"{ONE}/{name}"
        said = self._ask("DELETE", f"{path}?uid={uid}" if uid else path, None, manner)
        until = begun + PATIENCE_S
        while said.answer is not None and said.answer.status in {200, 202}:
            if time.monotonic() > until:
                said.done = False
                break
            self._idle.wait(GONE_POLL_S)
            look = self._ask("GET", path).answer
            said.done = look is not None
            if look is not None:
                # Only the answer to the DELETE says whether it was there at the beginning. An earlier attempt
                # to assign it, which got no answer, may make it anew: that is another one.
                gone = look.status == 404 or (look.ok and look.body["uid"] != said.answer.body["uid"])
                said.heard = [Answer(204, None, {}) if gone else look]
        return self._record(Kind.RELEASE, name, begun, said)

    def close(self) -> None:
        """Hang up."""
        for wire in self._wires:
            wire.close()

    def _ask(
        self,
        method: str,
        path: str,
        body: object = None,
        manner: Manner = PLAIN,
        complete: Callable[[Answer], bool] = lambda answer: True,
    ) -> _Said:
        """Ask until somebody answers; "not now" is no answer, nor is one that is not `complete`."""
        said = self._twice(path, body, manner, complete) if manner.twice else _Said()
        until = time.monotonic() + PATIENCE_S
        while not said.done and (said.attempts == 0 or time.monotonic() < until):
            said.attempts += 1
            hangs_up = manner.hang_up and said.attempts == 1
            try:
                answer = self._wire().request(method, path, body, manner.headers, hang_up=hangs_up)
            except NotSent:
                pass
            except Lost:
                said.loose = True
            else:
                if answer.status not in NOT_NOW:
                    said.heard.append(answer)
                    said.done = complete(answer)
                    if said.done:
                        break
                said.loose = True
            self._next += 1
            if not hangs_up:
                self._idle.wait(PAUSE_S)
        return said

    def _twice(self, path: str, body: object, manner: Manner, complete: Callable[[Answer], bool]) -> _Said:
        """Send one request to two controllers, then read both answers."""
        said = _Said(attempts=2)
        pending = []
        for number in (self._next, self._next + 1):
            wire = self._wires[number % len(self._wires)]
            try:
                pending.append((wire, wire.send("POST", path, body, manner.headers)))
            except NotSent:
                continue
            except Lost:
                said.loose = True
        answers = []
        for wire, connection in pending:
            try:
                answers.append(wire.read(connection))
            except Lost:
                said.loose = True
        said.heard = [answer for answer in answers if answer.status not in NOT_NOW]
        said.loose |= not all(answer in said.heard and complete(answer) for answer in answers)
        # Refused here and done there: refused for what the other was just doing. So a lone refusal is none.
        said.done = any(answer.ok and complete(answer) for answer in said.heard) or (
            0 < len(said.heard) == len(pending) and all(map(complete, said.heard))
        )
        return said

    def _wire(self) -> Wire:
        return self._wires[self._next % len(self._wires)]

    def _record(
        self, kind: Kind, name: str, begun: float, said: _Said, asked: Mapping[str, Any] | None = None
    ) -> Op:
        answer = said.answer
        why = _why(answer)
        outcome = Outcome.UNKNOWN if answer is None or answer.status >= 500 else Outcome.REFUSED
        if answer is not None and (answer.ok or (why == NOBODY_THERE and kind in {Kind.READ, Kind.RELEASE})):
            outcome = Outcome.OK
        shown = [each.body for each in said.heard if said.done and each.ok and each.body]
        return self._history.record(
            Op(
                self.number,
                kind,
                name,
                begun,
                time.monotonic(),
                outcome,
                said.loose,
                said.attempts,
                dict(asked or {}),
                tuple(map(Seen.of, shown)),
                why,
            )
        )


def _body(wanted: Wanted, manner: Manner) -> dict[str, Any]:
    named = {} if manner.key else {"id": wanted.id}
    return {**named, **wanted.asked, "labels": dict(wanted.labels)}


def _all_answered(answer: Answer) -> bool:
    """Whether no item of a batch was told to come back."""
    return not answer.ok or all(item["status"] not in NOT_NOW for item in answer.body["items"])


def _of_item(said: _Said, part: int, *, twice: bool) -> dict[str, Any]:
    """Outcome, loose, what was seen and why, of one item of a batch."""
    seen: list[Seen] = []
    outcome, why = Outcome.UNKNOWN, ""
    for answer in said.heard:
        item = answer.body["items"][part] if answer.ok else {"status": answer.status, "problem": answer.body}
        if item["status"] in NOT_NOW:
            continue
        if item["status"] < 300:
            seen.append(Seen.of(item["endpoint"]))
            outcome, why = Outcome.OK, ""
        elif not (seen and twice):
            # Having been made it is refused: that is for the checker. But not when both came at once.
            outcome = Outcome.REFUSED if item["status"] < 500 else Outcome.UNKNOWN
            why = _type(item["problem"])
    return {"outcome": outcome, "loose": said.loose, "seen": tuple(seen), "why": why}


def _why(answer: Answer | None) -> str:
    """The type of the problem that an answer is."""
    return "" if answer is None or answer.ok else _type(answer.body)


def _type(body: object) -> str:
    """Of a problem."""
    return str(body.get("type", "")).rpartition("/")[2] if isinstance(body, dict) else ""
