"""What a client did and what came of it: one line of the history."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Self

MARK = "mark"
"""The label that clients change."""


class Kind(StrEnum):
    """What was asked for."""

    ASSIGN = "assign"
    RELEASE = "release"
    MOVE = "move"
    RELABEL = "relabel"
    READ = "read"


class Outcome(StrEnum):
    """What is known of an operation when its client goes on."""

    OK = "ok"
    REFUSED = "refused"
    """Not done, and the answer says why."""
    UNKNOWN = "unknown"
    """No answer in all the time that the client had."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An endpoint as an answer showed it."""

    uid: str
    node: str
    addresses: tuple[str, ...]
    mark: str = ""
    """A label that is changed."""
    releasing: bool = False

    @classmethod
    def of(cls, body: Any) -> Self:
        """From the body of an answer."""
        mark, releasing = body["labels"].get(MARK, ""), body["state"] == "releasing"
        return cls(body["uid"], body["node"], tuple(body["addresses"]), mark, releasing)


@dataclass(frozen=True, slots=True)
class Op:
    """One operation with all its attempts. Only one client ever asks for an endpoint, one thing at a time."""

    client: int
    kind: Kind
    id: str
    begun: float
    """Before the first attempt was sent, on the clock that all clients share, in seconds."""
    ended: float
    """After the answer was read, or when the client gave up."""
    outcome: Outcome
    loose: bool = False
    """An attempt was sent that nobody has the result of: it may take effect at any later time."""
    attempts: int = 1
    asked: dict[str, Any] = field(default_factory=dict)
    """What a body said: `node` or `mark`, and for an assignment `pools`, `addresses`, `tenant`."""
    seen: tuple[Seen, ...] = ()
    """The endpoint: none when it is not there, several when the same request was answered several times."""
    why: str = ""
    """Of a refusal: the type of the problem."""
    batch: str = ""
    """The request that asked for this one together with others."""
    part: int = 0
    """Which of them it is, from 0."""
    atomic: bool = False
    """All of them or none."""

    def line(self) -> str:
        """As JSON, in one line."""
        return json.dumps({name: value for name, value in asdict(self).items() if value not in ((), {}, "")})

    @classmethod
    def parse(cls, line: str) -> Self:
        """From a line of a history."""
        given = json.loads(line)
        seen = tuple(Seen(**{**one, "addresses": tuple(one["addresses"])}) for one in given.pop("seen", ()))
        kind, outcome = Kind(given.pop("kind")), Outcome(given.pop("outcome"))
        return cls(kind=kind, outcome=outcome, seen=seen, **given)
