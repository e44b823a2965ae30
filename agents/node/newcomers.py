"""Endpoints that are new here, and closed until the controllers have told of them.

What concerns an endpoint, its tenant's group, the policies that select it and their sets, is told to its node
a moment after the endpoint is made. Whoever was told of once is never closed again: what changes later takes
effect when it is told. So a store that lacks it, as a restored backup may, stops no traffic.
"""

from __future__ import annotations

from collections.abc import Mapping

from intent.policy import is_told
from intent.snapshot import Snapshot
from store.model import Endpoint


class Newcomers:
    """Remembers which endpoints were told of."""

    def __init__(self) -> None:
        self._known: dict[str, str] | None = None
        """With their uids; None before the first look."""

    def look(self, snapshot: Snapshot, endpoints: Mapping[str, Endpoint]) -> frozenset[str]:
        """Those of the endpoints that are to be closed."""
        known = self._known if self._known is not None else _ready(snapshot, endpoints)
        self._known = {
            name: one.uid
            for name, one in endpoints.items()
            if known.get(name) == one.uid or is_told(snapshot, one)
        }
        return frozenset(endpoints.keys() - self._known.keys())


def _ready(snapshot: Snapshot, endpoints: Mapping[str, Endpoint]) -> dict[str, str]:
    """Those that the agent before this one has said to be ready, as it says of none that is closed."""
    ready = {each.endpoint for each in snapshot.ready.values()}
    return {name: one.uid for name, one in endpoints.items() if name in ready}
