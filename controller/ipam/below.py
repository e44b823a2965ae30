"""What stands below a node, read in one go: what it is told, and what its programs say."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from controller.ipam.ending import Ending
from controller.reading import Found, decodable, scan_all
from store import keys
from store.client import KeyValue, Store
from store.errors import Corrupt
from store.model import Block

log = logging.getLogger(__name__)

SAID = (keys.ATTACHMENTS, keys.READY, keys.ADVERTISED, keys.IMPORTED)
"""What the programs of a node say of it."""


@dataclass(frozen=True, slots=True)
class Below:
    """The keys below one node, as of one revision."""

    endpoints: tuple[Ending, ...]
    blocks: tuple[Found[Block], ...]
    said: bool
    """Whether its programs said anything."""

    @classmethod
    def read(cls, store: Store, node: str) -> Below:
        """Read them. Raises what the store does."""
        items = scan_all(store, keys.node_prefix(node))
        copies, claims = keys.NODE_ENDPOINTS.prefix(node), keys.NODE_BLOCKS.prefix(node)
        said = tuple(kind.prefix(node) for kind in SAID)
        return cls(
            tuple(_endings(item for item in items if item.key.startswith(copies))),
            decodable(keys.NODE_BLOCKS, (item for item in items if item.key.startswith(claims))),
            any(item.key.startswith(said) for item in items),
        )


def _endings(copies: Iterable[KeyValue]) -> Iterable[Ending]:
    for item in copies:
        try:
            yield Ending.read(item)
        except Corrupt as fault:
            log.error("event=corrupt-value key=%s why=%r", item.key, str(fault))
