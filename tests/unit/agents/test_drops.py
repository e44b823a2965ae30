"""The drop log: what was dropped between two looks, with its reason, and how much of it is written."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from agents.node.explain.drops import LINES, _write, _write_packets, dropped
from agents.node.explain.samples import Heard, sampled
from openflow.cookie import Purpose, encode
from openflow.decoding import Counted
from openflow.errors import SwitchError
from openflow.flow import LOCAL, Flow, FlowKey
from openflow.headers import headers
from openflow.listening import Sample, sample_of
from openflow.policy import ENFORCED_IN, Rule, compiled
from openflow.tables import CLASSIFY, FORWARD, GROUP_MAC
from store.model.drops import Drop

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPOOFED = CLASSIFY.drop(50, Purpose.SPOOFED, "web-1 has other addresses", {"in_port": 7})
NO_ROUTE = FORWARD.drop(0, Purpose.NO_ROUTE, "nothing else matched", {})
GROUP = CLASSIFY.drop(60, Purpose.MULTICAST, "web-1 to a group", {**GROUP_MAC, "in_port": 7})
WANTED = {flow.key: flow for flow in (SPOOFED, NO_ROUTE, GROUP)}


def looked(**packets: int) -> dict[FlowKey, Counted]:
    named = {"spoofed": SPOOFED, "no_route": NO_ROUTE, "group": GROUP}
    return {named[name].key: Counted(named[name], count, 100 * count) for name, count in packets.items()}


def told(
    before: dict[FlowKey, Counted], now: dict[FlowKey, Counted]
) -> list[tuple[str | None, str, int, int]]:
    drops = dropped(before, now, {7: "web-1"}, WANTED, NOW)
    return [(drop.endpoint, drop.purpose, drop.packets, drop.bytes) for drop in drops]


def test_what_has_grown_is_told_the_most_first() -> None:
    before, now = looked(spoofed=3, no_route=1, group=1), looked(spoofed=5, no_route=9, group=99)
    assert told(before, now) == [(None, "NO_ROUTE", 8, 800), ("web-1", "SPOOFED", 2, 200)]


def test_what_is_as_it_was_is_not_told() -> None:
    assert told(looked(spoofed=3), looked(spoofed=3)) == []


def test_a_flow_that_is_new_or_was_made_anew_counts_from_zero() -> None:
    assert told({}, looked(spoofed=4)) == [("web-1", "SPOOFED", 4, 400)]
    assert told(looked(spoofed=9), looked(spoofed=4)) == [("web-1", "SPOOFED", 4, 400)]


def test_the_reason_is_that_of_the_wanted_flow() -> None:
    (drop,) = dropped({}, looked(spoofed=1), {}, WANTED, NOW)
    assert (drop.reason, drop.match) == ("web-1 has other addresses", "in_port=7")


def rule(number: int, *, logged: bool, purpose: Purpose = Purpose.POLICY_EGRESS) -> Counted:
    cookie = encode(purpose, 1, logged=logged)
    return Counted(Flow(3, 100, (("in_port", number),), (), cookie), 1, 60)


def lines(flows: Iterable[Counted], caplog: pytest.LogCaptureFixture) -> list[str]:
    now = {one.flow.key: one for one in flows}
    with caplog.at_level(logging.WARNING, "polder.drops"):
        _write(list(dropped({}, now, {}, {}, NOW)), now)
    return [record.getMessage() for record in caplog.records]


def test_what_a_rule_denies_is_written_only_where_it_says_so(caplog: pytest.LogCaptureFixture) -> None:
    written = lines([rule(1, logged=True), rule(2, logged=False)], caplog)
    assert len(written) == 1
    assert "match=in_port=1 " in written[0]
    assert "purpose=POLICY_EGRESS packets=1" in written[0]


def test_the_log_cannot_be_filled(caplog: pytest.LogCaptureFixture) -> None:
    written = lines((rule(port, logged=False, purpose=Purpose.SPOOFED) for port in range(LINES + 5)), caplog)
    assert len(written) == LINES + 1
    assert written[-1] == "event=dropped-more flows=5: polder node drops"


def test_a_drop_is_a_value_of_the_store() -> None:
    (drop,) = dropped({}, looked(spoofed=1), {7: "web-1"}, WANTED, NOW)
    assert Drop.model_validate_json(drop.model_dump_json()) == drop


def heard(metadata: dict[str, int], frame: bytes) -> Heard:
    return Heard(NOW, metadata, headers(frame))


RULE = compiled(ENFORCED_IN, [Rule("web 1", Purpose.POLICY_INGRESS, reason="policy web: deny", logged=True)])
DENIES = {flow.key: flow for port in (7, 8) for flow in RULE.of(port, [True], f"web-{port}")}
WHY_RULE = RULE.placed[0].conj_id
TCP = bytes(12) + bytes.fromhex("0800 45000028 00000000 40060000 0a400009 0a400007 d431 0016")
OTHER = CLASSIFY.drop(50, Purpose.SPOOFED, "web-2 has others", {"in_port": 8})


def test_a_sample_of_a_rule_names_the_endpoint_that_it_was_for_and_the_rule() -> None:
    ((packet, logged),) = sampled(
        [heard({"in_port": LOCAL, "reg0": 7, "reg6": WHY_RULE}, TCP)], {7: "web-1"}, DENIES
    )
    assert logged
    assert (packet.endpoint, packet.way, packet.purpose, packet.reason) == (
        "web-1",
        "received",
        "POLICY_INGRESS",
        "policy web: deny",
    )
    assert (str(packet.source), packet.source_port) == ("10.64.0.9", 54321)
    assert (str(packet.destination), packet.destination_port, packet.protocol) == ("10.64.0.7", 22, "tcp")


def test_a_sample_of_a_drop_by_port_has_the_reason_of_that_port() -> None:
    flows = {flow.key: flow for flow in (SPOOFED, OTHER, NO_ROUTE)}
    why = CLASSIFY.why(50, Purpose.SPOOFED)
    arp = bytes(12) + bytes.fromhex("0806")
    found = [
        packet
        for port in (7, 8)
        for packet, _ in sampled(
            [heard({"in_port": port, "reg6": why}, arp)], {7: "web-1", 8: "web-2"}, flows
        )
    ]
    assert [(each.endpoint, each.way, each.reason, each.protocol) for each in found] == [
        ("web-1", "sent", "web-1 has other addresses", "arp"),
        ("web-2", "sent", "web-2 has others", "arp"),
    ]


def test_a_sample_of_a_flow_that_is_gone_has_no_reason() -> None:
    ((packet, logged),) = sampled([heard({"in_port": 9, "reg6": 1}, TCP)], {7: "web-1"}, WANTED)
    assert (packet.endpoint, packet.purpose, packet.reason, logged) == (None, "", "", False)


def test_what_a_rule_denies_is_written_by_packet_only_where_it_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metadata: dict[str, int] = {"in_port": LOCAL, "reg0": 7, "reg6": WHY_RULE}
    ((packet, _),) = sampled([heard(metadata, TCP)], {7: "web-1"}, DENIES)
    with caplog.at_level(logging.WARNING, "polder.drops"):
        _write_packets([(packet, True)] * (LINES + 5) + [(packet, False)])
    assert len(caplog.records) == LINES
    line = caplog.records[0].getMessage()
    assert "source=10.64.0.9 destination=10.64.0.7 protocol=tcp ports=54321,22" in line
    caplog.clear()
    _write_packets([(packet, False)])
    assert not caplog.records


def test_a_sample_is_read_whatever_else_the_switch_knows_of_the_packet() -> None:
    fields = ("80000004", 7), ("0001f004", 0xFFFFFFFF), ("00010004", 9), ("00010c04", WHY_RULE)
    match = b"".join(bytes.fromhex(head) + value.to_bytes(4) for head, value in fields)
    packet_in = bytes(24) + (1).to_bytes(2) + (4 + len(match)).to_bytes(2) + match + bytes(4 + 2)
    assert sample_of(packet_in + TCP) == Sample({"in_port": 7, "reg0": 9, "reg6": WHY_RULE}, TCP)
    with pytest.raises(SwitchError):
        sample_of(packet_in[:20])
