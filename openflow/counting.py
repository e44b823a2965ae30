"""Which endpoint's packets a flow counts, and which way they go. Pure.

Every packet that an endpoint may send meets one flow of `classify` that names its port, and every packet that
reaches it leaves by one flow of `send`. What is dropped of an endpoint is counted where it is dropped, or in
`denied`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from openflow.cookie import Purpose, decode
from openflow.flow import Flow, SetField
from openflow.tables import CAME_BY, CLASSIFY, DENIED, OUT, SEND, WHY


class Way(StrEnum):
    """Seen from the endpoint."""

    SENT = "sent"
    RECEIVED = "received"
    REFUSED = "refused"
    """Sent, and dropped whatever the rules: spoofed, to a group, a router's or a DHCP server's."""
    DENIED_SENT = "denied_sent"
    """Sent, and dropped by a rule, or as of no connection; counted as sent too."""
    DENIED_RECEIVED = "denied_received"
    """For it, and dropped by a rule, or as of no connection; not counted as received."""


class Counts(NamedTuple):
    """A flow counts the packets of one port, going one way."""

    ofport: int
    way: Way


def counts(flow: Flow) -> Counts | None:
    """What a flow of the pipeline counts; None when that is not one port's alone, or is counted elsewhere."""
    match, cookie = dict(flow.match), decode(flow.cookie)
    if cookie is None:
        return None
    sender, receiver = match.get("in_port"), match.get(OUT)
    if flow.table_id == SEND.table_id and isinstance(receiver, int):
        return Counts(receiver, Way.RECEIVED)
    if flow.table_id == CLASSIFY.table_id and isinstance(sender, int):
        dropped = cookie.purpose >= Purpose.SPOOFED
        return Counts(_written(flow) or sender, Way.REFUSED if dropped else Way.SENT)
    if flow.table_id == DENIED.table_id and isinstance(receiver, int):
        if isinstance(sender, int):
            return Counts(sender, Way.REFUSED if WHY in match else Way.DENIED_SENT)
        return Counts(receiver, Way.DENIED_RECEIVED)
    return None


def _written(flow: Flow) -> int | None:
    """The number of an endpoint that shares a port; None of one that has its own."""
    for action in flow.actions:
        if isinstance(action, SetField) and action.field == CAME_BY and isinstance(action.value, int):
            return action.value
    return None
