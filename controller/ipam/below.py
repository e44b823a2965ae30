"""What stands below a node, read in one go: what it is told, and what its programs say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from controller.reading import Found, decodable, scan_all
from store import keys
from store.client import KeyValue, Store
from store.keys import Kind
from store.model import Block, Endpoint, Value

V = TypeVar("V", bound=Value)

SAID = (keys.ATTACHMENTS, keys.READY, keys.ADVERTISED)
"""What the programs of a node say of it."""


@dataclass(frozen=True, slots=True)
class Below:
    """The keys below one node, as of one revision."""

    endpoints: tuple[Found[Endpoint], ...]
    blocks: tuple[Found[Block], ...]
    said: bool
    """Whether its programs said anything."""

    @classmethod
    def read(cls, store: Store, node: str) -> Below:
        """Read them. Raises what the store does."""
        items = scan_all(store, keys.node_prefix(node))
        said = tuple(kind.prefix(node) for kind in SAID)
        return cls(
            _of(keys.NODE_ENDPOINTS, node, items),
            _of(keys.NODE_BLOCKS, node, items),
            any(item.key.startswith(said) for item in items),
        )


def _of(kind: Kind[V], node: str, items: list[KeyValue]) -> tuple[Found[V], ...]:
    prefix = kind.prefix(node)
    return decodable(kind, (item for item in items if item.key.startswith(prefix)))
