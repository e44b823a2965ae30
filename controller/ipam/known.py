"""Pools and nodes as last read: hints that spare each request two reads.

Whoever acts on a hint compares in its transaction that it is still true, and calls `forget` when it was
not. A name that is not known here is looked up before it is called unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.problem import Fault, Problem, invalid, unknown_reference
from controller.reading import Found, Listing, read, scan
from store import keys
from store.client import Compare, PrefixUnwritten, Store
from store.model import IPAddress, Node, Pool

DEFAULT_POOL = "default"


@dataclass(frozen=True, slots=True)
class Choice:
    """The pool that a request means, and what must hold for it to mean that one."""

    pool: Found[Pool]
    compares: tuple[Compare, ...]


class Known:
    """What is known of pools and nodes. Safe to call from many threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pools: Listing[Pool] | None = None
        self._nodes: dict[str, Found[Node]] = {}

    def forget(self) -> None:
        """Read everything again when it is next asked for."""
        self._pools = None
        self._nodes = {}

    def node(self, name: str) -> Found[Node]:
        """The node of a request. Raises `Problem` when there is none."""
        found = self._nodes.get(name) or read(self._store, keys.NODES, name)
        if found is None:
            names = [node.name for node in scan(self._store, keys.NODES).values]
            raise unknown_reference("/node", "node", name, names)
        self._nodes[name] = found
        return found

    def choose(self, name: str | None, address: IPAddress | None) -> Choice:
        """The pool of a request: the named one, else the one of the address, else the default or only one.

        Raises:
            Problem: no pool is meant, or several could be; says which there are.
        """
        if self._pools is not None:
            chosen = _choose(self._pools, name, address)
            if isinstance(chosen, Choice):
                return chosen
        self._pools = pools = scan(self._store, keys.POOLS)
        chosen = _choose(pools, name, address)
        if isinstance(chosen, Problem):
            raise chosen
        return chosen


def _choose(pools: Listing[Pool], name: str | None, address: IPAddress | None) -> Choice | Problem:
    by_name = {found.value.name: found for found in pools.items}
    if name is not None:
        return (
            _choice(by_name[name]) if name in by_name else unknown_reference("/pool", "pool", name, by_name)
        )
    if address is not None:
        holding = next((found for found in pools.items if address in found.value.cidr), None)
        return (
            _choice(holding) if holding else invalid("/address", f"{address} is in no pool{_ranges(pools)}")
        )
    if DEFAULT_POOL in by_name:
        return _choice(by_name[DEFAULT_POOL])
    if len(by_name) == 1:
        unwritten = PrefixUnwritten(keys.POOLS.prefix(), pools.revision)
        return _choice(pools.items[0], unwritten)
    if not by_name:
        return Problem(
            "invalid", "there is no pool yet; create one first", errors=[Fault("no pool", "/pool")]
        )
    return invalid("/pool", f"name the pool; there are {', '.join(sorted(by_name))}")


def _choice(pool: Found[Pool], *compares: Compare) -> Choice:
    return Choice(pool, (pool.unchanged(), *compares))


def _ranges(pools: Listing[Pool]) -> str:
    shown = ", ".join(f"{pool.cidr} ({pool.name})" for pool in pools.values[:5])
    return f"; there are {shown}" if shown else "; there is none yet"
