"""The pass of the node agent over drivers in memory: order, restarts, and what is reported."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from agents.delta import Delta
from agents.driver import Outcome, Reading
from agents.node.dataplane import Dataplane, Devices
from agents.node.plan import SETTLE_S, WITHDRAW_WAIT_S
from agents.node.plug import identity
from agents.node.serving import Services
from agents.node.wants import Refused, Stage, Want, Wants
from agents.reconciler import Reconciler
from intent.names import MAIN_TABLE
from intent.routes import Route, RouteKind
from intent.shares import Discipline
from intent.snapshot import Snapshot, View
from openflow.cookie import Purpose, decode
from openflow.flow import CONTROLLER, Output
from openflow.meter import TO_CONTROLLERS
from openflow.tables import METER
from store.model import Attachment, EndpointState, Qos, Telling, Told, Uplink, Value
from store.model import Node as NodeRecord
from tests.support.checks import MemoryChecks
from tests.support.cluster import BOOT, NODE, advertised, block, endpoint, key_of, pool, ready, snapshot
from tests.support.drivers import DEVICES, DictDriver
from tests.support.plugs import MemoryPlug

WANT = Want("web", "/run/netns/web", "1", "eth0")
ADDRESS, BLOCK = "10.64.0.1/32", "10.64.0.0/26"


@dataclass
class Said:
    """What the pass reported last, and in which order it said so."""

    journal: list[tuple[str, str, Any]]
    says: dict[str, set[str]] = field(default_factory=dict)

    def say(self, name: str, desired: Mapping[str, Value]) -> None:
        said = {
            key.rsplit("/", 1)[1].replace("-", "/") if name == "ready" else key.rsplit("/", 1)[1]
            for key in desired
        }
        for verb, names in (
            ("put", said - self.says.get(name, set())),
            ("delete", self.says.get(name, set()) - said),
        ):
            self.journal += [(verb, name, one) for one in sorted(names)]
        self.says[name] = said


class Node:
    """A node whose devices outlive its agent."""

    def __init__(self) -> None:
        self.journal: list[tuple[str, str, Any]] = []
        self.plug = MemoryPlug(journal=self.journal)
        self.drivers = {name: DictDriver[Any, Any](name=name, journal=self.journal) for name in DEVICES}
        self.now = 100.0
        self.snapshot: Snapshot | None = snapshot(pool(), block())
        self.alive = True
        self.in_parts: set[str] = set()
        self.start_agent()

    def start_agent(self) -> None:
        """A new agent, without memory, that adopts what is plugged in."""
        self.said = Said(self.journal)
        self.checks = MemoryChecks()
        self.wants = Wants()
        for one in self.plug.plugged.values():
            self.wants.add(one.want)
        made = {name: Reconciler(name, driver, self.begin(name)) for name, driver in self.drivers.items()}
        self.dataplane = Dataplane(
            lambda: self.snapshot,
            self.wants,
            Devices(plug=self.plug, **made),
            self.said,
            Services(self.checks, BOOT),
            netns_alive=lambda _want: self.alive,
            boot_id=BOOT,
            clock=lambda: self.now,
        )

    def begin(self, name: str) -> Callable[[], Reading[Any, Any] | None]:
        """How a device is read at a resync: whole, unless it is one that is read in parts."""
        return lambda: self.drivers[name].begin() if name in self.in_parts else None

    def know(self, *values: Value) -> None:
        self.snapshot = snapshot(pool(), block(), *values)

    def attach(self) -> None:
        self.know(endpoint())
        self.wants.add(WANT)
        self.dataplane.step()

    def touched(self) -> list[str]:
        """`verb device` of each change since last asked, neighbouring repeats folded."""
        words = [f"{verb} {device}" for verb, device, _key in self.journal]
        self.journal.clear()
        return [word for place, word in enumerate(words) if place == 0 or words[place - 1] != word]


def test_nothing_is_written_before_the_store_was_read_whole() -> None:
    node = Node()
    node.snapshot = None
    node.wants.add(WANT)
    assert node.dataplane.step() is None
    assert node.journal == []
    assert node.said.says == {}


def test_up_is_plug_neighbour_route_flow_readiness() -> None:
    node = Node()
    node.dataplane.step()
    node.touched()
    node.attach()
    assert node.touched() == [
        "put plug", "put neighbours", "put routes", "put flows", "put ready", "put attachments",
    ]  # fmt: skip
    assert node.said.says == {"ready": {ADDRESS, BLOCK}, "attachments": {"web"}, "health": set()}
    assert node.wants.wait_attached("web", 0)


def test_down_is_readiness_flow_route_neighbour_plug_attachment() -> None:
    node = Node()
    node.attach()
    node.touched()
    node.know(endpoint(state=EndpointState.RELEASING))
    node.dataplane.step()
    assert node.touched() == [
        "delete ready", "delete flows", "delete routes", "delete neighbours",
        "delete plug", "delete attachments",
    ]  # fmt: skip
    assert node.said.says == {"ready": {BLOCK}, "attachments": set(), "health": set()}


def test_an_announced_address_is_delivered_until_it_is_withdrawn() -> None:
    node = Node()
    node.attach()
    node.touched()
    node.know(endpoint(state=EndpointState.RELEASING), advertised(ADDRESS))
    assert node.dataplane.step() is not None
    assert node.touched() == ["delete ready"]
    node.know(endpoint(state=EndpointState.RELEASING))
    node.now += SETTLE_S
    node.dataplane.step()
    assert node.touched()[0] == "delete flows"


def closed(node: Node) -> bool:
    """Whether the endpoint's packets meet the default of a tenant that denies."""
    cookies = (decode(flow.cookie) for flow in node.drivers["flows"].held.values())
    return any(each is not None and each.purpose == Purpose.DEFAULT_DENY for each in cookies)


