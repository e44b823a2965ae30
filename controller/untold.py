"""Sessions that there should be, by what is registered, and that no speaker has told of. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

from intent.peers import peers_of
from store.model import Node, Peer


class Untold(NamedTuple):
    """A node, and one of its peers."""

    node: str
    peer: Peer


def untold(
    nodes: Iterable[Node], peers: Iterable[Peer], told: Collection[tuple[str, str]] = ()
) -> list[Untold]:
    """Those of these nodes with these peers. Those that are `told` are by node and peer."""
    by_node: dict[str | None, list[Peer]] = defaultdict(list)
    for peer in peers:
        by_node[peer.node].append(peer)
    return [
        Untold(node.name, peer)
        for node in nodes
        for peer in peers_of(node.name, node, [*by_node[None], *by_node.get(node.name, ())]).values()
        if (node.name, peer.name) not in told
    ]
