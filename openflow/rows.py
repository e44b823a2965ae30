"""The rows of Open vSwitch's database (OVSDB) that make a bridge: which columns we use, how we write them.

What carries `external_ids:polder` is ours; other bridges and ports are neither shown nor touched. The methods
run inside a transaction of `openflow.bridge`, on the replica of the database that it keeps.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from openflow import export as exporting
from openflow.datapath import SYSTEM
from openflow.errors import BridgeRejected, PortTaken

MARK = "polder"
ADOPTED = "polder-adopted"
"""Marks a port that somebody else has added and has given us: it is not ours to remove."""
NEEDS_LINK = "polder-needs-link"
"""Marks a port whose link is made by others: it counts only while that is `there`, or while it is `up`."""
NOTE = "polder-note:"
"""What the keys of notes begin with among the bridge's `external_ids`."""
DATABASE = "Open_vSwitch"
PROTOCOLS = ["OpenFlow13", "OpenFlow14"]
"""1.4 for the agent (bundles), 1.3 for people with ovs-ofctl."""

AWAIT_FLOWS = "flow-restore-wait"
"""Of `other_config`: an ovs-vswitchd that finds it at its start keeps what the kernel's datapath holds,
and handles no packet until it is taken away. One that runs already does not look at it."""
VHOST_USER = ("dpdkvhostuserclient", "dpdkvhostuser")
"""Types of interfaces that are no links of the kernel's. They are up while a guest's process is connected."""
NO_OFPORT = -1
"""What Open vSwitch writes when it cannot open a port's link."""

_MAP = {"key": "string", "value": "string", "min": 0, "max": "unlimited"}
_TEXTS = {"key": "string", "min": 0, "max": "unlimited"}
_MAYBE_TEXT, _MAYBE_NUMBER = {"key": "string", "min": 0, "max": 1}, {"key": "integer", "min": 0, "max": 1}


def _refs(table: str) -> dict[str, object]:
    return {"key": {"type": "uuid", "refTable": table}, "min": 0, "max": "unlimited"}


def _columns(**types: object) -> dict[str, object]:
    return {"columns": {name: {"type": kind} for name, kind in types.items()}}


SCHEMA: dict[str, object] = {
    "name": DATABASE,
    "version": "8.0.0",
    "tables": {
        DATABASE: _columns(
            bridges=_refs("Bridge"),
            other_config=_MAP,
            next_cfg={"key": "integer"},
            cur_cfg={"key": "integer"},
        ),
        "Bridge": _columns(
            name="string",
            ports=_refs("Port"),
            controller=_refs("Controller"),
            fail_mode=_MAYBE_TEXT,
            protocols=_TEXTS,
            datapath_type="string",
            external_ids=_MAP,
            other_config=_MAP,
            **{column: exporting.reference(table) for table, column in exporting.COLUMNS.items()},
        ),
        **exporting.TABLES,
        "Port": _columns(name="string", interfaces=_refs("Interface"), external_ids=_MAP),
        "Interface": _columns(
            name="string",
            type="string",
            ofport=_MAYBE_NUMBER,
            ofport_request=_MAYBE_NUMBER,
            error=_MAYBE_TEXT,
            ifindex=_MAYBE_NUMBER,
            link_state=_MAYBE_TEXT,
        ),
        "Controller": _columns(target="string"),
    },
}
"""The part of the database's schema that we use; it has been the same in every Open vSwitch since 2.0."""

NAMED = ("Bridge", "Port", "Interface")
"""The tables whose rows are looked up by name."""


@dataclass(frozen=True, slots=True)
class PortRow:
    """A port of ours. `ofport` is None while Open vSwitch has given it none, or cannot, or while it lacks the
    link that it `NEEDS_LINK`."""

    name: str
    ofport: int | None
    external_ids: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BridgeSpec:
    """What a bridge should be; see `openflow.bridge.Bridge.ensure`."""

    mac: str
    datapath_type: str


@dataclass(frozen=True, slots=True)
class Restart:
    """What an ovs-vswitchd that starts would do.

    Args:
        awaits_flows: wait until it is told that its flows are there (`AWAIT_FLOWS`).
        keeps_flows: whether that saves packets, and makes nobody else wait: the datapath is the kernel's,
            which goes on meanwhile, and there is no other bridge.
    """

    awaits_flows: bool
    keeps_flows: bool