def test_a_new_endpoint_is_closed_and_not_ready_until_its_node_was_told_of_it() -> None:
    node = Node()
    one = endpoint()
    told = Told(endpoint="web", uid=one.uid)
    node.wants.add(WANT)
    node.know(one, Telling(), Told(endpoint="web", uid="f" * 32))
    node.dataplane.step()
    assert closed(node), "what was told was of another"
    assert node.said.says["ready"] == {BLOCK}
    assert not node.wants.wait_attached("web", 0)
    node.start_agent()
    node.dataplane.step()
    assert closed(node), "whoever comes after this agent finds it closed"
    node.know(one, Telling(), told)
    node.dataplane.step()
    assert not closed(node)
    assert node.said.says["ready"] == {ADDRESS, BLOCK}
    assert node.wants.wait_attached("web", 0)


def test_what_was_open_is_never_closed_by_a_store_that_lacks_what_was_told() -> None:
    node = Node()
    node.attach()
    node.know(endpoint(), Telling())
    node.dataplane.step()
    assert not closed(node)
    node.start_agent()
    node.dataplane.step()
    assert not closed(node), "the agent before this one had it open"


def test_a_moved_endpoint_is_delivered_until_it_is_withdrawn_though_it_is_gone_from_the_store() -> None:
    node = Node()
    node.attach()
    node.touched()
    node.know(advertised(ADDRESS))
    node.dataplane.step()
    assert node.touched() == ["delete ready"]
    assert node.said.says["attachments"] == {"web"}


def test_the_blackhole_of_a_block_that_was_given_back_stays_until_the_block_is_withdrawn() -> None:
    node = Node()
    node.know(advertised(BLOCK))
    node.dataplane.step()
    node.touched()
    for seconds in (0.0, 1.0):
        node.now += seconds
        node.snapshot = snapshot(pool(), advertised(BLOCK))
        assert node.dataplane.step() is not None
        assert node.said.says["ready"] == set()
        assert "delete routes" not in node.touched()
    node.snapshot = snapshot(pool())
    assert node.dataplane.step() is not None
    assert node.touched() == [], "routers need a moment to act on it"
    node.now += SETTLE_S
    assert node.dataplane.step() is None
    assert node.touched() == ["delete routes"]


def test_a_dead_speaker_keeps_no_blackhole_for_ever_and_a_block_that_comes_back_stays() -> None:
    node = Node()
    node.know(advertised(BLOCK))
    node.dataplane.step()
    node.snapshot = snapshot(pool(), advertised(BLOCK))
    node.dataplane.step()
    node.know(advertised(BLOCK))
    node.touched()
    assert node.dataplane.step() is None
    assert node.touched() == ["put ready"]
    node.snapshot = snapshot(pool(), advertised(BLOCK))
    assert node.dataplane.step() is not None
    node.now += WITHDRAW_WAIT_S
    assert node.dataplane.step() is None
    assert node.touched() == ["delete ready", "delete routes"]


def test_a_restarted_agent_finds_all_right_and_writes_nothing() -> None:
    node = Node()
    node.attach()
    held = json.dumps(sorted(map(str, node.drivers["flows"].held)))
    node.touched()
    node.start_agent()
    node.dataplane.step()
    assert node.touched() == ["put ready", "put attachments"], (
        "reports are said again, and found equal by the publisher"
    )
    assert json.dumps(sorted(map(str, node.drivers["flows"].held))) == held


