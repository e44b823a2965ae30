"""What a controller asks a node's agent, and what the agent answers: both under leases of some seconds.

A node that nothing can reach from outside is asked through the store. A question is small, an answer bounded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from store.model.value import Name, Uid, Value

MOST_UNLIKE = 200
"""Of what is not as it should be, so much is told one by one."""
TEXT_CHARACTERS = 1000

Text = Annotated[str, Field(max_length=TEXT_CHARACTERS)]
Count = Annotated[int, Field(strict=True, ge=0)]


class DiffAsked(Value):
    """What does the node hold, and what should it?"""

    kind: Literal["diff"] = "diff"


Asked = DiffAsked


class Question(Value):
    """One question to the agent of a node."""

    id: Uid
    node: Name
    asked: Asked


class HeldKind(StrEnum):
    """What a node holds for Polder."""

    PORTS = "ports"
    RULES = "rules"
    NEIGHBOURS = "neighbours"
    ROUTES = "routes"
    FLOWS = "flows"


class UnlikeKind(StrEnum):
    """How what is there differs from what should be."""

    MISSING = "missing"
    UNEXPECTED = "unexpected"
    DIFFERENT = "different"


class Unlike(Value):
    """One thing that a node does not hold as it should."""

    held: HeldKind
    kind: UnlikeKind
    key: Text
    """What it is found by."""
    wanted: Text = ""
    found: Text = ""
    reason: Text = ""
    """Why it should be there, or how it comes that it should not."""


class HeldCount(Value):
    """How many of a kind there should be, and are."""

    held: HeldKind
    wanted: Count
    found: Count


class DiffSaid(Value):
    """What a node holds compared with what it should, read when it was asked."""

    kind: Literal["diff"] = "diff"
    counts: Annotated[tuple[HeldCount, ...], Field(max_length=len(HeldKind))]
    unlike: Annotated[tuple[Unlike, ...], Field(max_length=MOST_UNLIKE)] = ()
    more: Count = 0
    """So many are not told one by one."""


class Unanswered(Value):
    """The agent cannot answer, and why."""

    kind: Literal["unanswered"] = "unanswered"
    why: Text


Said = Annotated[DiffSaid | Unanswered, Field(discriminator="kind")]


class Answered(Value):
    """What an agent answers to one question."""

    question: Uid
    node: Name
    said: Said
