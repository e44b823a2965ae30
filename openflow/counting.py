"""Which endpoint's packets a flow counts, and which way they go. Pure.

Every packet that an endpoint may send meets one flow of `classify` that names its port, and every packet that
reaches it leaves by one flow of `send`. What is dropped for what its sender is counts there too.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from openflow.cookie import Purpose, decode
from openflow.flow import Flow
from openflow.tables import CLASSIFY, OUT, SEND


class Way(StrEnum):
    """Seen from the endpoint."""

    SENT = "sent"
    RECEIVED = "received"
    REFUSED = "refused"
    """Sent, and dropped for what it is: spoofed, to a group."""


class Counts(NamedTuple):
    """A flow counts the packets of one port, going one way."""

    ofport: int
    way: Way


def counts(flow: Flow) -> Counts | None:
    """What a flow of the pipeline counts; None when that is not one port's alone, or is counted elsewhere."""
    match, cookie = dict(flow.match), decode(flow.cookie)
    if cookie is None:
        return None
    if flow.table_id == SEND.table_id and isinstance(port := match.get(OUT), int):
        return Counts(port, Way.RECEIVED)
    if flow.table_id == CLASSIFY.table_id and isinstance(port := match.get("in_port"), int):
        dropped = cookie.purpose >= Purpose.SPOOFED
        return Counts(port, Way.REFUSED if dropped else Way.SENT)
    return None
