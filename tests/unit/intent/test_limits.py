"""The meters of an endpoint: which there are, with which rate and burst, under which numbers."""

from __future__ import annotations

from typing import Any

import pytest

from intent.flows import flows_of
from intent.held import Held
from intent.limits import Limit, meter_flow_parts, meters, port_of
from openflow.flow import SetField
from openflow.meter import Unit
from store.model import Qos
from tests.support.cluster import endpoint


def held(ofport: int = 7, **qos: Any) -> Held:
    return Held(endpoint(qos=Qos(**qos) if qos else None), ofport)


@pytest.mark.parametrize(
    ("qos", "unit", "rate", "burst"),
    [
        ({"egress_rate_kbps": 100_000}, Unit.KBPS, 100_000, 25_000),
        ({"egress_rate_kbps": 1000}, Unit.KBPS, 1000, 1000),
        ({"ingress_rate_kbps": 100_000, "ingress_burst_kbit": 90_000}, Unit.KBPS, 100_000, 90_000),
        ({"egress_packets_per_s": 1000}, Unit.PACKETS, 1000, 250),
        ({"ingress_packets_per_s": 10}, Unit.PACKETS, 10, 10),
        ({"egress_connections_per_s": 5}, Unit.PACKETS, 5, 5),
    ],
)
def test_one_meter_for_each_limit(qos: dict[str, int], unit: Unit, rate: int, burst: int) -> None:
    (meter,) = meters([held(**qos)]).values()
    assert (meter.unit, meter.rate, meter.burst) == (unit, rate, burst)


def test_no_limit_is_no_meter() -> None:
    assert meters([held(), held(dscp=46, guaranteed_kbps=1000, priority=3)]) == {}


ALL = {
    f"{way}_{what}": 1000
    for way in ("egress", "ingress")
    for what in ("rate_kbps", "packets_per_s", "connections_per_s")
}


def test_no_two_ports_share_a_number() -> None:
    there = meters(held(ofport, **ALL) for ofport in (1, 2, 32_767))
    assert len(there) == 3 * len(Limit)
    assert 0 < min(there) <= max(there) < 200_000


def test_each_meter_has_the_flow_that_leads_into_it() -> None:
    one = held(**ALL)
    assert {dict(key.match)["reg7"] for part in meter_flow_parts([one]) for key in part} == set(meters([one]))
    measured = {
        action.value
        for flow in flows_of(one).values()
        for action in flow.actions
        if isinstance(action, SetField) and action.field == "reg7"
    }
    assert measured == set(meters([one])), "and each is visited"


def test_a_meter_tells_whose_it_is() -> None:
    assert {port_of(number) for number in meters([held(7, **ALL)])} == {7}
