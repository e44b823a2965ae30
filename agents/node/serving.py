"""The services of a node at each pass: which of its endpoints hold their addresses, and which are healthy.

What comes up comes in this order: the address in the endpoint's namespace, then whatever else there is for
the service. What goes down goes the other way round.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from agents.node.health.checker import Key, Target
from agents.node.health.verdict import PRESUMED, Verdict
from agents.node.plug import Plugged
from intent.held import Held
from intent.services import Serving, selected, servings, unfit
from intent.snapshot import Snapshot
from store import keys
from store.model import Backend, Endpoint, Health, IPAddress, Service

NOT_CHECKED = Verdict()
BEHIND = (
    "it is attached with via, behind a neighbour, and takes no packets of services: "
    "attach it to a port of its own, without via"
)


class Checks(Protocol):
    """Who checks endpoints (`agents.node.health.checker.Checker`)."""

    def watch(self, targets: Mapping[Key, Target], presumed: Collection[Key] = ()) -> None: ...
    def verdicts(self) -> Mapping[Key, Verdict]: ...


class Services:
    """What one pass hands to the next. One thread at a time."""

    def __init__(self, checks: Checks, boot_id: str) -> None:
        self._checks = checks
        self._boot_id = boot_id
        self._known: Mapping[str, Service] = {}
        self._chosen: dict[str, tuple[Endpoint, tuple[Service, ...]]] = {}
        self._now: dict[str, Serving] = {}
        self._behind: frozenset[str] = frozenset()
        """The endpoints that are behind a neighbour."""
        self._verdicts: Mapping[Key, Verdict] | None = None
        """Those of the last look."""

    @property
    def current(self) -> bool:
        """Whether the checks say what they said at the last look."""
        return self._checks.verdicts() is self._verdicts

    def addresses(self, snapshot: Snapshot, endpoint: Endpoint) -> frozenset[IPAddress]:
        """The addresses of services that an endpoint is to hold."""
        return frozenset(each.address for each in self._of(snapshot, endpoint) if selected(each, endpoint))

    def look(
        self, snapshot: Snapshot, up: Mapping[str, Held], plugged: Mapping[str, Plugged]
    ) -> dict[str, Serving]:
        """The services that this node serves or holds, by name; begins and ends checks.

        Args:
            snapshot: what should be.
            up: the endpoints that are plugged in, to stay.
            plugged: what each namespace holds.
        """
        self._behind = frozenset(name for name, held in up.items() if held.via)
        holders: dict[str, list[Held]] = {}
        targets: dict[Key, Target] = {}
        for name, held in up.items() if snapshot.services else ():
            there = plugged.get(name)
            for service in self._of(snapshot, held.endpoint):
                if there is None or service.address not in there.services:
                    continue
                holders.setdefault(service.name, []).append(held)
                address = service.target(held.endpoint)
                if service.check is not None and address is not None:
                    targets[service.name, name] = Target(service.check, address)
        # Who took packets goes on until a check says otherwise, also when it is the first that there is.
        presumed = self._said(snapshot) if self._verdicts is None else self._taking()
        self._checks.watch(targets, presumed)
        self._verdicts = self._checks.verdicts()
        wanted = [snapshot.services[name] for name in sorted(holders)]
        self._now = servings(wanted, holders, self._is_healthy, self._now)
        return self._now

    def report(self, snapshot: Snapshot) -> dict[str, Health]:
        """What to say of each service that selects an endpoint of this node, by its key."""
        backends: dict[str, list[Backend]] = {}
        mine = snapshot.endpoints.values() if snapshot.services else ()
        for endpoint in sorted(mine, key=lambda each: each.id):
            for service in self._of(snapshot, endpoint):
                why = self._why_not(service, endpoint)
                made = Backend(endpoint=endpoint.id, healthy=not why, why=why)
                backends.setdefault(service.name, []).append(made)
        return {
            keys.HEALTH.key(snapshot.name, name): Health(
                service=name, node=snapshot.name, boot_id=self._boot_id, backends=tuple(each)
            )
            for name, each in backends.items()
        }

    def _of(self, snapshot: Snapshot, endpoint: Endpoint) -> tuple[Service, ...]:
        """The services whose labels an endpoint has. Asked at every pass: what is known is kept."""
        if self._known is not snapshot.services:
            self._known, self._chosen = snapshot.services, {}
        kept = self._chosen.get(endpoint.id)
        if kept is None or kept[0] is not endpoint:
            chosen = tuple(each for each in snapshot.services.values() if each.selects(endpoint))
            kept = self._chosen[endpoint.id] = endpoint, chosen
        return kept[1]

    def _said(self, snapshot: Snapshot) -> frozenset[Key]:
        """What an agent before this one said to be healthy, since the node's last boot."""
        return frozenset(
            (health.service, each.endpoint)
            for health in snapshot.health.values()
            if health.boot_id == self._boot_id
            for each in health.backends
            if each.healthy
        )

    def _taking(self) -> frozenset[Key]:
        """The endpoints that took packets at the last look."""
        return frozenset(
            (name, one.endpoint.id) for name, serving in self._now.items() for one in serving.takers
        )

    def _is_healthy(self, service: Service, endpoint: Endpoint) -> bool:
        return self._verdict(service, endpoint).healthy

    def _verdict(self, service: Service, endpoint: Endpoint) -> Verdict:
        if service.check is None:
            return PRESUMED
        return (self._verdicts or {}).get((service.name, endpoint.id), NOT_CHECKED)

    def _why_not(self, service: Service, endpoint: Endpoint) -> str:
        if why := unfit(service, endpoint):
            return why
        if endpoint.id in self._behind:
            return BEHIND
        serving = self._now.get(service.name)
        if serving is None or all(one.endpoint.id != endpoint.id for one in serving.holders):
            return "it is not attached"
        verdict = self._verdict(service, endpoint)
        return "" if verdict.healthy else verdict.why
