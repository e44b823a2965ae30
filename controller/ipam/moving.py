"""Changing an endpoint that lives: its labels, and the node it is on.

A move is one transaction: record, both nodes' copies, the address keys, and the exceptions that the
owners of the blocks have to know. The address stays; MTU and node follow the target. A node that holds
the endpoint when it leaves is noted with the address, so that it is waited for when the endpoint ends. It
delivers the endpoint until the target does (`controller.ipam.overlap`), if both are up.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from controller.ipam import overlap, units
from controller.ipam.committer import Committer
from controller.ipam.hold import holds, let_go
from controller.ipam.unit import Unit, merged
from controller.precondition import WHATEVER, Match
from controller.problem import Problem, not_found
from controller.reading import Found, read, referred
from controller.scope import EVERYTHING, Scope
from store import keys
from store.client import Store
from store.errors import Corrupt
from store.model import Endpoint, EndpointState, Node

ATTEMPTS = 24


class Mover:
    """Changes endpoints. Safe to call from many threads, and from many controllers at once."""

    def __init__(self, store: Store, committer: Committer, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock

    def change(
        self,
        endpoint_id: str,
        edit: Callable[[Endpoint], Endpoint],
        match: Match = WHATEVER,
        scope: Scope = EVERYTHING,
        *,
        overlap_s: int = overlap.DEFAULT_S,
    ) -> Found[Endpoint]:
        """Apply an edit of node and labels; returns the endpoint as it is then. Idempotent.

        Args:
            endpoint_id: the endpoint.
            edit: makes what it is to be of what it is.
            match: what the caller demands of it.
            scope: what exists for the caller.
            overlap_s: seconds for which the node that it leaves waits for the other to deliver it; 0 is
                break before make.

        Raises:
            Problem: there is no such endpoint in `scope` or no such node, it is not the one that `match`
                demands, or it is being deleted.
        """
        for _ in range(ATTEMPTS):
            found = read(self._store, keys.ENDPOINTS, endpoint_id)
            if found is None or not scope.has(found.value):
                raise not_found("endpoint", endpoint_id)
            match.demand(f"endpoint {endpoint_id}", found.mod_revision)
            wanted = edit(found.value)
            if wanted == found.value:
                return found
            if found.value.state is EndpointState.RELEASING:
                raise releasing(endpoint_id)
            changed, unit = self._plan(found, wanted, scope, overlap_s)
            if revision := self._committer.commit(unit):
                return Found(changed, found.key, revision)
        raise Problem("busy", f"endpoint {endpoint_id} keeps changing", retry_after_s=1)

    def _plan(
        self, found: Found[Endpoint], wanted: Endpoint, scope: Scope, overlap_s: int
    ) -> tuple[Endpoint, Unit]:
        if wanted.node == found.value.node:
            return wanted, merged([units.relabel(found, wanted), overlap.changing(self._store, wanted)])
        target = referred(self._store, keys.NODES, wanted.node, scope)
        there = moved(wanted, target)
        (hold,) = holds(self._store, [found])
        if isinstance(hold, Corrupt):
            raise hold
        source = found.value.node
        gone = {node: let_go(self._store, node, there.id) for node in hold.former_nodes - {source}}
        gone[source] = hold.here
        left = sorted(node for node, proof in gone.items() if proof is None and node != there.node)
        proofs = [proof] if (proof := gone[source]) is not None else []
        placed = [(each.block, each.address) for each in hold.held]
        holders = {node for node, proof in gone.items() if proof is None}
        step = overlap.Step(found, there, holders, self._clock(), overlap_s)
        both = [
            units.move(found, there, target, placed, tuple(left), proofs),
            overlap.overlapping(self._store, step),
        ]
        return there, merged(both)


def moved(endpoint: Endpoint, target: Found[Node]) -> Endpoint:
    """An endpoint as it is on the node that it moves to."""
    return endpoint.model_copy(update={"mtu_bytes": target.value.mtu_bytes})


def releasing(endpoint_id: str) -> Problem:
    """An endpoint that is on its way out is not changed."""
    return Problem("releasing", f"endpoint {endpoint_id} is being deleted and cannot be changed")
