"""The drop log: what was dropped between two looks, with its reason, and how much of it is written."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from agents.node.explain.drops import LINES, _write, dropped
from openflow.cookie import Purpose, encode
from openflow.decoding import Counted
from openflow.flow import Flow, FlowKey
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
