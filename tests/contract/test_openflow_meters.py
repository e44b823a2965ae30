"""Meters of a real Open vSwitch: what was applied is there, doing it twice is doing it once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agents.delta import Delta
from agents.driver import Outcome
from agents.node.meter_driver import MeterDriver
from openflow.bridge import Bridge
from openflow.document import LIMITED
from openflow.meter import Meter, MeterCount, Unit
from openflow.metering import Metering
from openflow.pipeline import base_flows, endpoint_flows
from openflow.qos import meter_flows
from openflow.switch import Switch
from tests.support.ovs import OpenVSwitch, open_vswitch

pytestmark = pytest.mark.needs("root", "ip", "ovs-vswitchd", "ovsdb-server", "ovs-vsctl", "ovs-ofctl")

NETNS = "openflow-meters"
MAC = "02:50:4c:44:52:01"
CONNECT_S = 10.0

RATE, PACKETS = Meter(6, Unit.KBPS, 10_000, 2_500), Meter(196_613, Unit.PACKETS, 10, 10)


@pytest.fixture(scope="module")
def ovs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenVSwitch]:
    with open_vswitch(NETNS, tmp_path_factory.mktemp("ovs")) as started:
        yield started


@pytest.fixture(scope="module")
def switch(ovs: OpenVSwitch) -> Iterator[Switch]:
    made, bridge = Switch(ovs.directory / "polder0.mgmt"), Bridge(ovs.remote)
    made.start()
    bridge.start()
    bridge.ensure(mac=MAC, datapath_type="netdev")
    assert made.wait_connected(CONNECT_S)
    yield made
    bridge.close()
    made.stop()


@pytest.fixture
def metering(switch: Switch) -> Metering:
    return Metering(switch)


@pytest.fixture
def driver(metering: Metering, ovs: OpenVSwitch) -> MeterDriver:
    """The driver of a bridge without meters."""
    ovs.ofctl("del-meters", "polder0")
    return MeterDriver(metering)


def put(*meters: Meter) -> Delta[int, Meter]:
    return Delta({meter.meter_id: meter for meter in meters}, {})


def test_what_was_applied_is_read(driver: MeterDriver) -> None:
    assert driver.read() == {}
    assert driver.apply(put(RATE, PACKETS)) is Outcome.DONE
    assert driver.read() == {6: RATE, 196_613: PACKETS}


def test_twice_is_once_and_a_change_is_made_in_place(driver: MeterDriver, ovs: OpenVSwitch) -> None:
    faster = replace(RATE, rate=20_000)
    driver.apply(put(RATE, PACKETS))
    ovs.ofctl("add-flow", "polder0", "table=20,reg7=6,actions=meter:6")
    assert driver.apply(put(faster, PACKETS)) is Outcome.DONE
    assert driver.read() == {6: faster, 196_613: PACKETS}
    assert "meter:6" in ovs.ofctl("dump-flows", "polder0", "table=20"), "a changed meter keeps its flows"


def test_a_deleted_one_is_gone_and_one_that_is_not_there_is_no_error(driver: MeterDriver) -> None:
    driver.apply(put(RATE))
    gone: Delta[int, Meter] = Delta({}, {6: RATE, 196_613: PACKETS})
    assert driver.apply(gone) is Outcome.DONE
    assert driver.read() == {}


def test_a_refused_one_does_not_stop_the_others(driver: MeterDriver) -> None:
    none = Meter(0, Unit.KBPS, 1000, 1000)  # OpenFlow numbers meters from 1
    assert driver.apply(put(none, RATE)) is Outcome.REJECTED
    assert driver.read() == {6: RATE}


def test_a_meter_that_somebody_else_made_is_seen(driver: MeterDriver, ovs: OpenVSwitch) -> None:
    ovs.ofctl("add-meter", "polder0", "meter=9,kbps,band=type=drop,rate=5")
    found = driver.read()
    assert set(found) == {9}
    assert driver.apply(Delta({}, found)) is Outcome.DONE
    assert driver.read() == {}


def test_nothing_has_passed_a_new_meter(driver: MeterDriver, metering: Metering) -> None:
    driver.apply(put(RATE))
    assert metering.counts() == {6: MeterCount(0, 0, 0, 0)}


def test_the_flows_of_a_limited_endpoint_are_taken_as_they_are(
    driver: MeterDriver, switch: Switch, ovs: OpenVSwitch
) -> None:
    qos = replace(LIMITED.qos, received=(RATE,), accepted=PACKETS)
    flows = [
        *base_flows(MAC),
        *endpoint_flows(replace(LIMITED, qos=qos), MAC),
        *meter_flows(qos.meters),
    ]
    driver.apply(put(*qos.meters))
    switch.apply(flows, [])
    assert set(switch.dump()) == set(flows)
    ovs.ofctl("del-flows", "polder0")
