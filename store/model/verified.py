"""What a router really holds of a session, compared with what its node has announced."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from store.model.value import Address_, Name, Network, Value

SHOWN_DIFFERENCES = 20
"""Of one session, so many are told one by one: a router that refuses everything refuses thousands."""


class DifferenceKind(StrEnum):
    """How a router and a node differ about a prefix."""

    MISSING = "missing"
    """Announced, and not accepted by the router."""
    UNEXPECTED = "unexpected"
    """Held by the router, and not announced."""


class Difference(Value):
    """One prefix that a node announces and its router does not hold, or the other way round."""

    kind: DifferenceKind
    prefix: Network
    cause: str
    """The likely cause, for people."""
    since: AwareDatetime


class Verified(Value):
    """What the comparison of one session found. Under the lease of the controller that hears the router."""

    node: Name
    peer: Name
    router: Address_
    """The router's end of the session."""
    controller: str
    """Which controller hears the router, for people."""
    since: AwareDatetime
    """Since when it is as it is told here."""
    accepted: int = 0
    """Prefixes that the router holds from this session."""
    missing: int = 0
    unexpected: int = 0
    differences: Annotated[tuple[Difference, ...], Field(max_length=SHOWN_DIFFERENCES)] = ()
    """The first of them, in order."""
    unreadable: str = ""
    """Why what the router holds is not known; empty when it is."""
