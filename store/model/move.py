"""That an endpoint is on its way to another node, and the one it leaves still delivers it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from store.model.endpoint import Endpoint
from store.model.value import Name, Value

MAX_OVERLAP_S = 3600


class Move(Value):
    """A move that is not over: the new node has the endpoint, the old one delivers it until that does."""

    endpoint: Endpoint
    """As it is on the node that it leaves."""
    target: Name
    """The node it goes to."""
    since: AwareDatetime
    overlap_s: Annotated[int, Field(strict=True, ge=1, le=MAX_OVERLAP_S)]
    """Seconds after which the old node takes it down, whether the new one delivers it or not."""

    @property
    def source(self) -> str:
        """The node that it leaves."""
        return self.endpoint.node
