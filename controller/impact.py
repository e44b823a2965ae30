"""What a rehearsed write would do at every router, from all that speakers read."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from controller.reading import read_at_once
from controller.rehearsal import Rehearsal
from intent import cluster, impact
from intent.cluster import ClusterView
from store import keys
from store.client import Store
from store.codec import decode
from store.errors import Corrupt
from store.keys import Kind
from store.model import Value

log = logging.getLogger(__name__)

PASSED_BY = (keys.ATTACHMENTS, keys.HOLDING)
"""What no advertisement depends on, and there may be much of: it is not even decoded."""


def _family(path: str) -> str:
    """What a key has in common with all of its kind, and with no other that speakers read."""
    parts = path.split("/")
    return f"node/{parts[2]}" if parts[0] == "node" and len(parts) > 2 else parts[0]


KINDS: Mapping[str, Kind[Value]] = {
    _family(kind.template): kind for kind in keys.KINDS if kind not in PASSED_BY
}


def foresee(store: Store, rehearsal: Rehearsal) -> tuple[impact.Impact, int]:
    """What is done when the rehearsed writes are made, and the revision that this is of."""
    items, revision = read_at_once(store, cluster.watched())
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
    return impact.impact(before, view.members, time.time()), revision


def _put(view: ClusterView, key: str, stored: bytes) -> None:
    kind = KINDS.get(_family(key.removeprefix(keys.ROOT)))
    if kind is None:
        return
    try:
        view.put(key, decode(kind.model, stored, key=key))
    except Corrupt as fault:
        log.error("event=corrupt-value key=%s why=%r", key, str(fault))
