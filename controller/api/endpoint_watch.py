"""Which endpoint is shown differently because of what its node says: it is held, an address is delivered.

All nodes' own keys have one prefix, and most of what is written there says nothing that an endpoint's view
shows. So a change counts only when a node begins or ceases to say something, or says it of another boot.
"""

from __future__ import annotations

from controller.watching.topic import Beside
from store import keys
from store.client import Change, Changed, KeyValue, key_of
from store.codec import field


def _copy_of(change: Change) -> str | None:
    """The node's copy of the endpoint that a change is about: an endpoint that moved away has none."""
    key, before = key_of(change), change.before
    after = change.item if isinstance(change, Changed) else None
    attachment, ready = keys.ATTACHMENTS.parts(key), keys.READY.parts(key)
    if not (attachment or ready) or _boot_id(before) == _boot_id(after):
        return None
    if attachment:
        return keys.NODE_ENDPOINTS.key(*attachment)
    said = after or before
    endpoint = field(said.value, "endpoint") if said else None
    return keys.NODE_ENDPOINTS.key(ready[0], endpoint) if ready and endpoint else None


def _boot_id(item: KeyValue | None) -> str | None:
    return None if item is None else field(item.value, "boot_id")


SAID_BY_NODES = Beside(keys.ATTACHMENTS.prefix(), _copy_of)
"""What nodes say of their endpoints."""
