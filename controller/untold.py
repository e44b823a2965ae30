"""Sessions that there should be, by what nodes and peers are registered, and that no speaker has told of."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from controller.reading import read_many, scan
from intent.peers import peers_of
from store import keys
from store.client import Store
from store.model import Peer


class Untold(NamedTuple):
    """A node, and one of its peers."""

    node: str
    peer: Peer


def untold(
    store: Store, node: str | None, peer: str | None, told: Collection[tuple[str, str]] = ()
) -> list[Untold]:
    """Those of this node and peer, if given. Those that are `told`, by node and peer, are not looked for."""
    peers = scan(store, keys.PEERS).values
    wanted = [
        Untold(each.name, one)
        for each in scan(store, keys.NODES).values
        if node in {None, each.name}
        for name, one in peers_of(each.name, each, peers).items()
        if peer in {None, name} and (each.name, name) not in told
    ]
    there = read_many(store, keys.SESSIONS, [(each.node, each.peer.name) for each in wanted])
    return [each for each in wanted if (each.node, each.peer.name) not in there]
