"""The devices of a node as a question reads them: by sockets of its own, so that no pass waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from agents.driver import Unreadable
from agents.kernel.neighbours import NeighbourDriver
from agents.kernel.routes import RouteDriver, RuleDriver
from agents.kernel.shares import ShareDriver
from agents.node.explain.differences import Port
from agents.node.explain.questions import NoAnswer
from agents.node.pairs import host_ifname
from agents.node.plug import Busy, Plug
from agents.node.wants import Want
from intent.snapshot import Snapshot
from openflow.errors import SwitchError
from openflow.flow import Flow, FlowKey
from openflow.management import Management
from openflow.meter import Meter
from store.model import HeldKind

Held = Mapping[HeldKind, Mapping[Any, Any]]


class Reader:
    """Reads all that a node holds. Any thread, after it was made by a thread of the node's namespace.

    Args:
        plug: what is plugged in, as the bridge tells.
        management: the switch.
    """

    def __init__(self, plug: Plug, management: Management) -> None:
        self._plug = plug
        self._management = management
        self._drivers: dict[HeldKind, Any] = {
            HeldKind.RULES: RuleDriver(),
            HeldKind.NEIGHBOURS: NeighbourDriver(),
            HeldKind.ROUTES: RouteDriver(),
            HeldKind.SHARES: ShareDriver(),
        }

    def read(self) -> Held:
        """What is there now and carries our mark, by kind. Raises `NoAnswer`."""
        try:
            return {
                HeldKind.PORTS: self._ports(),
                **{held: driver.read() for held, driver in self._drivers.items()},
                HeldKind.METERS: self.meters(),
                HeldKind.FLOWS: self.flows(),
            }
        except (Unreadable, Busy) as fault:
            raise NoAnswer(f"the node cannot be read now: {fault}") from fault

    def flows(self) -> dict[FlowKey, Flow]:
        """Our flows. Raises `NoAnswer`."""
        try:
            return {counted.flow.key: counted.flow for counted in self._management.flows()}
        except SwitchError as fault:
            raise NoAnswer(str(fault)) from fault

    def meters(self) -> dict[int, Meter]:
        """The bridge's meters. Raises `NoAnswer`."""
        try:
            return self._management.meters()
        except SwitchError as fault:
            raise NoAnswer(str(fault)) from fault

    def _ports(self) -> dict[str, Port]:
        plugged = self._plug.read()
        opened = {one.port for one in plugged.values() if one.ofport is not None}
        whose = _whose((one.port, name) for name, one in plugged.items())
        return {port: Port(port, owners, port in opened) for port, owners in whose.items()}


def wanted_ports(wants: Mapping[str, Want], snapshot: Snapshot) -> dict[str, Port]:
    """The ports that what was asked to be attached needs, by name."""
    whose = _whose(
        (want.port or host_ifname(name), name)
        for name, want in wants.items()
        if name in snapshot.endpoints or name in snapshot.departing
    )
    return {port: Port(port, owners, reason=f"of {owners}, attached here") for port, owners in whose.items()}


def _whose(held: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The endpoints of each port, in words: several may share one."""
    owners: dict[str, list[str]] = {}
    for port, name in held:
        owners.setdefault(port, []).append(name)
    return {port: ", ".join(sorted(names)) for port, names in owners.items()}


Passed = Callable[[], tuple[Mapping[Any, Any], ...] | None]
"""What the last pass wanted: rules, neighbours, routes, shares, meters, flows. None before there was one."""
