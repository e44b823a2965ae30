"""In which order flows change, so that on the way no packet is lost or let through by mistake.

Putting goes against the packet: `deliver` and `forward` before `classify`, so that what is accepted can be
delivered. Within a table drops come first: nothing passes because its drop is not there yet. Deleting goes
with the packet: first `classify` stops accepting, then the rest goes. Puts come before deletes, so that a
path whose flows change their keys is there throughout.

A bundle makes the whole change at once; the order decides when changes are too many for one bundle.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from openflow.flow import Flow


@dataclass(frozen=True, slots=True)
class Put:
    """Add a flow, or replace the one of equal key."""

    flow: Flow


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove a flow of ours."""

    flow: Flow


Change = Put | Delete


def order(puts: Iterable[Flow], deletes: Iterable[Flow]) -> tuple[Change, ...]:
    """The changes in the order in which they are safe. A key that is also put is not deleted. Pure."""
    adding = sorted(puts, key=_against_the_packet)
    removing = sorted(deletes, key=_with_the_packet)
    if removing:
        kept = {flow.key for flow in adding}
        removing = [flow for flow in removing if flow.key not in kept]
    return (*map(Put, adding), *map(Delete, removing))


def _against_the_packet(flow: Flow) -> int:
    """By table from the last, drops first, the highest priority first: one number, which sorts fast."""
    return -flow.table_id << 17 | bool(flow.actions) << 16 | 0xFFFF - flow.priority


def _with_the_packet(flow: Flow) -> int:
    return flow.table_id << 17 | (not flow.actions) << 16 | flow.priority