class Rows:
    """One bridge in a replica of the database; `tables` are the replica's, still empty."""

    def __init__(self, tables: Mapping[str, Any], name: str) -> None:
        self.tables = tables
        self.name = name
        self._names: dict[UUID, str] = {}
        """Of the bridge's ports."""
        self._regrouped = True
        """Whether the bridge may have other ports than those."""
        self._changed: set[str] = set()
        self._read: Mapping[str, PortRow] = {}
        for table in NAMED:
            tables[table].rows.index_create("name").add_column("name")

    def changed(self, table: str, row: Any) -> None:
        """Take note that the replica has changed a row: it is read again when next asked for."""
        if table in {"Port", "Interface"}:  # a port of ours has one interface, of its own name
            self._changed.add(row.name)
        elif table == "Bridge":
            self._regrouped = True

    def ports(self) -> Mapping[str, PortRow]:
        """Our ports by name; none without a bridge. Reads the rows that have changed; while there are none
        it is the same mapping again."""
        gone, new = self._regroup() if self._regrouped else ([], [])
        ours = self._names.values() if self._changed else ()
        read = {name: self._port(name) for name in (*new, *self._changed.intersection(ours))}
        self._changed.clear()
        if gone or any(self._read.get(name) != row for name, row in read.items()):
            kept = dict(self._read)
            for name in (*gone, *read):
                kept.pop(name, None)
            self._read = kept | {name: row for name, row in read.items() if row is not None}
        return self._read

    def _regroup(self) -> tuple[list[str], list[str]]:
        """Look at which ports the bridge has: the names of those that have gone, and that have come."""
        members, rows = self._members(), self.tables["Port"].rows
        gone = [self._names.pop(uuid) for uuid in self._names.keys() - members]
        new = {uuid: rows[uuid].name for uuid in members - self._names.keys() if uuid in rows}
        self._names |= new
        self._regrouped = len(self._names) < len(members)
        return gone, list(new.values())

    def ofport(self, name: str) -> int | None:
        """The OpenFlow number of a port; None while there is none yet.

        Raises:
            BridgeRejected: Open vSwitch cannot open the link.
        """
        for interface in self._named("Interface", name):
            if interface.ofport == [NO_OFPORT]:
                why = "; ".join(interface.error) or "no reason given"
                raise BridgeRejected(f"Open vSwitch cannot open {name}: {why}")
            return next(iter(interface.ofport), None)
        return None

    def notes(self) -> dict[str, dict[str, str]]:
        """What is noted with the bridge, by name; none without a bridge."""
        bridge = self._bridge()
        found = bridge.external_ids.items() if bridge else ()
        return {key.removeprefix(NOTE): _noted(text) for key, text in found if key.startswith(NOTE)}

    def note(self, name: str, external_ids: Mapping[str, str] | None) -> None:
        """Note something with the bridge, or forget it. Raises `BridgeRejected` without a bridge."""
        bridge = self._bridge()
        if bridge is None:
            raise BridgeRejected(f"there is no bridge {self.name}")
        others = {key: text for key, text in bridge.external_ids.items() if key != NOTE + name}
        noted = {NOTE + name: json.dumps(dict(external_ids))} if external_ids is not None else {}
        _set(bridge, "external_ids", {**others, **noted})

    def holds(self, name: str) -> bool:
        """Whether the bridge has a port of this name, whoever added it."""
        port = next(self._named("Port", name), None)
        return port is not None and port.uuid in self._members()

    def configure(self, txn: Any, wanted: BridgeSpec) -> None:
        """Write the bridge. Raises `BridgeRejected` when one of this name is not ours."""
        bridge = self._bridge()
        if bridge is None:
            bridge = self._make(txn, wanted.datapath_type)
        elif MARK not in bridge.external_ids:
            raise BridgeRejected(f"bridge {self.name} exists and is not Polder's")
        _set(bridge, "fail_mode", ["secure"])
        _set(bridge, "protocols", PROTOCOLS)
        dpid = f"{int(wanted.mac.replace(':', ''), 16):016x}"
        _set_keys(
            bridge, "other_config", {"hwaddr": wanted.mac, "datapath-id": dpid, "disable-in-band": "true"}
        )
        _set(bridge, "controller", [])

    def restart(self) -> Restart:
        """What a restart of ovs-vswitchd would do now."""
        roots, bridge = self.tables[DATABASE].rows.values(), self._bridge()
        alone = bridge is not None and len(self.tables["Bridge"].rows) == 1
        return Restart(
            awaits_flows=any(root.other_config.get(AWAIT_FLOWS) == "true" for root in roots),
            keeps_flows=alone and bridge.datapath_type == SYSTEM,
        )

    def await_flows(self, wanted: bool) -> None:
        """Write or take away what an ovs-vswitchd that starts looks for."""
        if self.restart().awaits_flows is wanted:
            return
        for root in self.tables[DATABASE].rows.values():
            others = {key: text for key, text in root.other_config.items() if key != AWAIT_FLOWS}
            _set(root, "other_config", {**others, **({AWAIT_FLOWS: "true"} if wanted else {})})
            root.increment("next_cfg")

    @property
    def configured(self) -> bool:
        """Whether ovs-vswitchd has done all that it was asked for."""
        return all(root.cur_cfg >= root.next_cfg for root in self.tables[DATABASE].rows.values())

    def export(self, txn: Any, wanted: exporting.ExportSpec | None) -> None:
        """Have the bridge tell a collector. Raises `BridgeRejected` when it cannot be had to."""
        bridge = self._bridge()
        if bridge is None:
            raise BridgeRejected(f"there is no bridge {self.name}")
        exporting.configure(txn, self.tables, bridge, wanted)

    def put(
        self,
        txn: Any,
        name: str,
        external_ids: Mapping[str, str],
        *,
        given: bool = False,
        ofport: int | None = None,
    ) -> None:
        """Write a port; with `given` also one that somebody else has added to the bridge. A new one is to
        have the OpenFlow number `ofport`, if that is free.

        Raises `BridgeRejected` without a bridge, or when the port is not ours.
        """
        bridge = self._bridge()
        if bridge is None:
            raise BridgeRejected(f"there is no bridge {self.name}")
        if given and self.holds(name):
            port = next(self._named("Port", name))
            if MARK not in port.external_ids or ADOPTED in port.external_ids:
                _set(port, "external_ids", {**_foreign(port), ADOPTED: "true", **external_ids})
                return
        port = self._own_port(name)
        if port is not None and port.interfaces[0].ofport != [NO_OFPORT]:
            _set(port, "external_ids", dict(external_ids))
            return
        if port is not None:
            # Open vSwitch gave this row up; only a new one makes it try again.
            bridge.delvalue("ports", port)
        bridge.addvalue("ports", self._insert_port(txn, name, "", external_ids, ofport))

    def take(self, name: str, *, told: bool = False) -> None:
        """Remove a port if it is there; one that was adopted stays, without our mark.

        With `told` ovs-vswitchd says when it is done (`configured`). Raises `BridgeRejected` when the port is
        not ours.
        """
        port = self._own_port(name)
        if port is not None and ADOPTED in port.external_ids:
            _set(port, "external_ids", _foreign(port))
        elif port is not None:
            self._bridge().delvalue("ports", port)
            for root in self.tables[DATABASE].rows.values() if told else ():
                root.increment("next_cfg")

    def _make(self, txn: Any, datapath_type: str) -> Any:
        bridge = txn.insert(self.tables["Bridge"])
        bridge.name = self.name
        bridge.datapath_type = datapath_type
        bridge.external_ids = {MARK: "bridge"}
        bridge.ports = [self._insert_port(txn, self.name, "internal", {})]
        root = next(iter(self.tables[DATABASE].rows.values()))
        root.addvalue("bridges", bridge)
        return bridge

    def _insert_port(
        self, txn: Any, name: str, kind: str, external_ids: Mapping[str, str], ofport: int | None = None
    ) -> Any:
        interface = txn.insert(self.tables["Interface"])
        interface.name = name
        interface.type = kind
        if ofport is not None:
            interface.ofport_request = [ofport]
        port = txn.insert(self.tables["Port"])
        port.name = name
        port.interfaces = [interface]
        port.external_ids = dict(external_ids)
        return port

    def _members(self) -> frozenset[UUID]:
        """The bridge's ports. The library's own way to them builds and sorts all of their rows."""
        bridge = self._bridge()
        return frozenset(atom.value for atom in bridge._data["ports"].values) if bridge else frozenset()

    def _bridge(self) -> Any:
        return next(self._named("Bridge", self.name), None)

    def _port(self, name: str) -> PortRow | None:
        """A port as a value; None when it is not ours."""
        port = next(self._named("Port", name), None)
        if port is None or MARK not in port.external_ids:
            return None
        return PortRow(name, _ofport(port), dict(port.external_ids))

    def _own_port(self, name: str) -> Any:
        port = next(self._named("Port", name), None)
        if port is None or (MARK in port.external_ids and port.uuid in self._members()):
            return port
        raise PortTaken(f"port {name} exists and is not Polder's")

    def _named(self, table: str, name: str) -> Iterator[Any]:
        rows = self.tables[table].rows
        wanted = rows.IndexEntry(name=name)
        found: Iterator[Any] = rows.indexes["name"].irange(wanted, wanted)
        return found