def test_a_restart_says_nothing_of_readiness_before_the_devices_were_read() -> None:
    node = Node()
    node.attach()
    node.start_agent()
    node.drivers["flows"].away = True
    assert node.dataplane.step() is not None
    assert "ready" not in node.said.says, "or the speaker would withdraw everything"


def test_a_switch_that_goes_away_takes_no_readiness_with_it() -> None:
    node = Node()
    node.attach()
    node.drivers["flows"].away = True
    node.dataplane.resync()
    assert node.dataplane.step() is not None
    assert node.said.says["ready"] == {ADDRESS, BLOCK}


def test_what_was_removed_by_hand_comes_back_at_the_resync() -> None:
    node = Node()
    node.attach()
    node.touched()
    gone = next(key for key in node.drivers["routes"].held if str(key.destination) == ADDRESS)
    assert gone.table == MAIN_TABLE
    del node.drivers["routes"].held[gone]
    node.dataplane.resync()
    node.dataplane.step()
    assert gone in node.drivers["routes"].held
    assert node.touched() == ["put routes"]


def test_a_flow_that_was_removed_by_hand_comes_back_once_the_resync_has_read_all_of_them() -> None:
    node = Node()
    node.attach()
    node.touched()
    node.in_parts, flows = {"flows"}, node.drivers["flows"]
    gone = flows.held.popitem()
    node.dataplane.resync()
    for _ in range(1 + len(flows.held)):
        node.dataplane.step()
        assert node.touched() == []
    node.dataplane.step()
    assert node.touched() == ["put flows"]
    assert gone in flows.held.items()
    assert flows.reads == 1


def test_an_echo_of_what_was_said_costs_no_work() -> None:
    node = Node()
    view = View(NODE)
    for value in (pool(), block(), endpoint()):
        view.put(key_of(value), value)
    node.snapshot = view.snapshot
    node.wants.add(WANT)
    node.dataplane.step()
    asked = node.plug.reads
    echo = ready(ADDRESS)
    view.put(key_of(echo), echo)
    node.snapshot = view.snapshot
    assert node.dataplane.step() is None
    assert node.plug.reads == asked + 1, "it looked whether the plugs are as they were, and at nothing else"


def test_a_namespace_that_vanished_detaches_its_endpoint_only() -> None:
    node = Node()
    node.attach()
    node.alive = False
    node.dataplane.resync()  # the kernel tells that the link is gone
    node.dataplane.step()
    assert node.plug.plugged == {}
    assert node.said.says == {"ready": {BLOCK}, "attachments": set(), "health": set()}
    assert "web" not in node.wants.all()


def test_a_refused_want_is_told_why_and_forgotten() -> None:
    node = Node()
    node.plug.refuse = Refused(409, "ifname eth0 is taken")
    node.attach()
    assert node.wants.all() == {}
    assert node.said.says["attachments"] == set()
    with pytest.raises(Refused, match="eth0 is taken"):
        node.wants.wait_attached("web", 0)


@pytest.mark.parametrize("device", ["routes", "flows"])
def test_what_a_device_refuses_is_not_ready_and_not_attached(device: str) -> None:
    node = Node()
    node.know(endpoint())
    node.dataplane.step()
    there = set(node.drivers[device].held)
    node.attach()
    key = next(key for key in node.drivers[device].held if key not in there)
    node.know(endpoint(), endpoint("other", "10.64.0.2"))
    node.drivers[device].held.pop(key)
    node.drivers[device].refuse = {key}
    node.start_agent()
    node.wants.add(OTHER)
    node.dataplane.step()
    assert node.said.says["ready"] == {"10.64.0.2/32", BLOCK}
    assert (node.wants.wait_attached("other", 0), node.wants.wait_attached("web", 0)) == (True, False)


def test_a_busy_switch_is_tried_again() -> None:
    node = Node()
    node.plug.busy = True
    assert node.dataplane.step() is not None
    node.plug.busy = False
    assert node.dataplane.step() is None


OTHER = Want("other", "/run/netns/other", "2", "eth0")


