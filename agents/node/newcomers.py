"""Endpoints that are new here, and closed until the controllers have told of them.

What concerns an endpoint, its tenant's group, the policies that select it and their sets, is told to its node
a moment after the endpoint is made. Whoever was told of once is never closed again: what changes later takes
effect when it is told. So a store that lacks it, as a restored backup may, stops no traffic. The ports say
which endpoints are closed, for an agent that starts meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping

from agents.node.record import Plugged
from intent.policy import is_told
from intent.snapshot import Snapshot
from store.model import Endpoint


class Newcomers:
    """Remembers which endpoints were told of."""

    def __init__(self) -> None:
        self._known: dict[str, str] | None = None
        """With their uids; None before the first look."""

    def look(
        self, snapshot: Snapshot, endpoints: Mapping[str, Endpoint], plugged: Mapping[str, Plugged]
    ) -> frozenset[str]:
        """Those of the endpoints that are to be closed; `plugged` is what the ports say."""
        known = self._known if self._known is not None else _open(plugged)
        self._known = {
            name: one.uid
            for name, one in endpoints.items()
            if known.get(name) == one.uid or is_told(snapshot, one)
        }
        return frozenset(endpoints.keys() - self._known.keys())


def _open(plugged: Mapping[str, Plugged]) -> dict[str, str]:
    """Those that the agent before this one had plugged in and open, with their uids."""
    return {
        name: there.endpoint.uid
        for name, there in plugged.items()
        if there.endpoint is not None and not there.closed
    }
