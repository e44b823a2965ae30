"""Whether somebody goes on telling routers of a prefix that is taken away, by the word of the speakers.

What a speaker announces it says below its node. That stays when it ends, because its sessions go on without
it, and goes with what else the node said once the node is gone past its `reclaim_after_s`. One that lives
withdraws by itself what its node has no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from store import keys
from store.client import Absent, Compare, Exists, Store
from store.model import IPNetwork, Program


def withdrawals(
    store: Store, owners: Mapping[IPNetwork, str], edges: Sequence[str]
) -> dict[IPNetwork, Compare]:
    """Of each prefix that nobody goes on announcing, what holds while its owner does not; no others.

    What edges say is read and not compared, however many they are. That they live is known no better than to
    the time of a lease, and one that rises afterwards lives to withdraw. So who lives is read first.

    Args:
        store: where speakers say what they announce.
        owners: the node that has each prefix, whose speaker may announce it.
        edges: the nodes whose speakers may announce any of them.
    """
    living = _living(store, {*owners.values(), *edges})
    left = _withdrawn_by_owners(store, owners, living)
    for edge in _with_a_word(store, [edge for edge in edges if edge not in living]):
        said = {keys.ADVERTISED.key(edge, prefix): prefix for prefix in left}
        for key in store.get_many(list(said)):
            del left[said[key]]
    return left


def _living(store: Store, nodes: Iterable[str]) -> set[str]:
    alive = {_alive(node): node for node in nodes}
    return {alive[key] for key in store.get_many(list(alive))}


def _withdrawn_by_owners(
    store: Store, owners: Mapping[IPNetwork, str], living: set[str]
) -> dict[IPNetwork, Compare]:
    said = {prefix: keys.ADVERTISED.key(node, prefix) for prefix, node in owners.items()}
    there = store.get_many(list(said.values()))
    silent: dict[IPNetwork, Compare] = {
        prefix: Absent(key) for prefix, key in said.items() if key not in there
    }
    return silent | {
        prefix: Exists(_alive(node))
        for prefix, node in owners.items()
        if prefix not in silent and node in living
    }


def _with_a_word(store: Store, nodes: list[str]) -> list[str]:
    """Those of the nodes whose speakers say that they announce anything."""
    counts = store.count([keys.ADVERTISED.prefix(node) for node in nodes])
    return [node for node, count in zip(nodes, counts, strict=True) if count]


def _alive(node: str) -> str:
    return keys.ALIVE.key(node, Program.SPEAKER.value)