def test_an_endpoint_that_cannot_be_plugged_in_holds_up_no_other() -> None:
    node = Node()
    node.plug.stuck = {"web"}
    node.know(endpoint(), endpoint("other", "10.64.0.2"))
    node.wants.add(WANT)
    node.wants.add(OTHER)
    assert node.dataplane.step() is not None, "it is tried again"
    assert node.said.says["ready"] == {"10.64.0.2/32", BLOCK}
    assert node.said.says["attachments"] == {"web", "other"}
    node.plug.stuck = set()
    assert node.dataplane.step() is None
    assert node.said.says["ready"] == {ADDRESS, "10.64.0.2/32", BLOCK}


def test_a_port_that_is_not_added_holds_up_no_other_and_is_not_ready_though_its_flows_are_there() -> None:
    node = Node()
    node.plug.late = {"web"}
    node.know(endpoint(), endpoint("other", "10.64.0.2"))
    node.wants.add(WANT)
    node.wants.add(OTHER)
    assert node.dataplane.step() is not None, "it is tried again"
    assert node.said.says["ready"] == {"10.64.0.2/32", BLOCK}
    assert (node.wants.wait_attached("other", 0), node.wants.wait_attached("web", 0)) == (True, False)
    node.plug.late = set()
    node.plug.plugged.pop("web")
    assert node.dataplane.step() is None
    assert node.said.says["ready"] == {ADDRESS, "10.64.0.2/32", BLOCK}


def test_an_endpoint_that_cannot_be_taken_out_holds_up_no_other_and_keeps_its_attachment() -> None:
    node = Node()
    node.know(endpoint(), endpoint("other", "10.64.0.2"))
    node.wants.add(WANT)
    node.wants.add(OTHER)
    node.dataplane.step()
    node.plug.stuck = {"web"}
    node.know()
    assert node.dataplane.step() is not None
    assert set(node.plug.plugged) == {"web"}
    assert node.said.says["attachments"] == {"web"}
    node.plug.stuck = set()
    assert node.dataplane.step() is None
    assert node.said.says["attachments"] == set()


def test_a_plug_that_is_busy_after_it_was_up_stays_ready() -> None:
    node = Node()
    node.attach()
    node.plug.stuck = {"web"}
    node.know(endpoint().model_copy(update={"mtu_bytes": 9000}))
    assert node.dataplane.step() is not None
    assert node.said.says["ready"] == {ADDRESS, BLOCK}


def test_a_restarted_agent_takes_nothing_from_an_endpoint_whose_plug_is_busy() -> None:
    node = Node()
    node.attach()
    node.plug.plugged["web"] = replace(node.plug.plugged["web"], ofport=None)
    held = dict(node.drivers["flows"].held), dict(node.drivers["routes"].held)
    node.plug.stuck = {"web"}
    node.start_agent()
    assert node.dataplane.step() is not None
    assert held == (node.drivers["flows"].held, node.drivers["routes"].held)


@pytest.mark.parametrize("restarted", [False, True])
def test_an_endpoint_made_anew_with_another_address_gets_a_new_link(restarted: bool) -> None:
    node = Node()
    node.attach()
    node.touched()
    if restarted:
        node.start_agent()
    node.know(endpoint(address="10.64.0.7"))
    node.dataplane.step()
    assert node.touched()[:2] == ["delete plug", "put plug"]
    assert node.plug.plugged["web"].identity == identity(endpoint(address="10.64.0.7"))
    assert node.said.says["ready"] == {"10.64.0.7/32", BLOCK}
    assert {str(key.destination) for key in node.drivers["routes"].held} == {"10.64.0.7/32", BLOCK}


def test_an_endpoint_made_anew_is_not_ready_as_the_one_before_while_it_cannot_be_plugged_in() -> None:
    node = Node()
    node.attach()
    node.plug.stuck = {"web"}
    node.know(endpoint(address="10.64.0.7"))
    assert node.dataplane.step() is not None
    assert node.said.says["ready"] == {BLOCK}
    node.plug.stuck = set()
    assert node.dataplane.step() is None
    assert node.said.says["ready"] == {"10.64.0.7/32", BLOCK}
    assert {str(key.destination) for key in node.drivers["routes"].held} == {"10.64.0.7/32", BLOCK}


def test_another_mtu_is_brought_to_the_link_as_it_stands() -> None:
    node = Node()
    node.attach()
    node.touched()
    node.know(endpoint().model_copy(update={"mtu_bytes": 9000}))
    node.dataplane.step()
    assert node.touched() == ["put plug"], "nothing was taken away"
    assert node.plug.plugged["web"].serves(WANT, endpoint().model_copy(update={"mtu_bytes": 9000}))


