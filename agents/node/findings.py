"""What this node finds that people have to mend: each said with its cure, as long as it is so.

A node writes no events. It says what is amiss with its sign of life, and a controller makes events of that.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

from agents.reconciler import Reconciler
from intent.shares import Discipline, Share, ShareKey, overbooked
from store.model import Amiss, Node

log = logging.getLogger(__name__)

MTU, NOT_SHARED, OVERBOOKED = "uplink-mtu", "uplink-not-shared", "uplink-overbooked"


class Findings:
    """Remembers what was found last. `look` is called by one thread, the rest may be read by any.

    Args:
        refused: why the kernel took no queueing discipline on an interface, by name.
    """

    def __init__(self, refused: Mapping[str, str]) -> None:
        self._refused = refused
        self.amiss: tuple[Amiss, ...] | None = None
        """What is amiss; None before it was looked."""
        self.unshared: frozenset[str] = frozenset()
        """The uplinks that should be shared out and are not."""

    def look(
        self,
        node: Node,
        ways: Mapping[str, int],
        wanted: Mapping[ShareKey, Share],
        shares: Reconciler[Any, Any],
    ) -> bool:
        """Look again. Returns whether something is new, or no longer so.

        Args:
            node: the node's record.
            ways: the MTU of each interface that default routes leave by, by name.
            wanted: what its uplinks should have.
            shares: knows what they have.
        """
        if not shares.known:
            return False
        self.unshared = unshared(node, wanted, shares.actual)
        found = amiss(node, ways, wanted, {name: self._refused.get(name, "") for name in self.unshared})
        if found == self.amiss:
            return False
        self._log(self.amiss or (), found)
        self.amiss = found
        return True

    def _log(self, before: tuple[Amiss, ...], found: tuple[Amiss, ...]) -> None:
        for each in found:
            if each not in before:
                log.warning("amiss=%s uplink=%s why=%s", each.reason, each.uplink, each.detail)
        lasting = {(each.reason, each.uplink) for each in found}
        for each in before:
            if (each.reason, each.uplink) not in lasting:
                log.info("over=%s uplink=%s", each.reason, each.uplink)


def unshared(
    node: Node, wanted: Mapping[ShareKey, Share], actual: Mapping[ShareKey, Share]
) -> frozenset[str]:
    """The uplinks that should be shared out and are not. Pure."""
    disciplines = {Discipline(each.ifname) for each in node.uplinks}
    return frozenset(each.ifname for each in disciplines if each in wanted and each not in actual)


def amiss(
    node: Node, ways: Mapping[str, int], wanted: Mapping[ShareKey, Share], refused: Mapping[str, str]
) -> tuple[Amiss, ...]:
    """What is amiss. Pure.

    Args:
        node, ways, wanted: as `Findings.look` has them.
        refused: the uplinks that should be shared out and are not, and why.
    """
    found = [*_too_large(node, ways)]
    for uplink in node.uplinks:
        found += _of_shares(node, uplink.ifname, wanted, refused)
    return tuple(found)


def _too_large(node: Node, ways: Mapping[str, int]) -> Iterator[Amiss]:
    """That the MTU which the node's record says is more than can be."""
    if node.mtu_bytes is None or not ways:
        return
    uplink, least = min(ways.items(), key=lambda each: each[1])
    if node.mtu_bytes > least:
        why = (
            f"endpoints of {node.name} get {node.mtu_bytes} bytes, and its uplink {uplink} takes {least}; "
            f'raise that, or polder node set {node.name} --mtu-bytes ""'
        )
        yield Amiss(reason=MTU, uplink=uplink, detail=why)


def _of_shares(
    node: Node, uplink: str, wanted: Mapping[ShareKey, Share], refused: Mapping[str, str]
) -> Iterator[Amiss]:
    if uplink in refused:
        why = f"nothing is shared out on {uplink} of {node.name}: {refused[uplink]}"
        yield Amiss(reason=NOT_SHARED, uplink=uplink, detail=why[:400])
    if (much := overbooked(wanted, uplink)) is not None:
        asked, most = much
        why = (
            f"endpoints of {node.name} are guaranteed {asked} kbps of {uplink}, which has {most} for them: "
            f"each gets its part; polder endpoint set ID --guaranteed RATE, or move some to other nodes"
        )
        yield Amiss(reason=OVERBOOKED, uplink=uplink, detail=why)
