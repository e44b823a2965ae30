"""Ports that several endpoints are behind: the uplink of a segment, and the port of a machine. Pure.

What they are is read from the rows of the ports and from the bridge's notes, which record the endpoints
that have no port of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from agents.node.record import NUMBER, UPLINK, Plugged, plugged
from agents.node.wants import Refused
from openflow.behind import NUMBERS
from openflow.rows import PortRow
from store.model import Segment

Notes = Mapping[str, Mapping[str, str]]
Rows = Mapping[str, PortRow]


def number_of(notes: Notes, endpoint: str) -> int:
    """The number that an endpoint has which shares a port, or the lowest that none has.

    Raises:
        Refused: 409, all are taken.
    """
    if (mine := notes.get(endpoint, {}).get(NUMBER, "")).isdecimal():
        return int(mine)
    taken = {ids.get(NUMBER) for ids in notes.values()}
    free = next((number for number in NUMBERS if str(number) not in taken), None)
    if free is None:
        raise Refused(409, f"{len(NUMBERS)} endpoints of this node share ports: put it on another node")
    return free


def refuse_other_use(rows: Rows, name: str, use: str, why_not: str) -> None:
    """Raise `Refused` (409) when the port is shared already, for another use."""
    row = rows.get(name)
    if row is not None and UPLINK in row.external_ids and row.external_ids.get("polder") != use:
        raise Refused(409, f"port {name} cannot be used: {why_not}; name another")


def idle(rows: Rows, notes: Notes) -> Iterator[str]:
    """The shared ports that no endpoint is behind any more."""
    found = [plugged(row.name, row.ofport, row.external_ids) for row in rows.values()]
    used = {segment.uplink for each in found if each is not None and (segment := _segment(each))}
    used |= {ids["polder-port"] for ids in notes.values() if "polder-port" in ids}
    return (row.name for row in rows.values() if UPLINK in row.external_ids and row.name not in used)


def noted(ids: Mapping[str, str], rows: Rows) -> Plugged | None:
    """What has no port of its own: because it shares one, or has none just now."""
    found = plugged(ids.get("polder-port", ""), None, ids)
    row = rows.get(found.port) if found is not None and NUMBER in ids else None
    if found is None or row is None or row.ofport is None or not ids[NUMBER].isdecimal():
        return found
    return replace(found, ofport=int(ids[NUMBER]), shared=row.ofport)


def with_uplink(there: Plugged, rows: Rows) -> Plugged:
    """What is plugged in, with the number of its segment's uplink."""
    if there.endpoint is None or there.endpoint.membership is None:  # as most are
        return there
    row = rows.get(there.endpoint.membership.segment.uplink)
    return there if row is None else replace(there, uplink=row.ofport)


def _segment(there: Plugged) -> Segment | None:
    on = there.endpoint.membership if there.endpoint is not None else None
    return on.segment if on is not None else None