def test_new_labels_are_written_down_and_touch_nothing() -> None:
    """What is adopted into a restored backup has them from there."""
    node = Node()
    node.attach()
    node.touched()
    labelled = endpoint().model_copy(update={"labels": {"app": "web"}})
    node.know(labelled)
    node.dataplane.step()
    assert node.touched() == []
    assert node.plug.plugged["web"].endpoint == labelled.model_copy(update={"mtu_bytes": 1500})


@pytest.mark.parametrize("device", ["neighbours", "routes", "flows"])
def test_the_attachment_stays_as_long_as_a_device_may_still_have_the_rest(device: str) -> None:
    node = Node()
    node.attach()
    node.drivers[device].away = True
    node.know(endpoint(state=EndpointState.RELEASING))
    assert node.dataplane.step() is not None
    assert node.drivers[device].held
    assert node.said.says["attachments"] == {"web"}, "or the address would be released while it is held"
    node.drivers[device].away = False
    node.dataplane.step()
    assert node.said.says["attachments"] == set()


def test_a_restarted_agent_keeps_the_attachment_of_an_endpoint_that_went_meanwhile() -> None:
    node = Node()
    node.attach()
    node.start_agent()
    assert node.snapshot is not None
    attachment = Attachment(
        endpoint="web",
        node=NODE,
        addresses=endpoint().addresses,
        netns=WANT.netns,
        ifname="eth0",
        boot_id=BOOT,
    )
    node.snapshot = replace(snapshot(pool(), block()), attachments={"web": attachment})
    node.drivers["flows"].away = True
    node.dataplane.step()
    assert node.said.says["attachments"] == {"web"}
    node.drivers["flows"].away = False
    node.dataplane.step()
    assert node.said.says["attachments"] == set()
    assert node.plug.plugged == {}


def test_a_route_that_is_there_but_wrong_is_not_ready() -> None:
    node = Node()
    node.attach()
    key = next(key for key in node.drivers["routes"].held if str(key.destination) == ADDRESS)
    node.drivers["routes"].held[key] = Route(key.destination, kind=RouteKind.BLACKHOLE)
    node.drivers["routes"].refuse = {key}
    node.dataplane.resync()
    node.dataplane.step()
    assert node.said.says["ready"] == {BLOCK}


def test_a_want_that_is_still_being_written_is_left_alone() -> None:
    node = Node()
    node.know(endpoint())
    node.wants.add(Want("web", "/run/netns/web", "1", "eth0", Stage.HOLDING))
    node.dataplane.step()
    assert node.plug.plugged == {}
    assert node.said.says["attachments"] == set(), "it is being written by who asks"


def test_driver_outcomes_are_what_the_tests_assume() -> None:
    assert DictDriver[str, int]().apply(Delta({"a": 1}, {})) is Outcome.DONE


LIMITED = Qos(egress_rate_kbps=1000, guaranteed_kbps=500)


def test_a_limit_changes_nothing_but_meters_and_flows_and_a_meter_is_there_while_flows_lead_into_it() -> None:
    node = Node()
    node.attach()
    node.touched()
    node.know(endpoint(qos=LIMITED))
    node.dataplane.step()
    assert node.touched() == ["put meters", "put flows"]
    node.know(endpoint())
    node.dataplane.step()
    assert node.touched() == ["put flows", "delete flows", "delete meters"]


def test_a_switch_without_meters_delivers_all_the_same() -> None:
    node = Node()
    node.drivers["meters"].refuse = {*range(1000), TO_CONTROLLERS}
    node.know(endpoint(qos=LIMITED))
    node.wants.add(WANT)
    node.dataplane.step()
    assert {ADDRESS} <= node.said.says["ready"]
    held = node.drivers["flows"].held.values()
    assert not [
        flow for flow in held if flow.table_id == METER.table_id or Output(CONTROLLER) in flow.actions
    ]


def test_what_is_guaranteed_is_shared_out_when_the_rate_of_an_uplink_is_known() -> None:
    node = Node()
    node.know(endpoint(qos=LIMITED))
    node.wants.add(WANT)
    node.dataplane.step()
    assert not node.drivers["shares"].held
    record = NodeRecord(name=NODE, asn=64511, uplinks=(Uplink(ifname="eth0", rate_mbps=10),))
    node.know(endpoint(qos=LIMITED), record)
    node.dataplane.step()
    assert Discipline("eth0") in node.drivers["shares"].held
    node.know(endpoint(state=EndpointState.RELEASING, qos=LIMITED), record)
    node.dataplane.step()
    assert not node.drivers["shares"].held
