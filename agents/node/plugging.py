"""The plugs of one pass: each endpoint is plugged in or out as its want says, and none waits for another.

What has not changed since the last pass is told by its objects, so a pass costs what has changed. A port is
asked for when its link stands, and waited for when the flows are made: Open vSwitch and the kernel work on it
meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from agents.node.newcomers import Newcomers
from agents.node.plan import Plan
from agents.node.plug import Busy, Plug, Plugged, identity
from agents.node.serving import Services
from agents.node.wants import Refused, Want, Wants
from intent.held import Held
from intent.policy import judged
from intent.snapshot import Snapshot
from store.model import Endpoint, IPAddress

log = logging.getLogger(__name__)

Plugs = dict[str, Plugged]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was held of an endpoint, and of which objects it follows."""

    held: Held
    endpoint: Endpoint
    want: Want
    there: Plugged

    def follows(self, endpoint: Endpoint, want: Want, there: Plugged | None, closed: bool) -> bool:
        same = self.endpoint is endpoint and self.want is want and self.there is there
        return same and self.held.closed is closed


class Plugging:
    """What one pass hands to the next of the plugs. One thread at a time."""

    def __init__(self, plug: Plug, wants: Wants, services: Services) -> None:
        self._plug = plug
        self._wants = wants
        self._services = services
        self._newcomers = Newcomers()
        self.held: dict[str, Held] = {}
        """What the last pass held, by endpoint."""
        self.busy: set[str] = set()
        """Endpoints that could not be plugged in or out in this pass."""
        self._kept: dict[str, _Kept] = {}
        self._grounds: tuple[object, ...] = ()
        """What decides beside an endpoint itself whether rules judge it."""
        self._sure: set[str] = set()
        """Endpoints whose namespaces hold the addresses of services that are recorded."""
        self._asked: list[str] = []
        """Endpoints that were plugged in in this pass, whose ports may be on their way."""

    def forget(self) -> None:
        """Look at every namespace again."""
        self._sure.clear()

    def read(self) -> Plugs:
        """What is plugged in as a pass begins. Raises `Busy`."""
        self.busy, self._asked = set(), []
        return self._plug.read()

    def plug_in(
        self, todo: Plan, snapshot: Snapshot, wants: dict[str, Want], plugged: Plugs
    ) -> dict[str, Held]:
        """Plug in what is to be up; returns what is held, with what still drains."""
        grounds = (snapshot.groups, snapshot.rules)
        same = len(self._grounds) == 2 and all(a is b for a, b in zip(grounds, self._grounds, strict=True))
        kept, self._kept, self._grounds = self._kept if same else {}, {}, grounds
        held, endpoints = {}, {**todo.draining, **todo.up}
        closed = self._newcomers.look(snapshot, endpoints, plugged)
        for name, endpoint in endpoints.items():
            before = kept.get(name)
            if before is not None and before.follows(
                endpoint, wants[name], plugged.get(name), name in closed
            ):
                held[name], self._kept[name] = before.held, before
                continue
            if name in todo.up:
                ensure = partial(self._ensure, endpoint, wants, plugged, closed=name in closed)
                self._without_waiting(name, ensure)
            there = plugged.get(name)
            if name in self.busy:
                held.update(self._as_it_was(endpoint))
            elif there is not None and there.ofport is not None:
                held[name] = self._hold(endpoint, there, judged(snapshot, endpoint), name in closed)
                if name in todo.up and name not in self._asked:
                    self._kept[name] = _Kept(held[name], endpoint, wants[name], there)
        self.held = held
        return held

    def hold_services(
        self, snapshot: Snapshot, up: Mapping[str, Held], plugged: Plugs, *, only: bool
    ) -> None:
        """Have the endpoints hold the addresses of their services; with `only`, and no others of services."""
        for name, one in up.items():
            there = plugged.get(name)
            if there is None or not (snapshot.services or there.services):
                continue
            if not one.serves or name in self.busy:
                continue
            wanted = self._services.addresses(snapshot, one.endpoint)
            services = wanted if only else wanted | there.services
            if services != there.services or (services and name not in self._sure):
                self._without_waiting(name, partial(self._hold_one, name, services, plugged))

    def settle(self, up: Mapping[str, Held], wants: dict[str, Want], plugged: Plugs) -> dict[str, Held]:
        """Wait for the ports that this pass has asked for; returns what is up of those that should be."""
        asked, self._asked = self._asked, []
        for name in asked:
            self._without_waiting(name, partial(self._settle_one, name, wants, plugged))
        return {name: one for name, one in up.items() if name not in asked or name not in self.busy}

    def take_down(self, down: Mapping[str, str], wants: dict[str, Want], plugged: Plugs) -> None:
        """Plug out, and forget the wants; `down` says why of each."""
        for name, why in down.items():
            self._without_waiting(name, partial(self._remove, name, wants, plugged))
            if name not in wants:
                log.info("detached endpoint=%s why=%s", name, why)

    def _hold_one(self, name: str, services: frozenset[IPAddress], plugged: Plugs) -> None:
        plugged[name] = self._plug.hold(plugged[name], services)
        self._sure.add(name)

    def _without_waiting(self, name: str, job: Callable[[], None]) -> None:
        """Plug one endpoint in or out; one that cannot be now is noted, and holds up no other."""
        try:
            job()
        except Busy as fault:
            log.warning("switch or kernel is busy endpoint=%s why=%s", name, fault)
            self.busy.add(name)

    def _as_it_was(self, endpoint: Endpoint) -> dict[str, Held]:
        """What was held of an endpoint that cannot be plugged in just now: it goes on if it is the same."""
        before = self.held.get(endpoint.id)
        same = before is not None and identity(before.endpoint) == identity(endpoint)
        return {endpoint.id: before} if before is not None and same else {}

    def _hold(self, endpoint: Endpoint, there: Plugged, ruled: bool, closed: bool) -> Held:
        """The object of the last pass where nothing has changed: what follows from it is kept by it."""
        numbers = there.uplink or 0, closed, there.shared or 0
        made = Held(endpoint, there.ofport or 0, there.want.via, ruled or closed, *numbers)
        before = self.held.get(endpoint.id)
        return before if before is not None and before.same(made) else made

    def _ensure(self, endpoint: Endpoint, wants: dict[str, Want], plugged: Plugs, *, closed: bool) -> None:
        there, want = plugged.get(endpoint.id), wants[endpoint.id]
        if there is None or not there.serves(want, endpoint):
            self._insert(endpoint, wants, plugged, closed=closed)
        elif there.endpoint != endpoint or there.closed is not closed:
            plugged[endpoint.id] = self._plug.record(there, want, endpoint, closed=closed)

    def _insert(self, endpoint: Endpoint, wants: dict[str, Want], plugged: Plugs, *, closed: bool) -> None:
        name = endpoint.id
        there = plugged.get(name)
        if there is not None and there.identity != identity(endpoint):
            log.warning("link is another endpoint's of this id, made anew endpoint=%s", name)
            self._plug.remove(name)
            plugged.pop(name)
        self._sure.discard(name)
        try:
            services = plugged[name].services if name in plugged else frozenset()
            plugged[name] = self._plug.insert(wants[name], endpoint, services, closed=closed)
            self._asked.append(name)
        except Refused as fault:
            self._refuse(name, wants, plugged, fault)

    def _settle_one(self, name: str, wants: dict[str, Want], plugged: Plugs) -> None:
        asked_for = plugged[name].ofport
        try:
            plugged[name] = self._plug.settle(plugged[name])
        except Refused as fault:
            self._refuse(name, wants, plugged, fault)
            raise Busy("what was made of it already goes with the next pass") from fault
        if plugged[name].ofport != asked_for:
            raise Busy(f"its port has got another number than {asked_for}")

    def _refuse(self, name: str, wants: dict[str, Want], plugged: Plugs, why: Refused) -> None:
        log.warning("not attached endpoint=%s why=%s", name, why)
        self._remove(name, wants, plugged, why)

    def _remove(self, name: str, wants: dict[str, Want], plugged: Plugs, why: Refused | None = None) -> None:
        there = plugged.get(name)
        if there is not None and there.services:
            plugged[name] = self._plug.hold(there, frozenset())
        self._plug.remove(name)
        self._sure.discard(name)
        self._wants.remove(name, why)
        plugged.pop(name, None)
        wants.pop(name, None)