def _ofport(port: Any) -> int | None:
    interface, needs = port.interfaces[0], port.external_ids.get(NEEDS_LINK)
    gone = interface.ifindex == [0] and ADOPTED not in port.external_ids
    tells = needs == "up" or (needs and interface.type in VHOST_USER)
    if (needs and gone) or (tells and interface.link_state == ["down"]):
        return None
    return next((number for number in interface.ofport if number != NO_OFPORT), None)


def _noted(text: str) -> dict[str, str]:
    """A note as it was written; empty when somebody else has written there."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def _foreign(port: Any) -> dict[str, str]:
    """What others have written of a port."""
    written = port.external_ids.items()
    return {key: text for key, text in written if key != MARK and not key.startswith(f"{MARK}-")}


def _get(row: Any, column: str, default: Any) -> Any:
    """A column's value; the default for a row of this transaction that has not been given one."""
    return getattr(row, column, default)


def _set(row: Any, column: str, value: Any) -> None:
    """Write a column when it differs: the library sends what is written, different or not."""
    if _get(row, column, None) != value:
        setattr(row, column, value)


def _set_keys(row: Any, column: str, wanted: Mapping[str, str]) -> None:
    """Write some keys of a map and leave the others."""
    _set(row, column, {**_get(row, column, {}), **wanted})
