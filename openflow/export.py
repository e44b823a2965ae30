"""The rows of Open vSwitch's database by which a bridge tells a collector of sampled packets (IPFIX, sFlow).

A row of ours has `external_ids:polder`. What somebody else has configured on the bridge stays, and is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from openflow.errors import BridgeRejected

MARK = "polder"
IPFIX, SFLOW = "IPFIX", "sFlow"
COLUMNS = {IPFIX: "ipfix", SFLOW: "sflow"}
"""The kinds of rows, and the column of a bridge that refers to one."""

_MAP = {"key": "string", "value": "string", "min": 0, "max": "unlimited"}
_TARGETS = {"key": "string", "min": 1, "max": "unlimited"}
_NUMBER = {"key": "integer", "min": 0, "max": 1}


def _table(**columns: object) -> dict[str, object]:
    made = {"targets": _TARGETS, "sampling": _NUMBER, "external_ids": _MAP, **columns}
    return {"columns": {name: {"type": kind} for name, kind in made.items()}}


TABLES: dict[str, object] = {
    IPFIX: _table(obs_domain_id=_NUMBER, cache_active_timeout=_NUMBER),
    SFLOW: _table(polling=_NUMBER, header=_NUMBER),
}
"""Of the database's schema what is used."""


def reference(table: str) -> dict[str, object]:
    """The type of a bridge's column that refers to such a row."""
    return {"key": {"type": "uuid", "refTable": table}, "min": 0, "max": 1}


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """What a bridge tells to whom.

    Args:
        table: `IPFIX` or `sFlow`.
        target: `192.0.2.9:4739`; an IPv6 address in brackets.
        sampling: one packet in so many.
        numbers: what else the row has.
    """

    table: str
    target: str
    sampling: int
    numbers: tuple[tuple[str, int], ...] = ()


def configure(txn: Any, tables: Mapping[str, Any], bridge: Any, wanted: ExportSpec | None) -> None:
    """Make the bridge tell so, and nothing else that is ours. What is right is not written.

    Raises:
        BridgeRejected: somebody else has configured the same kind of export.
    """
    for table, column in COLUMNS.items():
        there = next(iter(getattr(bridge, column)), None)
        ours = there is not None and MARK in there.external_ids
        if wanted is None or wanted.table != table:
            if ours:
                setattr(bridge, column, [])  # a row that nobody refers to goes by itself
            continue
        if there is not None and not ours:
            raise BridgeRejected(f"the bridge exports by {table} already, to {', '.join(there.targets)}")
        row = there if there is not None else txn.insert(tables[table])
        columns = {"targets": [wanted.target], "sampling": [wanted.sampling]}
        columns |= {name: [number] for name, number in wanted.numbers}
        for name, value in columns.items():
            if there is None or getattr(row, name) != value:
                setattr(row, name, value)
        if there is None:
            row.external_ids = {MARK: "export"}
            setattr(bridge, column, [row])
