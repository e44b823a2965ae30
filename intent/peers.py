"""Which peers a node speaks with.

A peer is for one node, for the nodes that have all of some labels, or for every node. Of two peers with one
address a node speaks with the first by name: two sessions between the same two addresses would collide
(RFC 4271 §6.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from store.model import IPAddress, Node, Peer


def is_for(peer: Peer, name: str, node: Node | None) -> bool:
    """Whether a node is to speak with a peer, as far as the peer says.

    Args:
        name: the node's name.
        node: the node; None while it is not registered, and then it has no labels.
    """
    if peer.node is not None:
        return peer.node == name
    labels = node.labels if node is not None else {}
    return all(labels.get(key) == value for key, value in peer.node_selector.items())


def peers_of(name: str, node: Node | None, peers: Iterable[Peer]) -> Mapping[str, Peer]:
    """The peers of a node by name, in the order of their names."""
    chosen: dict[IPAddress, Peer] = {}
    for peer in sorted(peers, key=lambda each: each.name):
        if is_for(peer, name, node):
            chosen.setdefault(peer.address, peer)
    return {peer.name: peer for peer in chosen.values()}


def meeting(peer: Peer, other: Peer, nodes: Iterable[Node]) -> Node | None:
    """A node that would speak with both, though it can with one only; None when there is none."""
    if peer.name == other.name or peer.address != other.address:
        return None
    return next(
        (node for node in nodes if is_for(peer, node.name, node) and is_for(other, node.name, node)), None
    )
