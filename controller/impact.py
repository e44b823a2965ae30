"""What a rehearsed write would do at every router, from all that speakers read."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence

from controller.reading import read_at_once
from controller.rehearsal import Rehearsal
from intent import cluster, impact
from intent.advertisements import announced_alike
from intent.cluster import ClusterView, Member
from intent.expectation import settled
from store import keys
from store.client import KeyValue, Store
from store.codec import decode
from store.errors import Corrupt
from store.keys import Kind
from store.model import Peer, Pool, Value

log = logging.getLogger(__name__)

COMPILED = (keys.RULES, keys.GROUPS, keys.SETS, keys.FORMER_SETS, keys.TOLD, keys.TELLING)
PASSED_BY = (keys.ATTACHMENTS, keys.HOLDING, *COMPILED)
"""What no advertisement depends on, and there may be much of: it is not even decoded."""

NONE: frozenset[str] = frozenset()
NO_VIA = b'"via":[]'
"""In what is stored of an attachment that is not behind a neighbour."""


def _family(path: str) -> str:
    """What a key has in common with all of its kind, and with no other that speakers read."""
    parts = path.split("/")
    return "/".join(parts[::2][:2]) if parts[0] in {"node", "compiled"} and len(parts) > 2 else parts[0]


KINDS: Mapping[str, Kind[Value]] = {
    _family(kind.template): kind for kind in keys.KINDS if kind not in PASSED_BY
}


def foresee(store: Store, rehearsal: Rehearsal) -> tuple[impact.Impact, int]:
    """What is done when the rehearsed writes are made, and the revision that this is of."""
    items, revision = read_at_once(store, cluster.watched())
    before, after = _states(items, rehearsal)
    return impact.impact(before, after, time.time()), revision


def withdraws_nothing(store: Store, rehearsal: Rehearsal) -> bool:
    """Whether the nodes that the writes are about tell that nothing vanishes, without a look at all others.

    A change of one node or of its peer is nobody else's affair, but for the edges. Most of what is stored is
    the nodes' own, so this is quick where nodes are many.
    """
    nodes = _about(store, rehearsal)
    if nodes is None:
        return False
    if not nodes:
        return True
    shared = [prefix for prefix in cluster.watched() if prefix != keys.NODES_OWN]
    items, _ = read_at_once(store, [*shared, *map(keys.node_prefix, sorted(nodes))])
    before, after = _states(items, rehearsal)
    if any(member.snapshot.edged for member in (*before.values(), *after.values())):
        return False
    return not impact.impact(before, after, time.time()).withdrawn


def _about(store: Store, rehearsal: Rehearsal) -> set[str] | None:
    """The nodes that the writes are about; None when that may be all, empty when no router sees any."""
    nodes: set[str] = set()
    for key, value in rehearsal.written.items():
        if (node := keys.owner(key)) is not None:
            nodes.add(node)
        elif (registered := keys.NODES.parts(key)) is not None:
            nodes.update(registered)
        elif keys.PEERS.parts(key) is not None:
            item = store.get(key)
            stored = [each for each in (value, item.value if item is not None else None) if each is not None]
            of = {decode(Peer, each, key=key).node for each in stored}
            if None in of:
                return None
            nodes |= {node for node in of if node is not None}
        elif key.startswith(cluster.watched()) and not _alike(store, key, value):
            return None
    return nodes


def _alike(store: Store, key: str, value: bytes | None) -> bool:
    """Whether this is a pool that changes in nothing that routers are told of."""
    if value is None or keys.POOLS.parts(key) is None or (item := store.get(key)) is None:
        return False
    return announced_alike(decode(Pool, item.value, key=key), decode(Pool, value, key=key))


def _states(
    items: Sequence[KeyValue], rehearsal: Rehearsal
) -> tuple[Mapping[str, Member], Mapping[str, Member]]:
    """Every node before the rehearsed writes, and after them."""
    view = ClusterView()
    for item in items:
        _put(view, item.key, item.value)
    before = view.members
    for item in items:
        if rehearsal.removes(item.key):
            view.delete(item.key)
    for key, value in rehearsal.written.items():
        if value is not None:
            _put(view, key, value)
    after = view.members
    if any(key.startswith(keys.SERVICES.prefix()) for key in rehearsal.written):
        attached = _attached(items)
        after = {
            name: settled(before[name], member, attached.get(name, NONE)) if name in before else member
            for name, member in after.items()
        }
    return before, after


def _attached(items: Sequence[KeyValue]) -> Mapping[str, Collection[str]]:
    """The endpoints that each node's agent holds and that may serve, by node."""
    found: dict[str, set[str]] = {}
    for item in items:
        if (parts := keys.ATTACHMENTS.parts(item.key)) is not None and NO_VIA in item.value:
            node, endpoint = parts
            found.setdefault(node, set()).add(endpoint)
    return found


def _put(view: ClusterView, key: str, stored: bytes) -> None:
    kind = KINDS.get(_family(key.removeprefix(keys.ROOT)))
    if kind is None:
        return
    try:
        view.put(key, decode(kind.model, stored, key=key))
    except Corrupt as fault:
        log.error("event=corrupt-value key=%s why=%r", key, str(fault))
