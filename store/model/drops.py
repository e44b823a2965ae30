"""What a node's switch has dropped lately, and why."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from store.model.value import Identifier, Value

MOST_DROPS = 200
Text = Annotated[str, Field(max_length=1000)]
Count = Annotated[int, Field(strict=True, ge=0)]


class DropsAsked(Value):
    """What was dropped lately?"""

    kind: Literal["drops"] = "drops"


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


class DropsSaid(Value):
    """The last drops, the latest first."""

    kind: Literal["drops"] = "drops"
    since: AwareDatetime
    """Since when the agent looks."""
    interval_s: Count
    drops: Annotated[tuple[Drop, ...], Field(max_length=MOST_DROPS)] = ()
