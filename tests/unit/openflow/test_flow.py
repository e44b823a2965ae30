"""A flow has one spelling."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from openflow.flow import Flow, FlowKey, GotoTable, Output, Track


def test_order_and_spelling_of_a_match_do_not_count() -> None:
    one = Flow(0, 1, (("in_port", 1), ("eth_src", "02:AA:00:00:00:01"), ("vlan_vid", "4096/4096")))
    other = Flow(0, 1, (("vlan_vid", "0x1000/0x1000"), ("eth_src", "02:aa:00:00:00:01"), ("in_port", 1)))
    assert one == other
    assert hash(one) == hash(other)


def test_a_network_of_one_address_is_the_address() -> None:
    one = Flow(0, 1, (("eth_type", 0x0800), ("ipv4_src", IPv4Network("10.0.0.1/32"))))
    assert dict(one.match)["ipv4_src"] == IPv4Address("10.0.0.1")


def test_the_reason_is_no_part_of_it() -> None:
    assert Flow(0, 1, reason="because") == Flow(0, 1)


def test_cookie_and_actions_are_part_of_it_but_not_of_its_key() -> None:
    one, other = Flow(0, 1, cookie=1), Flow(0, 1, actions=(Output(1),), cookie=2)
    assert one != other
    assert one.key == other.key == FlowKey(0, 1, ())


@pytest.mark.parametrize(
    "actions",
    [
        (GotoTable(2), Output(1)),
        (GotoTable(1),),
        (GotoTable(0),),
        (Track(80, 2), Output(1)),
        (Track(80, 0),),
    ],
)
def test_goto_comes_last_and_leads_forward(actions: tuple[Output | GotoTable | Track, ...]) -> None:
    with pytest.raises(ValueError, match="not last, or does not lead to a later table"):
        Flow(1, 1, actions=actions)


def test_the_connection_tracker_may_lead_back_to_the_same_table() -> None:
    assert Flow(1, 1, actions=(Track(80, 1),)).actions == (Track(80, 1),)


def test_a_field_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Flow(0, 1, (("in_port", 1), ("in_port", 2)))


def test_a_network_of_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="leave the field out"):
        Flow(0, 1, (("ipv4_src", IPv4Network("0.0.0.0/0")),))
