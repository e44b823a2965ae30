"""The last step before a router: what the outbound guard lets through is what is announced, nothing else."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from datetime import UTC, datetime

from agents.speaker.peerings import Peerings
from bgp.advertisement import Advertisement
from intent.guard import Guarded, guard
from intent.snapshot import Snapshot
from store.model import IPNetwork, Peer, Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided last of a peer, and since when something is kept back, or nothing any more."""

    guarded: Guarded
    since: datetime | None


class Outbound:
    """Guards what is announced to each peer of a node. One thread at a time."""

    def __init__(self, peerings: Peerings) -> None:
        self._peerings = peerings
        self._last: dict[str, Outcome] = {}

    def replace(
        self,
        snapshot: Snapshot,
        peer: Peer,
        wanted: Mapping[IPNetwork, Advertisement],
        advertised: Set[IPNetwork],
    ) -> None:
        """Make what may leave of `wanted` the whole of what is announced to a peer.

        Args:
            snapshot: of the node.
            advertised: what the peer holds, as far as is known.
        """
        last = self._last.get(peer.name)
        before = last.guarded if last is not None else Guarded({}, {})
        # What was let through a moment ago is on its way, though nobody has acknowledged it yet.
        made = guard(wanted, snapshot.pools.values(), peer, advertised | before.through.keys())
        if made.first and made.first != before.first:
            log.error("event=outbound-guard peer=%s kept=%d first=%r", peer.name, len(made.kept), made.first)
        elif before.first and not made.first:
            log.info("event=outbound-guard peer=%s kept=0", peer.name)
        since = _since(last, made, snapshot.sessions.get(peer.name))
        self._last[peer.name] = Outcome(made, since)
        self._peerings.replace(peer.name, made.through)

    def keep(self, peers: Collection[str]) -> None:
        """Forget all other peers."""
        self._last = {name: made for name, made in self._last.items() if name in peers}

    def outcomes(self) -> Mapping[str, Outcome]:
        """What was decided last of each peer."""
        return self._last


def _since(last: Outcome | None, made: Guarded, said: Session | None) -> datetime | None:
    """Since when it is so that something is kept back, or that nothing is."""
    if last is not None:
        was, since = bool(last.guarded.kept), last.since
    elif said is not None:  # by an earlier life of this program
        was, since = said.guarded > 0, said.guarded_since
    else:
        was, since = False, None
    return since if was == bool(made.kept) else datetime.now(UTC)
