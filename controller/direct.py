"""The duty of segments: each node is told what the others on its segment have, to send there directly.

A node that none of its programs says to live is told of to nobody: what it has is sought by way of the
routers again, which know when its sessions end. One that has more than fits is left to the routers too.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from controller.ipam.arrival import Stage, stages
from controller.prompted import RELOOK_S, Outlook
from controller.reading import Found, put, scan
from store import keys
from store.client import MAX_TXN_OPS, Absent, Compare, Delete, Op, Store
from store.model import Displaced, Move, Node, OnLink
from store.model.direct import MOST

log = logging.getLogger(__name__)

REST_S = 1.0

SHARED = (keys.NODES.prefix(), keys.ALIVE.prefix(), keys.MOVES.prefix())
OF_EACH = (keys.NODE_BLOCKS, keys.DISPLACED)
"""What is read: of all nodes, and of each that is on a segment."""

AT_ONCE = MAX_TXN_OPS // 2

Place = tuple[str, str]
"""Who is told, and of whom."""


class Segments:
    """What nodes are told of each other, compared with what they should be, at each `look`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written: dict[Place, Found[OnLink]] | None = None
        """What is stored, as far as is known; None when it has to be read."""

    def look(self) -> Outlook:
        """Write what has changed."""
        nodes = scan(self._store, keys.NODES)
        direct = [each for each in nodes.values if each.direct is not None]
        moves = scan(self._store, keys.MOVES).values if direct else []
        done = self._tell(direct, moves)
        again_s = RELOOK_S if done and not moves else REST_S  # how far moves are is not watched
        of_each = (kind.prefix(each.name) for each in direct for kind in OF_EACH)
        read = (*SHARED, *of_each) if direct else (keys.NODES.prefix(),)
        return Outlook(nodes.revision, read, again_s)

    def _tell(self, direct: Sequence[Node], moves: Sequence[Move]) -> bool:
        """Write it; False when what is stored is not what was written before."""
        if self._written is None:
            found = scan(self._store, keys.ON_LINK).items
            self._written = {(place[0], place[1]): each for each in found if (place := _place(each.key))}
        wanted = self._wanted(direct, moves)
        if not wanted and not self._written:
            return True
        changes = [
            place
            for place in wanted.keys() | self._written.keys()
            if place not in self._written or wanted.get(place) != self._written[place].value
        ]
        changes.sort()
        for start in range(0, len(changes), AT_ONCE):
            if not self._write(changes[start : start + AT_ONCE], wanted, self._written):
                self._written = None  # somebody else has the duty, or had it a moment ago
                return False
        return True

    def _write(
        self, places: Sequence[Place], wanted: Mapping[Place, OnLink], written: dict[Place, Found[OnLink]]
    ) -> bool:
        """Write some of it, and take note; False when it is not as it was written before."""
        compares: list[Compare] = []
        ops: list[Op] = []
        for place in places:
            key, before, after = keys.ON_LINK.key(*place), written.get(place), wanted.get(place)
            compares.append(before.unchanged() if before else Absent(key))
            ops.append(put(keys.ON_LINK, after, *place) if after else Delete(key))
        result = self._store.txn(compares, ops)
        if not result.succeeded:
            return False
        for place in places:
            written.pop(place, None)
            if (now := wanted.get(place)) is not None:
                written[place] = Found(now, keys.ON_LINK.key(*place), result.revision)
        return True

    def _wanted(self, nodes: Sequence[Node], moves: Sequence[Move]) -> dict[Place, OnLink]:
        if not nodes:
            return {}
        alive = {each.node for each in scan(self._store, keys.ALIVE).values}
        moves = self._on_the_way(moves)
        told = {
            node.name: each
            for node in nodes
            if node.name in alive and (each := self._told(node, moves)) is not None
        }
        return {
            (node.name, other.name): told[other.name]
            for node in nodes
            for other in nodes
            if other.name != node.name and other.direct == node.direct and other.name in told
        }

    def _told(self, node: Node, moves: Sequence[Move]) -> OnLink | None:
        """What others are told of a node; None when that is too much."""
        blocks = [each.cidr for each in scan(self._store, keys.NODE_BLOCKS, node.name).values]
        displaced = {each.address: each for each in scan(self._store, keys.DISPLACED, node.name).values}
        for move in moves:
            for address in move.endpoint.addresses:
                if not any(address in block for block in blocks):
                    continue
                if move.source == node.name:
                    displaced.pop(address, None)
                else:
                    displaced[address] = Displaced(
                        address=address, endpoint=move.endpoint.id, node=move.source
                    )
        if max(len(blocks), len(displaced)) > MOST:
            log.warning("event=too-much-for-a-segment node=%s: left to the routers", node.name)
            return None
        return OnLink(
            node=node.name,
            next_hops=node.next_hops,
            blocks=tuple(sorted(blocks, key=str)),
            displaced=tuple(displaced[each] for each in sorted(displaced, key=str)),
        )

    def _on_the_way(self, moves: Sequence[Move]) -> list[Move]:
        """The moves whose endpoints are sought at the nodes that they leave."""
        there = (Stage.ANNOUNCED, Stage.PRESUMED)
        return [
            each
            for each, stage in zip(moves, stages(self._store, moves) if moves else (), strict=True)
            if stage not in there
        ]


def _place(key: str) -> Place | None:
    parts = keys.ON_LINK.parts(key)
    return (parts[0], parts[1]) if parts else None
