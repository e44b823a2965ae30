"""Whether somebody goes on telling routers of a prefix that is taken away, by the word of the speakers.

What a speaker announces it says below its node. That stays when it ends, because its sessions go on without
it, and goes with what else the node said once the node is gone past its `reclaim_after_s`. One that lives
withdraws by itself what its node has no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from store import keys
from store.client import Absent, Compare, Exists, Store
from store.model import IPNetwork, Program


def withdrawals(
    store: Store, tellers: Mapping[IPNetwork, Sequence[str]]
) -> dict[IPNetwork, tuple[Compare, ...]]:
    """Of each prefix that nobody goes on announcing, what holds while that is so; the others are left out.

    Args:
        store: where speakers say what they announce.
        tellers: the nodes whose speakers may announce each prefix.
    """
    said = [keys.ADVERTISED.key(node, prefix) for prefix, nodes in tellers.items() for node in nodes]
    living = [_alive(node) for node in {node for nodes in tellers.values() for node in nodes}]
    there = store.get_many([*said, *living]).keys()

    def proof(node: str, prefix: IPNetwork) -> Compare | None:
        if (key := keys.ADVERTISED.key(node, prefix)) not in there:
            return Absent(key)
        return Exists(_alive(node)) if _alive(node) in there else None

    proofs = {prefix: [proof(node, prefix) for node in nodes] for prefix, nodes in tellers.items()}
    return {
        prefix: tuple(each for each in every if each is not None)
        for prefix, every in proofs.items()
        if None not in every
    }


def _alive(node: str) -> str:
    return keys.ALIVE.key(node, Program.SPEAKER.value)
