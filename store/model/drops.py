"""What a node's switch has dropped lately, and why."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from store.model.value import Address_, Count, Identifier, PortNumber, Text, Value

MOST_DROPS = 200
MOST_SAMPLES = 200


class DropsAsked(Value):
    """What was dropped lately, of one endpoint or of all?"""

    kind: Literal["drops"] = "drops"
    endpoint: Identifier | None = None


class Way(StrEnum):
    """Of a packet, seen from the endpoint."""

    SENT = "sent"
    RECEIVED = "received"


class Drop(Value):
    """What one flow dropped in one interval."""

    at: AwareDatetime
    """The end of the interval."""
    endpoint: Identifier | None = None
    """At whose port; None where the flow is for all."""
    purpose: Text
    """As the table of purposes in the documentation has it."""
    reason: Text = ""
    """Why, and by which rule."""
    match: Text = ""
    """What the packets had in common."""
    packets: Count
    bytes: Count


class Sampled(Value):
    """One packet that was dropped, or let go on by a rule that logs. What it does not have is None."""

    at: AwareDatetime
    endpoint: Identifier | None = None
    """The one at which it was dropped: its sender where `way` is `sent`, else whom it was for."""
    way: Way | None = None
    purpose: Text = ""
    """As the table of purposes in the documentation has it."""
    reason: Text = ""
    """Why, and by which policy and rule."""
    source: Address_ | None = None
    destination: Address_ | None = None
    protocol: Text
    """By name where it has one, else by number: of IP, or in hex of Ethernet."""
    source_port: PortNumber | None = None
    destination_port: PortNumber | None = None


class DropsSaid(Value):
    """The last drops, the latest first."""

    kind: Literal["drops"] = "drops"
    since: AwareDatetime
    """Since when the agent looks."""
    interval_s: Count
    drops: Annotated[tuple[Drop, ...], Field(max_length=MOST_DROPS)] = ()
    """All of them, counted by flow."""
    packets: Annotated[tuple[Sampled, ...], Field(max_length=MOST_SAMPLES)] = ()
    """Some packets of them, and of what rules log."""
