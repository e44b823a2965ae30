"""Nodes that live and die, and a controller that takes back what the dead held."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from controller.events import Events
from controller.ipam.gone import Gone, RollCall
from controller.ipam.holdings import Pools
from controller.ipam.reclaim import Reclaimer
from controller.reading import put
from store import keys
from store.client import Delete, Store
from store.model import Alive, Attachment, Endpoint, Program
from tests.support.ipam import Controller, now

DAY = timedelta(days=1)


class Time:
    """A time of day, moved by hand."""

    def __init__(self) -> None:
        self.now = now()

    def __call__(self) -> datetime:
        return self.now


class Duty:
    """The parts of the duty of reclaim over one controller's store."""

    def __init__(self, controller: Controller, clock: Callable[[], datetime]) -> None:
        self._controller = controller
        self.roll = RollCall(controller.store, clock, Events(controller.store, clock))
        self.reclaimer = Reclaimer(controller.store, [controller.committer], clock)

    def turn(self) -> list[str]:
        """Look once; returns the endpoints that ended."""
        return self.take(self.roll.call())

    def take(self, gone: dict[str, Gone]) -> list[str]:
        """Take back what these nodes held."""
        at_hand = self._controller.committer, Pools(self._controller.store)
        return sorted(
            each.id for one in gone.values() for each in self.reclaimer.reclaim(one, gone, *at_hand)
        )


def rise(store: Store, node: str, program: Program = Program.AGENT) -> None:
    """A program of a node lives."""
    alive = Alive(node=node, program=program, boot_id="b", started=now())
    store.txn([], [put(keys.ALIVE, alive, node, program.value)])


def fall(store: Store, node: str) -> None:
    """No program of a node lives."""
    store.txn([], [Delete(keys.ALIVE.key(node, program.value)) for program in Program])


def attach(store: Store, endpoint: Endpoint, node: str) -> None:
    """A node holds an endpoint."""
    attachment = Attachment(
        endpoint=endpoint.id,
        node=node,
        addresses=endpoint.addresses,
        netns="/run/netns/x",
        ifname="eth0",
        boot_id="b",
    )
    store.txn([], [put(keys.ATTACHMENTS, attachment, node, endpoint.id)])
