"""Endpoints that are made together or not at all, while that is not yet decided."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, Field

from store.model.value import Identifier, Uid, Value


class PendingState(StrEnum):
    """Where it stands."""

    MAKING = "making"
    MADE = "made"
    """All are there; the key is about to go."""
    UNDOING = "undoing"
    """Not all could be made: those that were made are ended."""


class Pending(Value):
    """The endpoints of one request for many, by id and the uid that each would have.

    While it is being made each of them is written on condition that this is unchanged, so when its state
    is, no more come.
    """

    id: Uid
    endpoints: Annotated[tuple[tuple[Identifier, Uid], ...], Field(max_length=1000)]
    deadline: AwareDatetime
    """When whoever makes them is believed dead."""
    state: PendingState = PendingState.MAKING
