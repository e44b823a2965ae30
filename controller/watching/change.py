"""What happened to the things of a noun, and where in the order of all changes that was.

A transaction may change many things at one revision. So a place in the order is a revision and how many
of its changes have passed: `1234` is behind all changes of that revision, `1234.3` behind the third. The
order within a revision is the transaction's own, and so the same at every controller.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from store.model import Value

WHOLE = 1 << 30
"""More changes than a revision can have."""

MAX_REVISION = 2**63 - 1

PLACE = r"^[0-9]{1,19}(\.[0-9]{1,9})?$"
"""The pattern of a place's text."""

Type = Literal["put", "delete"]


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Behind `count` changes of `revision`, and all of those before."""

    revision: int
    count: int = WHOLE

    def __str__(self) -> str:
        """As it stands in `Last-Event-ID`."""
        return str(self.revision) if self.count >= WHOLE else f"{self.revision}.{self.count}"

    @property
    def next_revision(self) -> int:
        """The first revision of which something is to come."""
        return self.revision + (self.count >= WHOLE)


def parse_place(text: str) -> Place | None:
    """A place from its text; None when it is not one."""
    if not re.fullmatch(PLACE, text):
        return None
    revision, _, count = text.partition(".")
    return None if int(revision) > MAX_REVISION else Place(int(revision), int(count) if count else WHOLE)


@dataclass(frozen=True)
class Side:
    """A thing before or after a change: the value that filters look at, and how it is shown."""

    value: Value
    render: Callable[[], str]

    @cached_property
    def text(self) -> str:
        """The JSON that is shown, made once for all watchers."""
        return self.render()


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `place` is behind it. A thing that came has no `before`, one that is gone no `after`."""

    place: Place
    before: Side | None
    after: Side | None
    lost: bool = False
    """Something is gone of which nobody knows any more what it was."""


@dataclass(frozen=True, slots=True)
class Told:
    """A change as one watcher is told it."""

    place: Place
    type: Type
    text: str
