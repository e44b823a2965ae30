"""How far a move is: whether the new node has, delivers and announces the endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum

from controller.ipam import blocks
from controller.reading import scan
from controller.sheet import Sheet
from intent.peers import peers_of
from store import keys
from store.client import Store
from store.model import Advertise, Announces, Move, Node, Peer, Pool, host_prefix


class Stage(StrEnum):
    """Where a move is. The old node delivers the endpoint in all of them."""

    WAITING = "waiting"
    """The endpoint is not attached on the new node yet."""
    ATTACHED = "attached"
    """It is, and not all of its addresses can be delivered there yet."""
    READY = "ready"
    """The new node delivers it, and does not announce it yet."""
    ANNOUNCED = "announced"
    """The new node delivers and announces it, or has no need to announce it."""
    PRESUMED = "presumed"
    """The new node delivers it. Whether it is announced is not known: edge nodes do so, or nobody."""


def stages(store: Store, moves: Sequence[Move]) -> list[Stage]:
    """The stage of each. Blocking: few requests for all. Raises `Corrupt`, and what the store does."""
    first = Sheet(store, [key for move in moves for key in _said(move)])
    pools = {name: found.value for name in _pools(moves) if (found := first.find(keys.POOLS, name))}
    claims = Sheet(store, [key for move in moves for key in _claims(move, pools)])
    telling = _Telling(store)
    return [_stage(move, first, claims, pools, telling) for move in moves]


class _Telling:
    """Who tells routers of what a node has. Read when it is asked for the first time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._peers: list[Peer] | None = None

    def tells(self, node: Node) -> bool:
        """Whether the node's own speaker says what is announced: not so without peers, or with edge nodes."""
        if self._peers is None:
            self._peers = scan(self._store, keys.PEERS).values
        edged = any(peer.announces is Announces.ALL for peer in self._peers)
        return not edged and bool(peers_of(node.name, node, self._peers))


def _stage(move: Move, said: Sheet, claims: Sheet, pools: dict[str, Pool], telling: _Telling) -> Stage:
    attached = said.find(keys.ATTACHMENTS, move.target, move.endpoint.id)
    if attached is None:
        return Stage.WAITING
    prefixes = [host_prefix(address) for address in move.endpoint.addresses]
    ready = [said.find(keys.READY, move.target, prefix) for prefix in prefixes]
    # What was ready before the machine last booted does not count.
    if any(each is None or each.value.boot_id != attached.value.boot_id for each in ready):
        return Stage.ATTACHED
    lacking = [
        pool
        for prefix, (address, name) in zip(prefixes, move.endpoint.placed, strict=True)
        if (pool := pools.get(name)) is not None
        and not said.has(keys.ADVERTISED.key(move.target, prefix))
        and pool.advertise is not Advertise.NONE
        and (
            pool.advertise is Advertise.HOST
            or (block := claims.find(keys.BLOCKS, name, blocks.block_of(pool, address))) is None
            or block.value.node != move.target
        )
    ]
    if not lacking:
        return Stage.ANNOUNCED
    node = said.find(keys.NODES, move.target)
    return Stage.READY if node is not None and telling.tells(node.value) else Stage.PRESUMED


def _pools(moves: Sequence[Move]) -> set[str]:
    return {name for move in moves for name in move.endpoint.pools}


def _said(move: Move) -> Iterator[str]:
    yield keys.NODES.key(move.target)
    yield keys.ATTACHMENTS.key(move.target, move.endpoint.id)
    for address, pool in move.endpoint.placed:
        prefix = host_prefix(address)
        yield keys.POOLS.key(pool)
        yield keys.READY.key(move.target, prefix)
        yield keys.ADVERTISED.key(move.target, prefix)


def _claims(move: Move, pools: dict[str, Pool]) -> Iterator[str]:
    for address, name in move.endpoint.placed:
        if (pool := pools.get(name)) is not None:
            yield keys.BLOCKS.key(name, blocks.block_of(pool, address))
