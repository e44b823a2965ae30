"""The last step before a router: what the outbound guard lets through is what is announced, nothing else."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Set

from agents.speaker.peerings import Peerings
from bgp.advertisement import Advertisement
from intent.guard import Guarded, guard
from store.model import IPNetwork, Peer, Pool

log = logging.getLogger(__name__)


class Outbound:
    """Guards what is announced to each peer of a node. One thread at a time."""

    def __init__(self, peerings: Peerings) -> None:
        self._peerings = peerings
        self._last: dict[str, Guarded] = {}

    def replace(
        self,
        peer: Peer,
        wanted: Mapping[IPNetwork, Advertisement],
        pools: Collection[Pool],
        advertised: Set[IPNetwork],
    ) -> None:
        """Make what may leave of `wanted` the whole of what is announced to a peer.

        Args:
            pools: every pool there is.
            advertised: what the peer holds, as far as is known.
        """
        before = self._last.get(peer.name)
        # What was let through a moment ago is on its way, though nobody has acknowledged it yet.
        held = advertised | before.through.keys() if before is not None else advertised
        made = guard(wanted, pools, peer, held)
        if made.first and (before is None or before.first != made.first):
            log.error("event=outbound-guard peer=%s kept=%d first=%r", peer.name, len(made.kept), made.first)
        elif before is not None and before.first and not made.first:
            log.info("event=outbound-guard peer=%s kept=0", peer.name)
        self._last[peer.name] = made
        self._peerings.replace(peer.name, made.through)

    def keep(self, peers: Collection[str]) -> None:
        """Forget all other peers."""
        self._last = {name: made for name, made in self._last.items() if name in peers}

    def kept(self) -> Mapping[str, Guarded]:
        """What was decided last of each peer."""
        return self._last
