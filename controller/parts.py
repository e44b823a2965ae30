"""The parts of one controller, wired over one store: what its handlers and duties share."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from controller.anycast import Anycast
from controller.asking import Asking
from controller.bearers import Bearers
from controller.epoch import Epoch
from controller.events import Events
from controller.exchange import current
from controller.gathering import Gathering
from controller.ipam.allocator import Allocator
from controller.ipam.committer import Committer
from controller.ipam.moving import Mover
from controller.ipam.release import Releaser
from controller.joining import Issuer, Joining
from controller.metrics import Metrics
from controller.pulse import Pulse
from controller.recall import Recalling
from controller.registry import Registry
from controller.retire import Retirer
from controller.session_metrics import SessionMetrics
from controller.tokens import Tokens
from controller.waiting import Runner
from controller.watching.hubs import Hubs
from store.client import Store

COMMITTERS = 10
"""One for what is small, the others for the parts of batches: with nine transactions on their way etcd never
waits for the next, and syncs its log for some of them together. More bring nothing."""


def utc_now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Parts:
    """The parts of one controller. Each is safe to call from many threads."""

    identity: str
    """Who this controller is, for whoever looks at what it says or does."""
    store: Store
    clock: Callable[[], datetime]
    metrics: Metrics
    session_metrics: SessionMetrics
    events: Events
    hubs: Hubs
    epoch: Epoch
    pulse: Pulse
    runner: Runner
    committers: Sequence[Committer]
    naming: Committer
    """For what has a name of its own, and for tokens: written too while a restored backup is completed, which
    may lack what nodes need, and have tokens that were revoked since."""
    registry: Registry
    allocator: Allocator
    releaser: Releaser
    mover: Mover
    anycast: Anycast
    retirer: Retirer
    bearers: Bearers
    tokens: Tokens
    joining: Joining
    asking: Asking

    @classmethod
    def build(
        cls, store: Store, clock: Callable[[], datetime] = utc_now, *, issuer: Issuer | None = None
    ) -> Parts:
        """Wire the parts over one store. What has a thread is started; `close` ends it."""
        metrics, runner = Metrics(), Runner()
        epoch, pulse = Epoch(store), Pulse()

        def check() -> None:
            pulse.check()
            epoch.check()

        def committing(guard: Callable[[], None]) -> Committer:
            txn = Recalling(store).txn
            return Committer(store, txn=txn, runner=runner, observe=metrics.committed, guard=guard)

        committers = [committing(check) for _ in range(COMMITTERS)]
        committer, naming = committers[0], committing(pulse.check)
        gathering = Gathering(store, runner)
        bearers = Bearers(store)
        bearers.start()
        return cls(
            identity=f"{socket.gethostname()}:{os.getpid()}",
            store=gathering,
            clock=clock,
            metrics=metrics,
            session_metrics=SessionMetrics(store),
            events=Events(store, clock),
            hubs=Hubs(store),
            epoch=epoch,
            pulse=pulse,
            runner=runner,
            committers=committers,
            naming=naming,
            registry=Registry(store, naming),
            allocator=Allocator(store, committers, clock),
            releaser=Releaser(gathering, committer, clock),
            mover=Mover(store, committer, clock),
            anycast=Anycast(store, committer, clock),
            retirer=Retirer(store, committer),
            bearers=bearers,
            tokens=Tokens(store, naming, bearers, clock),
            joining=Joining(store, clock, issuer, pulse.check),
            asking=Asking(store),
        )

    @property
    def committer(self) -> Committer:
        """The one for all but the parts of batches."""
        return self.committers[0]

    def close(self) -> None:
        """End every watch, and finish what is queued for the store. Idempotent."""
        self.hubs.close()
        self.session_metrics.close()
        for each in (*self.committers, self.naming):
            each.close()
        self.bearers.stop()
        self.pulse.stop()


def parts() -> Parts:
    """The parts of the application that handles this request."""
    return current().parts
