"""What the rules of a policy have matched on a node."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from store.model.policy import Direction
from store.model.value import Count, Name, Value

MOST_RULES = 200


class RulesAsked(Value):
    """How many packets have the rules of a policy matched?"""

    kind: Literal["rules"] = "rules"
    policy: Name


class RuleCount(Value):
    """What one rule has matched."""

    direction: Direction
    rule: Annotated[int, Field(strict=True, ge=1)]
    """Its place among those of its direction, from 1."""
    packets: Count
    bytes: Count


class RulesSaid(Value):
    """The rules that have flows; one that is not here has none, as the node holds none of its endpoints."""

    kind: Literal["rules"] = "rules"
    counts: Annotated[tuple[RuleCount, ...], Field(max_length=MOST_RULES)] = ()
