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
    kept = {flow.key for flow in adding}
    removing = sorted((flow for flow in deletes if flow.key not in kept), key=_with_the_packet)
    return (*map(Put, adding), *map(Delete, removing))


def _against_the_packet(flow: Flow) -> tuple[int, bool, int]:
    return (-flow.table_id, bool(flow.actions), -flow.priority)


def _with_the_packet(flow: Flow) -> tuple[int, bool, int]:
    return (flow.table_id, not flow.actions, flow.priority)
