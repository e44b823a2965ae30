"""An endpoint's plug: what its node makes for it, and the port of the bridge that is the endpoint's.

A container gets a veth pair into its namespace, and a port at the host's end. For a virtual machine, or a
machine behind a physical port, the port's link is the caller's: it is added and given back, never made.
Several addresses behind one machine share its port, each with a number that stands for a port of its own.
Everything is recorded (`agents.node.record`). A link of ours without a port is what a crash left in between:
swept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from agents.kernel.links import IfnameTaken
from agents.kernel.netlink import KernelError
from agents.kernel.netns import NetnsGone
from agents.node.pairs import OUR_NAME, PairLinks, PairPorts, Pairs, host_ifname
from agents.node.record import SHARED, UPLINK, Plugged, external_ids, identity, plugged
from agents.node.sharing import idle, noted, number_of, refuse_other_use, with_uplink
from agents.node.wants import Refused, Want
from openflow.errors import BridgeError, PortTaken
from openflow.rows import NEEDS_LINK, PortRow
from store.model import Endpoint, IPAddress

__all__ = ["Busy", "Plug", "Plugged", "identity"]

log = logging.getLogger(__name__)

IFINDEX = "polder-ifindex"
"""Says which link a port was added with: another one of the same name is not the same."""


class Busy(Exception):
    """The switch or the kernel did not take it now. Try again after a pause."""


class Ports(PairPorts, Protocol):
    """The part of the bridge that a plug needs (`openflow.bridge.Bridge`)."""

    def add_port(self, name: str, external_ids: Mapping[str, str], *, given: bool = False) -> int: ...
    def holds(self, name: str) -> bool: ...
    def remove_port(self, name: str, *, closed: bool = False) -> None: ...
    def notes(self) -> Mapping[str, Mapping[str, str]]: ...
    def note(self, name: str, external_ids: Mapping[str, str] | None) -> None: ...


class Links(PairLinks, Protocol):
    """The part of the kernel that a plug needs (`agents.kernel.links.Links`)."""

    def take_link(self, ifname: str) -> int: ...
    def give_back_link(self, ifname: str) -> None: ...
    def hold_addresses(
        self,
        path: str,
        netns_id: str,
        ifname: str,
        wanted: Iterable[IPAddress],
        unwanted: Iterable[IPAddress],
    ) -> None: ...
    def remove_link(self, host_ifname: str) -> None: ...
    def owned_links(self) -> Mapping[str, bool]: ...


class Plug:
    """Plugs endpoints in and out. One thread at a time. Everything is idempotent."""

    def __init__(self, links: Links, bridge: Ports) -> None:
        self._links = links
        self._bridge = bridge
        self._taken: set[str] = set()
        """Links of others that were made ready since they are there."""
        self._pairs = Pairs(links, bridge)
        self._rows: dict[str, tuple[PortRow, Plugged | None]] = {}
        self._recorded: (
            tuple[Mapping[str, PortRow], Mapping[str, Mapping[str, str]], dict[str, Plugged], list[str]]
            | None
        ) = None
        """Of what was read last, what that was, and which of it has a port that others gave."""

    def forget(self) -> None:
        """Look at the links of others again."""
        self._taken.clear()

    def read(self) -> dict[str, Plugged]:
        """What is plugged in now, by endpoint, as the bridge tells. Raises `Busy`."""
        try:
            rows, notes = self._bridge.ports(), self._bridge.notes()
        except BridgeError as fault:
            raise Busy(str(fault)) from fault
        if self._recorded is None or self._recorded[0] is not rows or self._recorded[1] != notes:
            found = self._look(rows, notes)
            self._recorded = rows, notes, found, [name for name, one in found.items() if one.want.port]
        _, _, found, given = self._recorded
        read, half = dict(found), self._pairs.incomplete
        read.update((name, self._as_taken(found[name])) for name in given)
        if half:
            read.update((name, replace(one, taken=False)) for name, one in found.items() if one.port in half)
        return read

    def _look(
        self, rows: Mapping[str, PortRow], notes: Mapping[str, Mapping[str, str]]
    ) -> dict[str, Plugged]:
        """What the database says, with the objects of the last look where a row is the same."""
        made, found = dict[str, tuple[PortRow, Plugged | None]](), dict[str, Plugged]()
        for name, row in rows.items():
            kept = self._rows.get(name)
            if kept is None or kept[0] is not row:
                kept = row, plugged(name, row.ofport, row.external_ids)
            made[name] = kept
            if (one := kept[1]) is not None:
                found[one.want.endpoint] = with_uplink(one, rows)
        self._rows = made
        found |= {one.want.endpoint: one for ids in notes.values() if (one := noted(ids, rows)) is not None}
        return found

    def insert(
        self,
        want: Want,
        endpoint: Endpoint,
        services: frozenset[IPAddress] = frozenset(),
        *,
        closed: bool = False,
    ) -> Plugged:
        """Make what the want needs; returns what is there, without a number where the caller's link is gone.

        A container's port has been asked for, with that number, when this returns: `settle` waits for it.
        Ordering: the link is there before its port, and set up after it, when it is complete. `services` are
        what the port says that is there already, and `closed` that the endpoint is to be closed.

        Raises:
            Refused: it cannot be done as asked for.
            Busy: not now.
        """
        try:
            if want.via:
                return self._insert_behind(want, endpoint, services, closed=closed)
            ids = external_ids(want, endpoint, services, closed=closed)
            uplink = self._ensure_uplink(endpoint)
            if want.port:
                ofport = self._insert_given(want.port, ids, endpoint.id)
                return Plugged(want, want.port, ofport, endpoint, services, uplink, closed=closed)
            name, made = self._pairs.insert(want, endpoint, ids)
            return Plugged(want, name, made, endpoint, services, uplink, closed=closed)
        except NetnsGone as fault:
            raise Refused(422, f"netns {want.netns} is not a network namespace on this node") from fault
        except IfnameTaken as fault:
            detail = f"ifname {want.ifname} is taken in {want.netns}; choose another, or detach what holds it"
            raise Refused(409, detail) from fault
        except PortTaken as fault:
            raise Refused(409, f"{fault}; name another") from fault
        except (KernelError, BridgeError) as fault:
            raise Busy(str(fault)) from fault

    def settle(self, there: Plugged) -> Plugged:
        """Wait for the port that `insert` has asked for, and set its link up.

        Returns:
            What is there, perhaps with another number.

        Raises:
            Refused: it cannot be done as asked for.
            Busy: not now.
        """
        try:
            ofport = self._pairs.settle(there.port)
        except PortTaken as fault:
            raise Refused(409, f"{fault}; name another") from fault
        except (KernelError, BridgeError) as fault:
            raise Busy(str(fault)) from fault
        return there if ofport in (None, there.ofport) else replace(there, ofport=ofport)

    def _ensure_uplink(self, endpoint: Endpoint) -> int | None:
        """The number of the port of the segment's uplink; None without a segment."""
        if endpoint.membership is None:
            return None
        name = endpoint.membership.segment.uplink
        refuse_other_use(
            self._bridge.ports(), name, "uplink", "a machine with addresses of endpoints is behind it"
        )
        self._links.take_link(name)
        return self._bridge.add_port(name, {"polder": "uplink", UPLINK: name}, given=True)

    def _insert_behind(
        self, want: Want, endpoint: Endpoint, services: frozenset[IPAddress], *, closed: bool
    ) -> Plugged:
        """The record of an endpoint that shares a port, and the port.

        Ordering: the record comes first, so that a port without any is nobody's.
        """
        refuse_other_use(self._bridge.ports(), want.port, SHARED, "it is the uplink of a segment")
        number = number_of(self._bridge.notes(), endpoint.id)
        self._bridge.note(endpoint.id, external_ids(want, endpoint, services, number, closed=closed))
        mark = {"polder": SHARED, UPLINK: want.port, NEEDS_LINK: "up"}
        shared = self._insert_given(want.port, mark)
        ofport = number if shared is not None else None
        return Plugged(want, want.port, ofport, endpoint, services, shared=shared, closed=closed)

    def _remove_idle_uplinks(self) -> None:
        """Give back the ports that no endpoint here is behind any more."""
        for name in idle(self._bridge.ports(), self._bridge.notes()):
            self._bridge.remove_port(name)
            self._links.give_back_link(name)

    def _as_taken(self, there: Plugged) -> Plugged:
        """A link that came back counts when it was made ready, as a new one does."""
        if not there.want.port:
            return there
        if there.ofport is None:
            self._taken.discard(there.port)
        return there if there.port in self._taken else replace(there, taken=False)

    def _insert_given(self, name: str, ids: dict[str, str], whose: str = "") -> int | None:
        """The port of a link that is the caller's; its number, None while it does not work.

        A link that is gone is not for us to make; a port of somebody else's may need none. One that came back
        is another, which Open vSwitch does not read from before the port was taken out; of the endpoint
        `whose` record the port has, that is noted meanwhile.
        """
        there, index = self._bridge.ports().get(name), self._links.take_link(name)
        if not index and (not self._bridge.holds(name) if there is None else there.ofport is None):
            log.warning("port is gone, or not made yet port=%s", name)
            return None
        was = there.external_ids.get(IFINDEX) if there is not None else None
        is_now = str(index) if index else was  # Open vSwitch may notice later than the kernel that it is gone
        if was not in {None, is_now}:
            if whose:
                self._bridge.note(whose, ids)
            self._bridge.remove_port(name, closed=True)
        self._bridge.add_port(name, {**ids, IFINDEX: is_now} if is_now else ids, given=True)
        if whose in self._bridge.notes():
            self._bridge.note(whose, None)
        self._taken.add(name)
        made = self._bridge.ports().get(name)
        return None if made is None else made.ofport

    def record(self, there: Plugged, want: Want, endpoint: Endpoint, *, closed: bool = False) -> Plugged:
        """Write down what has changed of an endpoint that is plugged in. Raises `Busy`."""
        return self._record(replace(there, want=want, endpoint=endpoint, closed=closed))

    def hold(self, there: Plugged, services: frozenset[IPAddress]) -> Plugged:
        """Have the endpoint's namespace hold these addresses of services, and no others of services.

        Ordering: an address is recorded before it is there, and forgotten after it is gone.

        Raises:
            Busy: not now.
        """
        if not there.want.netns:  # whoever made the machine gives it these addresses
            return self._record(replace(there, services=services)) if services != there.services else there
        unwanted = there.services - services
        if not services <= there.services:
            there = self._record(replace(there, services=there.services | services))
        try:
            want = there.want
            self._links.hold_addresses(want.netns, want.netns_id, want.ifname, services, unwanted)
        except NetnsGone as fault:
            if services:
                raise Busy(str(fault)) from fault
        except KernelError as fault:
            raise Busy(str(fault)) from fault
        return self._record(replace(there, services=services)) if unwanted else there

    def _record(self, wanted: Plugged) -> Plugged:
        """Write down all of it. A port whose record of its endpoint cannot be read is left as it is."""
        if wanted.endpoint is None:
            return wanted
        want, name, closed = wanted.want, wanted.endpoint.id, wanted.closed
        try:
            if want.via:
                number = number_of(self._bridge.notes(), name)
                ids = external_ids(want, wanted.endpoint, wanted.services, number, closed=closed)
                self._bridge.note(name, ids)
                return wanted
            ids = external_ids(want, wanted.endpoint, wanted.services, closed=closed)
            if want.port:
                return replace(wanted, ofport=self._insert_given(want.port, ids, name))
            self._pairs.added(wanted.port)
            return replace(wanted, ofport=self._bridge.add_port(wanted.port, ids))
        except (KernelError, BridgeError) as fault:
            raise Busy(str(fault)) from fault

    def remove(self, endpoint: str) -> None:
        """Take out port and link, or give back the caller's. Raises `Busy`."""
        name = host_ifname(endpoint)
        try:
            self._pairs.added(name)
            if name not in self._bridge.ports():
                self._remove_given(endpoint)
            self._bridge.remove_port(name)
            self._links.remove_link(name)
            self._pairs.incomplete.discard(name)
            if any(UPLINK in row.external_ids for row in self._bridge.ports().values()):
                self._remove_idle_uplinks()
        except (KernelError, BridgeError) as fault:
            raise Busy(str(fault)) from fault

    def _remove_given(self, endpoint: str) -> None:
        if endpoint in self._bridge.notes():
            self._bridge.note(endpoint, None)
        for row in self._bridge.ports().values():
            if row.external_ids.get("polder") == endpoint and "polder-port" in row.external_ids:
                self._bridge.remove_port(row.name)
                self._links.give_back_link(row.name)

    def sweep(self, wanted: Mapping[str, Want]) -> None:
        """Remove links that nobody wants and that have no port; find incomplete ones. Raises `Busy`."""
        keep = {host_ifname(endpoint) for endpoint in wanted}
        keep |= {one.port for one in self.read().values()}
        try:
            links = self._links.owned_links()
            self._pairs.incomplete = {name for name, up in links.items() if name in keep and not up}
            for name in filter(OUR_NAME.fullmatch, links.keys() - keep):
                log.warning("swept a link that nobody wants ifname=%s", name)
                self._links.remove_link(name)
        except KernelError as fault:
            raise Busy(str(fault)) from fault
