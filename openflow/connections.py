"""Whether a packet belongs to a connection that was allowed: the flows of `track` and `arrive`. Pure.

Both tables are alike. The first decides about what an endpoint with rules sends, the second about what is for
one. A packet that was not looked up yet is, in a zone of our own, and comes back to the same table:

    an answer, or an ICMP error about a connection -> passes
    what can belong to no connection               -> dropped (`INVALID`)
    TCP without SYN that is not known              -> may be of a connection either way (`openflow.resuming`)
    all else, of the opening side of a connection  -> the rules decide, for each packet anew

So a change of the rules takes effect on connections that are open. A connection is remembered in `send`,
after everybody has allowed its packet. When a rule drops a packet of its opening side it gets a mark, by
which its answers are dropped too (`CUT`); it loses that when such a packet leaves again. Protocols other than
TCP, UDP and ICMP are not tracked (the tracker of the `netdev` datapath knows no others): the rules decide
about each of their packets, in both directions.
"""

from __future__ import annotations

from collections.abc import Iterator

from openflow.cookie import Purpose
from openflow.flow import Commit, Flow, GotoTable, Track
from openflow.resuming import resuming_flows
from openflow.tables import (
    ARRIVE,
    CUT_OFF,
    EGRESS_STAGED,
    FORWARD,
    ICMPV6,
    INGRESS_STAGED,
    IPV4,
    IPV6,
    KEEP,
    SEND,
    TRACK,
    Fields,
    Table,
)

ZONE = 80
"""The zone of the connection tracker that is ours."""

# ovs-fields(7), ct_state
NEW: Fields = {"ct_state": "0x21/0x21"}
"""+trk+new: looked up, and not remembered."""
UNTRACKED: Fields = {"ct_state": "0x0/0x20"}
"""-trk: not looked up."""
ANSWER: Fields = {"ct_state": "0x2a/0x2a"}
"""+trk+est+rpl"""
OPENER: Fields = {"ct_state": "0x22/0x2a"}
"""+trk+est-rpl"""
WAS_CUT: Fields = {"ct_mark": 1}
RELATED: Fields = {"ct_state": "0x24/0x24"}
"""+trk+rel"""
INVALID: Fields = {"ct_state": "0x30/0x30"}
"""+trk+inv"""

LATER: Fields = {"ip_frag": 3}
"""A fragment that is not the first: it has no ports. Only the tracker of `netdev` leaves them as they are."""

TRACKED: tuple[Fields, ...] = (
    *({**IPV4, "ip_proto": number} for number in (6, 17, 1)),
    *({**IPV6, "ip_proto": number} for number in (6, 17)),
    ICMPV6,
    {**IPV6, "ip_proto": 44},  # a later fragment (ovs-fields(7)): the tracker puts the first ones to it
)
"""What the connection tracker of every datapath knows."""


def connection_flows() -> tuple[Flow, ...]:
    """The flows of both tables, the same whatever endpoints there are. Pure."""
    sent = _flows(TRACK, judge=EGRESS_STAGED, passing=FORWARD.goto())
    received = _flows(ARRIVE, judge=INGRESS_STAGED, passing=SEND.goto())
    return (*sent, *received, *_marking(), *resuming_flows(NEW))


def _marking() -> Iterator[Flow]:
    """What marks a connection that a rule cuts, and takes the mark off."""
    kind = Purpose.CONNECTION
    for family in (IPV4, IPV6):
        cut, allowed = {**family, **OPENER}, {**family, **OPENER, **WAS_CUT}
        yield CUT_OFF.flow(100, kind, (Commit(ZONE, 1),), "its answers are cut as well", cut)
        yield KEEP.flow(100, kind, (Commit(ZONE, 0),), "its answers pass again", allowed)


def _flows(table: Table, *, judge: Table, passing: GotoTable) -> Iterator[Flow]:
    kind = Purpose.CONNECTION
    for fields in TRACKED:
        unknown: Fields = {**fields, **UNTRACKED}
        yield table.flow(400, kind, (Track(ZONE, table.table_id),), "is it of a connection?", unknown)
    yield table.drop(300, Purpose.INVALID, "no connection can have this packet", INVALID)
    cut: Fields = {**ANSWER, **WAS_CUT}
    yield table.drop(220, Purpose.CUT, "an answer of a connection that a rule has cut", cut)
    yield table.flow(210, kind, (passing,), "an answer", ANSWER)
    yield table.flow(200, kind, (passing,), "an ICMP error about a connection", RELATED)
    for family in (IPV4, IPV6):
        # without the first one, which the rules decide about, nobody can put it together
        yield table.flow(250, kind, (passing,), "a later fragment", {**family, **LATER})
        yield table.flow(100, Purpose.JUDGE, (judge.goto(),), "the rules decide", family)
