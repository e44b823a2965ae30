"""What happened, for people: kept for some hours under a lease."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, StringConstraints

from store.model.value import Name, Value

EventId = Annotated[str, StringConstraints(pattern=r"^[0-9]{16}-[0-9a-f]{8}$")]
"""Microseconds since 1970, and eight random digits: in the order of time, and never twice the same."""


class Severity(StrEnum):
    """How much an event matters."""

    INFO = "info"
    WARNING = "warning"
    ALARM = "alarm"


class Event(Value):
    """One thing that happened."""

    id: EventId
    at: AwareDatetime
    severity: Severity = Severity.INFO
    reason: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    """What kind of thing, for programs: `pool-full`, `session-down`."""
    noun: str
    """What it is about: `pool`, `node`, `uplink`, `endpoint`, `address`, `session`."""
    name: str
    detail: str
    """One sentence for people."""
    node: Name | None = None
    tenant: Name | None = None
