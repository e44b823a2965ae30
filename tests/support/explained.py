"""Hypothesis strategies for questions to nodes, and their answers."""

from __future__ import annotations

from datetime import UTC
from ipaddress import ip_address

from hypothesis import strategies as st

from store.model import (
    Answered,
    DiffAsked,
    DiffSaid,
    HeldCount,
    HeldKind,
    Question,
    Unanswered,
    Unlike,
    UnlikeKind,
)
from store.model.drops import Drop, DropsAsked, DropsSaid, Sampled, Way
from store.model.export import Export, ExportProtocol
from store.model.policy import Direction
from store.model.question import Counted, Dropped, PortStats, StatsAsked, StatsSaid
from store.model.rule_counts import RuleCount, RulesAsked, RulesSaid
from store.model.trace import Outcome, Packet, Protocol, TraceAsked, TraceSaid, TraceStep, Verdict

nodes = st.sampled_from(["node-1", "rack7.example"])
ids = st.binary(min_size=16, max_size=16).map(bytes.hex)
texts = st.text(max_size=40)
counts = st.integers(0, 2**31)

unlikes = st.builds(
    Unlike,
    held=st.sampled_from(HeldKind),
    kind=st.sampled_from(UnlikeKind),
    key=texts,
    wanted=texts,
    found=texts,
    reason=texts,
)
diffs = st.builds(
    DiffSaid,
    counts=st.lists(
        st.builds(HeldCount, held=st.sampled_from(HeldKind), wanted=counts, found=counts), max_size=5
    ).map(tuple),
    unlike=st.lists(unlikes, max_size=3).map(tuple),
    more=counts,
)
exports = st.none() | st.builds(
    Export,
    protocol=st.sampled_from(ExportProtocol),
    collector=st.sampled_from([ip_address("192.0.2.9"), ip_address("2001:db8::9")]),
    port=st.none() | st.integers(1, 65535),
    sampling=st.integers(1, 1_048_576),
)
packets = st.builds(
    Packet,
    source=st.just(ip_address("10.64.0.7")),
    destination=st.just(ip_address("10.64.0.9")),
    protocol=st.sampled_from(Protocol),
    port=st.integers(0, 65535),
)
steps = st.builds(
    TraceStep,
    at=texts,
    node=st.none() | nodes,
    verdict=st.sampled_from(Verdict),
    what=texts,
    evidence=texts,
    purpose=texts,
    reason=texts,
)
traces = st.builds(
    TraceSaid,
    outcome=st.sampled_from(Outcome),
    steps=st.lists(steps, max_size=3).map(tuple),
    endpoint=st.none() | st.just("web-1"),
    gateways=st.just(()) | st.just((ip_address("fe80::1"),)),
)
counted = st.builds(Counted, packets=counts, bytes=counts)
stats = st.builds(
    StatsSaid,
    sent=counted,
    received=counted,
    dropped=st.lists(
        st.builds(Dropped, purpose=texts, reason=texts, packets=counts, bytes=counts), max_size=2
    ).map(tuple),
    port=st.none()
    | st.builds(PortStats, sent=counted, received=counted, sent_dropped=counts, received_dropped=counts),
)
drops = st.builds(
    DropsSaid,
    since=st.datetimes(timezones=st.just(UTC)),
    interval_s=st.just(10),
    drops=st.lists(
        st.builds(
            Drop,
            at=st.datetimes(timezones=st.just(UTC)),
            endpoint=st.none() | st.just("web-1"),
            purpose=texts,
            reason=texts,
            match=texts,
            packets=counts,
            bytes=counts,
        ),
        max_size=2,
    ).map(tuple),
    packets=st.lists(
        st.builds(
            Sampled,
            at=st.datetimes(timezones=st.just(UTC)),
            endpoint=st.none() | st.just("web-1"),
            way=st.none() | st.sampled_from(Way),
            purpose=texts,
            reason=texts,
            source=st.none() | st.just(ip_address("10.64.0.7")),
            destination=st.none() | st.just(ip_address("fe80::1")),
            protocol=texts,
            source_port=st.none() | st.integers(0, 65535),
            destination_port=st.none() | st.integers(0, 65535),
        ),
        max_size=2,
    ).map(tuple),
)
rules = st.builds(
    RulesSaid,
    counts=st.lists(
        st.builds(
            RuleCount,
            direction=st.sampled_from(Direction),
            rule=st.integers(1, 100),
            packets=counts,
            bytes=counts,
        ),
        max_size=2,
    ).map(tuple),
)
questions = st.builds(
    Question,
    id=ids,
    node=nodes,
    asked=st.one_of(
        st.builds(DiffAsked),
        st.builds(DropsAsked, endpoint=st.none() | st.just("web-1")),
        st.builds(RulesAsked, policy=st.just("web")),
        st.builds(StatsAsked, endpoint=st.just("web-1")),
        st.builds(TraceAsked, packet=packets, endpoint=st.none() | st.just("web-1")),
    ),
)
answers = st.builds(
    Answered,
    question=ids,
    node=nodes,
    said=st.one_of(diffs, stats, traces, drops, rules, st.builds(Unanswered, why=texts)),
)
