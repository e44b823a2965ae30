"""TCP that goes on although the connection tracker has forgotten it, or never knew it. Pure.

The tracker of the `netdev` datapath is in ovs-vswitchd and forgets all when that restarts; and an endpoint
that has moved here brings connections that this node has not seen. A segment without SYN opens nothing, so it
may pass when the rules allow its connection either way: as one that its sender has opened, or as an answer in
one that the other end has opened. Both are asked of the very tables that decide otherwise:

    as the opener: the table is visited; where it leads to, what comes to ask is noted, and goes no further
    as an answer:  the same with addresses and ports swapped, and with the other table of the endpoint

What the opener sends is remembered as ever. An answer is not, as it would be taken for the opener's: the
acknowledgement that it brings about is. Questions count at the flows that answer them, as packets do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openflow.cookie import Purpose
from openflow.flow import Action, Flow, GotoTable, Move, SetField, Unlook, Visit
from openflow.tables import (
    ARRIVE,
    DENIED,
    EGRESS,
    FORWARD,
    INGRESS,
    IPV4,
    IPV6,
    OUT,
    SAMPLE,
    SEND,
    TRACK,
    Fields,
    Table,
)

NO_SYN: Fields = {"tcp_flags": "0x0/0x2"}

# What the register of a table says
AS_OPENER, OPENER, AS_ANSWER, ANSWER, NEITHER = 1, 2, 3, 4, 5
"""A question and its answer, twice. 0 is not asked yet."""

SENT, RECEIVED = "reg4", "reg5"
"""The registers: of what an endpoint sends, and of what it gets."""
KEPT_PORT, KEPT_TCP = "reg13", "reg12"
KEPT_ADDRESS = {4: ("reg8", 32), 6: ("xxreg2", 128)}


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked about a packet in `table`.

    Args:
        opened: the table that says whether the endpoint may have opened it, or may be its other end.
        answered: the one that says so of the swapped packet.
        before, after: what else is written, and written back, around the second.
        onward: where an answer goes on.
    """

    table: Table
    register: str
    opened: Table
    answered: Table
    before: tuple[Action, ...]
    after: tuple[Action, ...]
    onward: GotoTable


_QUESTIONS = (
    _Question(
        TRACK,
        SENT,
        EGRESS,
        INGRESS,
        (Move("in_port", OUT, 32),),
        (SetField(OUT, 0),),
        FORWARD.goto(),
    ),
    _Question(
        ARRIVE,
        RECEIVED,
        INGRESS,
        EGRESS,
        (Move("in_port", KEPT_PORT, 32), Move(OUT, "in_port", 32)),
        (Move(KEPT_PORT, "in_port", 32),),
        SEND.goto(),
    ),
)
_LEADS_TO = {EGRESS: FORWARD, INGRESS: SEND}
"""Where what the rules of a table let go on arrives."""


def resuming_flows(new: Fields) -> Iterator[Flow]:
    """The flows, the same whatever endpoints there are. `new` is what the tracker does not know. Pure."""
    for each in _QUESTIONS:
        yield from _asked(each, new)
        for asking, asked in ((AS_OPENER, each.opened), (AS_ANSWER, each.answered)):
            yield _LEADS_TO[asked].flow(
                700,
                Purpose.CONNECTION,
                (SetField(each.register, asking + 1),),
                "the rules would let it pass",
                {each.register: asking},
            )
            for table in (DENIED, SAMPLE):
                on = (SetField(each.register, asking),)
                yield table.flow(700, Purpose.CONNECTION, on, "only a question", {each.register: asking})


def _asked(each: _Question, new: Fields) -> Iterator[Flow]:
    kind, table, again = Purpose.CONNECTION, each.table, Visit(each.table.table_id)
    for version, family in ((4, IPV4), (6, IPV6)):
        unknown: Fields = {**family, "ip_proto": 6, **new, **NO_SYN}
        ask = (SetField(each.register, AS_OPENER), Visit(each.opened.table_id), again)
        yield table.flow(180, kind, ask, "may its sender have opened it?", {**unknown, each.register: 0})
        swap = _swap(version)
        ask_back = (
            *swap,
            *each.before,
            SetField(each.register, AS_ANSWER),
            Visit(each.answered.table_id),
            *swap,
            *each.after,
            again,
        )
        why = "may its receiver have opened it?"
        yield table.flow(180, kind, ask_back, why, {**unknown, each.register: AS_OPENER})
    why = "an answer, of a connection that is not remembered"
    yield table.flow(190, kind, (Unlook(), each.onward), why, {each.register: ANSWER})
    neither = (SetField(each.register, NEITHER), again)
    yield table.flow(190, kind, neither, "neither: the rules say why", {each.register: AS_ANSWER})


def _swap(version: int) -> tuple[Action, ...]:
    """The packet as if it went the other way. Twice is the packet as it was."""
    kept, bits = KEPT_ADDRESS[version]
    source, destination = f"ipv{version}_src", f"ipv{version}_dst"
    return (
        Move(source, kept, bits),
        Move(destination, source, bits),
        Move(kept, destination, bits),
        Move("tcp_src", KEPT_TCP, 16),
        Move("tcp_dst", "tcp_src", 16),
        Move(KEPT_TCP, "tcp_dst", 16),
    )
