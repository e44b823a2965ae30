"""Which nodes are gone: none of their programs lives, and since when, kept where every controller reads it.

A program that lives has a key under its lease, which tells nothing once it has ended. So the elected
controller writes `lost/<node>` when it finds none, and removes it when one is back. Whoever takes something
from a node that is gone compares in the same transaction that this key is as it was and that no program
lives: a node that comes back in the middle is not robbed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from controller.events import Events
from controller.reading import Found, put, read
from controller.rescan import Rescan
from store import keys
from store.client import Absent, Compare, Delete, Store
from store.model import Lost, Node, Program, Severity


@dataclass(frozen=True, slots=True)
class Gone:
    """A node that has been away for longer than its `reclaim_after_s`."""

    node: Found[Node]
    lost: Found[Lost]

    @property
    def name(self) -> str:
        """Of the node."""
        return self.node.value.name

    def proof(self) -> tuple[Compare, ...]:
        """What holds while the node is still gone, and still to be reclaimed."""
        return (self.node.unchanged(), *_away(self.lost))


class RollCall:
    """Asks which nodes live. One thread at a time; many controllers at once do no harm."""

    def __init__(self, store: Store, clock: Callable[[], datetime], events: Events) -> None:
        self._store = store
        self._clock = clock
        self._events = events
        self._nodes = Rescan(store, keys.NODES)
        self._lost = Rescan(store, keys.LOST)

    def call(self) -> dict[str, Gone]:
        """Write down who is lost and who is back; returns the nodes that are gone, by name."""
        nodes = {found.value.name: found for found in self._nodes.look()}
        lost = {found.value.node: found for found in self._lost.look()}
        # By key: a value that cannot be read is a sign of life all the same.
        prefix = keys.ALIVE.prefix()
        living = {item.key.removeprefix(prefix).split("/")[0] for item in self._store.range(prefix).items}
        for name, found in lost.items():
            if name in living or name not in nodes:
                self._back(found, known=name in nodes)
        for name in nodes.keys() - living - lost.keys():
            self._lose(nodes[name])
        now = self._clock()
        return {
            name: Gone(nodes[name], found)
            for name, found in lost.items()
            if name in nodes and name not in living and _is_over(nodes[name].value, found.value, now)
        }

    def _lose(self, node: Found[Node]) -> None:
        name, grace_s = node.value.name, node.value.reclaim_after_s
        key = keys.LOST.key(name)
        mark = put(keys.LOST, Lost(node=name, since=self._clock()), name)
        if self._store.txn((Absent(key), node.unchanged(), *_silent(name)), (mark,)).succeeded:
            then = "its endpoints stay" if not grace_s else f"its endpoints end in {grace_s} s"
            detail = f"no program of node {name} lives; {then} unless it comes back"
            self._events.record(Severity.WARNING, "node-lost", "node", name, detail, node=name)

    def _back(self, lost: Found[Lost], *, known: bool) -> None:
        name = lost.value.node
        if self._store.txn((lost.unchanged(),), (Delete(lost.key),)).succeeded and known:
            detail = f"node {name} is back; it was away since {lost.value.since:%Y-%m-%d %H:%M:%S} UTC"
            self._events.record(Severity.INFO, "node-back", "node", name, detail, node=name)


def proof_of_loss(store: Store, node: str) -> tuple[Compare, ...] | None:
    """What holds while a node is lost, however short; None when it is not, or one of its programs lives."""
    lost = read(store, keys.LOST, node)
    if lost is None or store.get_many([absent.key for absent in _silent(node)]):
        return None
    return _away(lost)


def _away(lost: Found[Lost]) -> tuple[Compare, ...]:
    return (lost.unchanged(), *_silent(lost.value.node))


def _silent(node: str) -> tuple[Absent, ...]:
    return tuple(Absent(keys.ALIVE.key(node, program.value)) for program in Program)


def _is_over(node: Node, lost: Lost, now: datetime) -> bool:
    return node.reclaim_after_s > 0 and now - lost.since >= timedelta(seconds=node.reclaim_after_s)
