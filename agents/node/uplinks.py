"""The MTU of this node's uplinks, which is that of its endpoints' links unless their records say another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from agents.knowledge import Knowledge
from intent.mtu import Mtus
from intent.snapshot import Snapshot


class DefaultWays(Protocol):
    """The part of the kernel's links that is needed (`agents.kernel.links.Links`)."""

    def uplinks(self) -> dict[str, int]: ...


class Uplinks:
    """Tells what is known of the node how large packets may be. `measure` is called by one thread.

    Looked at when the agent starts, at each resync, and when the kernel tells of a change: an attach reads
    nothing for it.

    Args:
        kernel: says which interfaces default routes leave by.
        mtus: the MTU of each link by name, as the kernel told it last.
        knowledge: is told.
    """

    def __init__(
        self, kernel: DefaultWays, mtus: Callable[[], Mapping[str, int]], knowledge: Knowledge
    ) -> None:
        self._kernel = kernel
        self._mtus = mtus
        self._knowledge = knowledge
        self._names: frozenset[str] = frozenset()
        self.ways: Mapping[str, int] = {}
        """The MTU of each interface that default routes leave by, as of the last look, by name."""

    def is_one(self, ifname: str) -> bool:
        """Whether endpoints leave by this link, as far as is known. From any thread."""
        return ifname in self._names

    def measure(self) -> None:
        """Look. Raises `KernelError`."""
        ways = self.ways = self._kernel.uplinks()
        snapshot = self._knowledge.snapshot()
        self._names = frozenset({*ways, *_of_segments(snapshot)})
        mtus = Mtus(min(ways.values(), default=None), {**self._mtus(), **ways})
        self._knowledge.measure(mtus)


def _of_segments(snapshot: Snapshot | None) -> set[str]:
    endpoints = snapshot.endpoints.values() if snapshot is not None else ()
    return {each.membership.segment.uplink for each in endpoints if each.membership is not None}
