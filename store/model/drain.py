"""That a node or a peer is being emptied of traffic, and how far that is."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from store.model.value import Name, Value

MAX_WAIT_S = 3600


class Drained(StrEnum):
    """What can be drained."""

    NODE = "node"
    """Every session of a node, and what edge nodes announce for it."""
    PEER = "peer"
    """Every session with a peer."""


class DrainStage(StrEnum):
    """How far it is."""

    GRACEFUL = "graceful"
    """Routes carry GRACEFUL_SHUTDOWN (RFC 8326): routers prefer others, where there are any."""
    WITHDRAWING = "withdrawing"
    """Nothing is wanted to be announced any more."""
    DRAINED = "drained"
    """Nothing is announced any more."""

    @property
    def withdraws(self) -> bool:
        """Whether nothing is to be announced."""
        return self is not DrainStage.GRACEFUL


class Drain(Value):
    """A node or a peer that is being drained. There is none for what carries traffic as usual."""

    noun: Drained
    name: Name
    stage: DrainStage = DrainStage.GRACEFUL
    since: AwareDatetime
    wait_s: Annotated[int, Field(strict=True, ge=0, le=MAX_WAIT_S)] = 60
    """Seconds from `since` until its routes are withdrawn: time for routers to find other ways."""
    until: AwareDatetime | None = None
    """When it ends by itself; when it is told to, if not given."""
    by: str = ""
    """The name of the token that asked for it."""
