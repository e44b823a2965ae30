"""Make before break: the node that an endpoint leaves delivers it until the other one does.

The transaction of a move writes that it is under way, once for people and the duty of moves and once for each
of the two nodes. So nodes need no clock, and with every controller down the old node goes on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from controller.ipam.unit import Unit
from controller.reading import Found, put, read
from store import keys
from store.client import Absent, Delete, Op, Store
from store.model import Endpoint, Move, Program

DEFAULT_S = 30


@dataclass(frozen=True, slots=True)
class Step:
    """A move that is about to be written."""

    before: Found[Endpoint]
    moved: Endpoint
    """The endpoint as it will be."""
    holders: Collection[str]
    """The nodes that hold something of the endpoint."""
    now: datetime
    overlap_s: int
    """0 is break before make."""


def overlapping(store: Store, step: Step) -> Unit:
    """What is written beside the move: that it is under way, if both nodes are up; and of a move before
    this one that it is not any more."""
    endpoint = step.before.value
    earlier = read(store, keys.MOVES, endpoint.id)
    unchanged = earlier.unchanged() if earlier else Absent(keys.MOVES.key(endpoint.id))
    begun = _begun(store, step, earlier.value if earlier else None)
    before = _places(earlier.value) if earlier else []
    after = _places(begun) if begun else []
    ops: list[Op] = [Delete(kind.key(*parts)) for kind, parts in before if (kind, parts) not in after]
    if begun is not None:
        ops += [put(kind, begun, *parts) for kind, parts in after]
    return Unit((unchanged,), tuple(ops))


def changing(store: Store, changed: Endpoint) -> Unit:
    """What is written beside a change of an endpoint that stays: the node that it leaves is to know it."""
    move = read(store, keys.MOVES, changed.id)
    if move is None or move.value.endpoint.uid != changed.uid:
        return Unit((), ())
    told = move.value.model_copy(update={"endpoint": _left(changed, move.value.endpoint)})
    return Unit((move.unchanged(),), tuple(put(kind, told, *parts) for kind, parts in _places(told)))


def ending(move: Found[Move]) -> Unit:
    """The move is over."""
    return Unit((move.unchanged(),), tuple(Delete(kind.key(*parts)) for kind, parts in _places(move.value)))


def _places(move: Move) -> list[tuple[keys.Kind[Move], tuple[str, ...]]]:
    name = move.endpoint.id
    below = (keys.NODE_MOVES, (move.source, name)), (keys.NODE_MOVES, (move.target, name))
    return [(keys.MOVES, (name,)), *below]


def _begun(store: Store, step: Step, earlier: Move | None) -> Move | None:
    leaves = step.before.value
    if leaves.node not in step.holders and earlier is not None and earlier.endpoint.uid == leaves.uid:
        leaves = earlier.endpoint  # it never arrived where it was to go: who delivered it still does
    target = step.moved.node
    if not step.overlap_s or leaves.node not in step.holders or leaves.node == target:
        return None
    alive = [keys.ALIVE.key(node, Program.AGENT) for node in (leaves.node, target)]
    if len(store.get_many(alive)) < len(alive):
        return None
    left = _left(step.moved, leaves)
    return Move(endpoint=left, target=target, since=step.now, overlap_s=step.overlap_s)


def _left(endpoint: Endpoint, there: Endpoint) -> Endpoint:
    """An endpoint as the node that it leaves has it, from what it was there."""
    return endpoint.model_copy(update={"node": there.node, "mtu_bytes": there.mtu_bytes})
