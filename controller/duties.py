"""The duties of the controllers, each done by one replica."""

from __future__ import annotations

import logging
from collections.abc import Callable

from controller import direct, draining, moves, withdrawing
from controller.compiling import Compiling
from controller.direct import Segments
from controller.draining import Drains
from controller.election import Duty, Election
from controller.finalising import Finaliser
from controller.ipam.committer import Committer
from controller.ipam.giveback import EmptyBlocks
from controller.ipam.reclaim import COMMITTERS, Reclaimer
from controller.ipam.together import Together
from controller.moves import Moves
from controller.parts import Parts
from controller.periodic import Periodic
from controller.prompted import Prompted
from controller.reclaiming import Reclaiming
from controller.reported import Reported
from controller.restoring import Restoring
from controller.withdrawing import Withdrawals
from store.client import Store

log = logging.getLogger(__name__)

RELEASE = "release"
RECLAIM = "reclaim"
TIDY = "tidy"
RESTORE = "restore"
DRAIN = "drain"
MOVE = "move"
SEGMENT = "segment"
WITHDRAW = "withdraw"
SESSIONS = "sessions"
POLICIES = "policies"
TIDY_S = 20.0
"""Between two looks at what is left behind: at all of it."""


def election(store: Store, parts: Parts) -> Election:
    """One controller's campaign for each of the duties."""
    duties: dict[str, Callable[[], Duty]] = {
        RELEASE: lambda: Finaliser(store, parts.releaser),
        RECLAIM: lambda: reclaiming(store, parts),
        TIDY: lambda: _tidying(store, parts),
        DRAIN: lambda: Prompted(
            DRAIN, store, Drains(store, parts.clock, parts.events).look, draining.PERIOD_S
        ),
        MOVE: lambda: Prompted(MOVE, store, Moves(store, parts.events).look, moves.REST_S),
        SEGMENT: lambda: Prompted(SEGMENT, store, Segments(store).look, direct.REST_S),
        WITHDRAW: lambda: Prompted(
            WITHDRAW,
            store,
            Withdrawals(store, parts.committer, parts.clock).look,
            withdrawing.REST_S,
        ),
        SESSIONS: lambda: Reported(store, parts.clock, parts.events),
        POLICIES: lambda: Compiling(store, POLICIES, parts.identity, parts.epoch.check),
        RESTORE: lambda: Restoring(store, parts.epoch, parts.clock, parts.events),
    }
    return Election(store, parts.identity, duties, parts.metrics.leads)


def _tidying(store: Store, parts: Parts) -> Periodic:
    """What requests left behind goes: endpoints that somebody died making together, and empty blocks."""
    together = Together(store, parts.committer, parts.clock)
    empty = EmptyBlocks(store, parts.committer)

    def look() -> None:
        together.undo_overdue()
        for block in empty.give_back():
            log.info("event=given-back block=%s pool=%s node=%s", block.cidr, block.pool, block.node)

    return Periodic(TIDY, look, TIDY_S)


def reclaiming(store: Store, parts: Parts) -> Reclaiming:
    """A term of the duty of reclaim. Its committers are its own: no request waits behind what it frees."""
    guard = parts.epoch.check
    committers = [Committer(store, observe=parts.metrics.committed, guard=guard) for _ in range(COMMITTERS)]
    reclaimer = Reclaimer(store, committers, parts.clock)
    return Reclaiming(store, reclaimer, parts.clock, parts.events, parts.metrics, committers, guard=guard)
