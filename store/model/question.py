"""What a controller asks a node's agent, and what the agent answers: both under leases of some seconds.

A node that nothing can reach from outside is asked through the store. A question is small, an answer bounded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from store.model.drops import DropsAsked, DropsSaid, Way
from store.model.rule_counts import RulesAsked, RulesSaid
from store.model.trace import TraceAsked, TraceSaid
from store.model.value import Count, Identifier, Name, Text, Uid, Value

MOST_UNLIKE = 200
"""Of what is not as it should be, so much is told one by one."""


class DiffAsked(Value):
    """What does the node hold, and what should it?"""

    kind: Literal["diff"] = "diff"


class StatsAsked(Value):
    """What did an endpoint send and get, and what of it was dropped?"""

    kind: Literal["stats"] = "stats"
    endpoint: Identifier


Questioned = DiffAsked | StatsAsked | TraceAsked | DropsAsked | RulesAsked
Asked = Annotated[Questioned, Field(discriminator="kind")]


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
    SHARES = "shares"
    METERS = "meters"
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


class Counted(Value):
    """Packets, and their bytes."""

    packets: Count = 0
    bytes: Count = 0


class Dropped(Value):
    """What was dropped for one purpose."""

    way: Way | None = None
    """Seen from the endpoint."""

    purpose: Text
    """As the table of purposes in the documentation has it."""
    reason: Text
    packets: Count
    bytes: Count


class PortStats(Value):
    """What the switch counted at the endpoint's port."""

    sent: Counted
    """By the endpoint."""
    received: Counted
    sent_dropped: Count
    received_dropped: Count


class StatsSaid(Value):
    """What was counted of an endpoint since its flows were made, which a new port or layout does."""

    kind: Literal["stats"] = "stats"
    sent: Counted
    """What it sent and may send."""
    received: Counted
    dropped: Annotated[tuple[Dropped, ...], Field(max_length=MOST_UNLIKE)] = ()
    """By its limits, by rules, and by the flows that name the endpoint and drop; those that drop for all
    count for none. What rules or limits drop of what it sent counts as sent all the same, and what limits
    drop of what is for it as received."""
    port: PortStats | None = None


class Unanswered(Value):
    """The agent cannot answer, and why."""

    kind: Literal["unanswered"] = "unanswered"
    why: Text


Said = Annotated[
    DiffSaid | StatsSaid | TraceSaid | DropsSaid | RulesSaid | Unanswered, Field(discriminator="kind")
]


class Answered(Value):
    """What an agent answers to one question."""

    question: Uid
    node: Name
    said: Said
