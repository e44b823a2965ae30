"""Faults under traffic: what is there goes on, what was removed comes back, what is foreign is left alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lab.lab import Lab
from lab.rest import Unanswered
from lab.topology import METAL_ADDRESS
from lab.transfer import transfer
from lab.wait import wait_until
from openflow.cookie import Purpose, encode
from openflow.flow import Action, Flow, GotoTable, Track
from openflow.switch import Switch
from openflow.tables import GENERATION
from tests.support.cluster import NODE
from tests.support.containers import BACK_S, POOL, Fixed, delete, make, undisturbed
from tests.support.echo import echo
from tests.support.labs import TIMES

WAITS = "other_config:flow-restore-wait=true"
GAP_S = 1.0
"""Of a restart of the switch: 0.2 s on a machine that does nothing else."""
TCP_GAP_S = 3.0
"""TCP tries again what was lost after 0.2, 0.6 and 1.4 s."""

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")


@pytest.fixture
def web(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Fixed]:
    name = f"f{abs(hash(request.node.name)) % 10**8}"
    yield make(lab, name)
    delete(lab, name)
    if name in lab.hosts:
        lab.fabric.remove_container(name)


def test_etcd_away(web: Fixed) -> None:
    """503 with Retry-After; agents keep forwarding; an endpoint that is known can still be attached."""
    lab = web.lab
    lab.api.do("POST", "/v1/endpoints", {"id": "known", "node": NODE})
    known = lab.container("known")
    agent = lab.polder.agent_api(NODE)
    with undisturbed(web):
        lab.polder.etcd.stop()
        try:
            answer = lab.api.request("POST", "/v1/endpoints", {"id": "late", "node": NODE})
            assert answer.status == 503
            assert answer.headers["content-type"] == "application/problem+json"
            assert int(answer.headers["retry-after"]) > 0
            ready = lab.api.get("/readyz")
            assert (ready.status, ready.body["not_ready"][0]["what"]) == (503, "etcd")
            body = {"endpoint": "known", "netns": str(known.netns_path), "ifname": "eth0"}
            made = agent.request("POST", "/v1/attachments", body)
            assert made.status == 201, made.body
            assert known.ping(web.address, 3).ok
        finally:
            lab.polder.etcd.start()
        wait_until(lambda: lab.api.get("/readyz").status == 200, BACK_S, "the controller to have etcd again")
    wait_until(
        lambda: lab.api.get("/v1/endpoints/known").body["ready"], BACK_S, "what happened to be reported"
    )
    delete(lab, "known")
    lab.fabric.remove_container("known")


def test_all_controllers_down(web: Fixed) -> None:
    lab = web.lab
    lab.api.do("POST", "/v1/endpoints", {"id": "known", "node": NODE})
    known = lab.container("known")
    with undisturbed(web):
        for controller in lab.polder.controllers:
            controller.kill()
        try:
            for api in lab.polder.apis:
                with pytest.raises(Unanswered):
                    api.get("/readyz")
            lab.attach("known", known, NODE)
            assert known.ping(web.address, 3).ok
        finally:
            for controller in lab.polder.controllers:
                controller.start()
    delete(lab, "known")
    lab.fabric.remove_container("known")


def test_a_namespace_that_vanished(web: Fixed) -> None:
    """Its endpoint is detached, the rest goes on, and the endpoint can be attached again elsewhere."""
    other = make(web.lab, "vanishing")
    with undisturbed(web):
        web.lab.fabric.remove_container("vanishing")
        wait_until(lambda: "vanishing" not in other.attached(), BACK_S, "the endpoint to be detached")
        wait_until(lambda: not other.flows(), BACK_S, "its flows to go")
        assert web.node.route(f"{other.address}/32") is None
        shown = "/v1/endpoints/vanishing"
        wait_until(lambda: not web.lab.api.get(shown).body["attached"], BACK_S, "that to be reported")
    again = web.lab.container("vanishing")
    assert web.lab.attach("vanishing", again, NODE)["addresses"] == [other.address]
    assert again.ping(web.address, 3).ok
    delete(web.lab, "vanishing")
    web.lab.fabric.remove_container("vanishing")


def test_foreign_state_is_left_alone(web: Fixed) -> None:
    """Somebody else's links, route, policy rule, neighbour, port and flow outlive a restart of the agent."""
    node, switch = web.node, web.lab.fabric.switches[NODE]
    node.run("ip", "link", "add", "foreign0", "type", "veth", "peer", "name", "foreign1")
    node.run("ip", "link", "add", "plum0", "type", "veth", "peer", "name", "plum1")
    for argv in (
        ("ip", "link", "set", "foreign0", "up"),
        ("ip", "link", "set", "foreign1", "up"),
        ("ip", "route", "add", "10.99.0.0/24", "dev", "polder0", "proto", "static"),
        ("ip", "rule", "add", "priority", "99", "from", "10.99.0.0/24", "lookup", "99"),
        (
            "ip",
            "neigh",
            "add",
            "10.99.0.1",
            "lladdr",
            "02:00:00:00:00:99",
            "dev",
            "polder0",
            "nud",
            "permanent",
        ),
    ):
        node.run(*argv)
    switch.vsctl("add-port", "polder0", "foreign0")
    switch.ofctl("add-flow", "polder0", "table=0,priority=9,cookie=0x99,udp,tp_dst=99,actions=drop")

    def foreign() -> list[bool]:
        return [
            node.route("10.99.0.0/24") is not None,
            "plum0" in node.links(),
            "from 10.99.0.0/24" in node.run("ip", "rule").stdout,
            "10.99.0.1" in {one.dst for one in node.neighbours()},
            "foreign0" in switch.vsctl("list-ports", "polder0").split(),
            "cookie=0x99," in switch.ofctl("dump-flows", "polder0"),
        ]

    assert all(foreign())
    with undisturbed(web):
        web.lab.polder.agents[NODE].restart()
    assert all(foreign()), foreign()
    switch.ofctl("del-flows", "polder0", "cookie=0x99/-1")
    switch.vsctl("del-port", "polder0", "foreign0")
    node.run("ip", "link", "delete", "foreign0")
    node.run("ip", "link", "delete", "plum0")
    node.run("ip", "rule", "delete", "priority", "99")
    node.run("ip", "route", "delete", "10.99.0.0/24")
    node.run("ip", "neigh", "delete", "10.99.0.1", "dev", "polder0")


def test_flows_that_are_removed_by_hand_come_back_at_once_and_are_counted(web: Fixed) -> None:
    switch, agent = web.lab.fabric.switches[NODE], web.lab.polder.agent_api(NODE)
    here = len(web.flows())

    def repaired() -> int:
        told = str(agent.get("/metrics").body)
        return sum(map(int, re.findall(r'polder_agent_repairs_total\{kind="flows"\} (\d+)', told)))

    before = repaired()
    switch.ofctl("del-flows", "polder0", f"table=5,ip,nw_dst={web.address}")
    wait_until(lambda: len(web.flows()), 5.0, "its flow to come back", good=here.__eq__)
    wait_until(repaired, 5.0, "the repair to be counted", good=(before + 1).__eq__)
    log = web.lab.polder.agents[NODE].log.read_text()
    assert re.search(
        rf"drift driver=flows entry=table=5,\S*{re.escape(web.address)}\S* .* found=nothing", log
    )


@pytest.mark.parametrize("what", ["route", "neighbour", "rule", "blackhole"])
def test_what_is_removed_from_the_kernel_by_hand_comes_back(web: Fixed, what: str) -> None:
    node = web.node
    block = next(one.dst for one in node.routes() if one.kind == "blackhole" and one.dst.startswith(POOL))
    removed, present = {
        "route": (f"route delete {web.address}/32", lambda: node.route(f"{web.address}/32")),
        "neighbour": (
            f"neigh delete {web.address} dev polder0",
            lambda: [
                one for one in node.neighbours() if one.dst == web.address and "PERMANENT" in one.states
            ],
        ),
        "rule": (
            "rule delete priority 100 iif polder0",
            lambda: "iif polder0" in node.run("ip", "rule").stdout,
        ),
        "blackhole": (f"route delete blackhole {block}", lambda: node.route(block)),
    }[what]
    node.run("ip", *removed.split())
    wait_until(present, 5.0, f"{what} to come back")
    assert web.metal.ping(web.address, 3).ok


def test_a_port_that_is_removed_by_hand_comes_back(web: Fixed) -> None:
    switch = web.lab.fabric.switches[NODE]
    port = switch.vsctl("--bare", "--columns=name", "find", "Port", f"external_ids:polder={web.name}").strip()
    switch.vsctl("del-port", "polder0", port)
    wait_until(lambda: web.metal.ping(web.address).ok, BACK_S, "the container to answer again")


@contextmanager
def closed(web: Fixed) -> Iterator[None]:
    """The container may be asked by metal, and may only answer, while the block runs."""
    body = {"name": "only-metal", "selector": {"app": web.name}, "egress": [{"action": "deny"}]}
    metal = {"action": "allow", "peers": [{"cidr": f"{METAL_ADDRESS}/32"}]}
    web.lab.api.do("PATCH", f"/v1/endpoints/{web.name}", {"labels": {"app": web.name}})
    web.lab.api.do("POST", "/v1/policies", {**body, "ingress": [metal, {"action": "deny"}]})
    try:
        wait_until(lambda: not web.host.ping(METAL_ADDRESS).ok, BACK_S, "the policy to be in force")
        yield
    finally:
        web.lab.api.do("DELETE", "/v1/policies/only-metal")


@pytest.mark.needs("iperf3", "tcpdump")
@pytest.mark.parametrize("told_to_wait", [False, True])
def test_the_switch_is_restarted(web: Fixed, told_to_wait: bool) -> None:
    """With the netdev datapath the switch is that process: forwarding is back when it is, and TCP goes on.

    It forgets all connections: what a container sends that may only answer has to pass nevertheless.
    """
    switch = web.lab.fabric.switches[NODE]
    with (
        closed(web),
        transfer(web.metal, web.host, web.address, 5201) as download,
        echo(web.metal, web.host, web.address) as connection,
    ):
        assert connection.ask(b"before")
        ping = web.metal.ping_background(web.address)
        ping.wait_answers(5)
        if told_to_wait:
            switch.vsctl("set", "Open_vSwitch", ".", WAITS)
        switch.vswitchd.kill()
        switch.vswitchd.start()
        ping.wait_answers(10, BACK_S)
        report = ping.stop()
        assert connection.ask(b"after")
        download.wait_segments(50, BACK_S)
        assert web.host.ping(METAL_ADDRESS).received == 0, "the policy is in force again"
        silent_s = download.longest_silence_s()
    assert 0 < report.longest_gap_s < GAP_S, report
    assert silent_s < TCP_GAP_S
    TIMES.append(
        f"ovs-vswitchd restarted: {report.longest_gap_s:.2f} s without it, TCP silent {silent_s:.2f} s"
    )
    assert "flow-restore-wait" not in switch.vsctl("get", "Open_vSwitch", ".", "other_config")


def test_a_switch_that_waits_is_told_to_go_on_by_the_agent_that_comes_back(web: Fixed) -> None:
    """ovs-vswitchd is restarted while the agent is dead: it gets its flows before it goes on."""
    switch, agent = web.lab.fabric.switches[NODE], web.lab.polder.agents[NODE]
    switch.vsctl("set", "Open_vSwitch", ".", WAITS)
    agent.kill()
    try:
        switch.vswitchd.kill()
        switch.vswitchd.start()
        wait_until(lambda: switch.ofctl("show", "polder0", check=False), BACK_S, "the switch to answer")
        assert not web.flows()
        assert not web.metal.ping(web.address).ok
    finally:
        agent.start()
    wait_until(lambda: web.metal.ping(web.address).ok, BACK_S, "the container to answer again")
    assert web.flows()
    wait_until(
        lambda: "flow-restore-wait" not in switch.vsctl("get", "Open_vSwitch", ".", "other_config"),
        BACK_S,
        "the mark to go",
    )


def test_another_layout_of_the_pipeline_is_replaced_without_a_lost_packet(web: Fixed) -> None:
    """An agent that starts finds flows of another generation, and what would harm among its own."""
    agent = web.lab.polder.agents[NODE]
    agent.kill()
    switch = Switch(web.lab.fabric.switches[NODE].directory / "polder0.mgmt")
    switch.start()
    assert switch.wait_connected(BACK_S)
    ours = switch.dump()
    with undisturbed(web):
        switch.apply(other_layout(ours), ours)
        assert {flow.cookie for flow in switch.dump()}.isdisjoint({flow.cookie for flow in ours})
        flood = web.metal.ping_background(web.address, interval_s=0.002)
        flood.wait_answers(50, BACK_S)
        agent.start()
        wait_until(
            lambda: {*switch.dump()} ^ {*ours},
            BACK_S,
            "the flows of this layout, and no others; those of but one are",
            good=lambda differ: not differ,
        )
        flood.wait_answers(50, BACK_S)
        report = flood.stop()
    switch.stop()
    assert report.ok, report


def other_layout(flows: list[Flow]) -> list[Flow]:
    """The same pipeline in tables 100 and up. A packet that meets flows of both layouts is lost."""
    cookie = encode(Purpose.ACCEPT, GENERATION - 1)

    def moved(action: Action) -> Action:
        has_table = isinstance(action, GotoTable | Track)
        return replace(action, table_id=action.table_id + 100) if has_table else action

    return [
        Flow(0, 1, actions=(GotoTable(100),), cookie=cookie),
        *(Flow(table, 60000, cookie=cookie) for table in {flow.table_id for flow in flows} - {0}),
        *(
            Flow(flow.table_id + 100, flow.priority, flow.match, tuple(map(moved, flow.actions)), cookie)
            for flow in flows
        ),
    ]


def test_deleting_while_the_agent_is_down_waits_for_it(web: Fixed) -> None:
    """The address is not free while a node may still hold it; the agent that comes back cleans up."""
    lab, other = web.lab, make(web.lab, "orphan")
    agent = lab.polder.agents[NODE]
    agent.kill()
    try:
        assert lab.api.request("DELETE", "/v1/endpoints/orphan").status == 202
        assert lab.api.get("/v1/endpoints/orphan").body["state"] == "releasing"
        assert other.flows()
    finally:
        agent.start()
    wait_until(lambda: lab.api.get("/v1/endpoints/orphan").status == 404, BACK_S, "the release to end")
    assert other.flows() == []
    lab.fabric.remove_container("orphan")


def test_a_container_cannot_speak_for_another(web: Fixed) -> None:
    """A packet with a source that is not its own is dropped at its port, and counted."""
    stranger = make(web.lab, "stranger")
    stranger.host.run("ip", "address", "add", "10.64.255.77/32", "dev", "eth0")
    with web.metal.capture("any", "icmp and src 10.64.255.77") as capture:
        report = stranger.host.ping("10.3.0.10", 3, source="10.64.255.77")
        assert report.received == 0
        assert stranger.host.ping("10.3.0.10", 3).ok, "its own address still works"
        assert capture.packets() == []
    lines = web.lab.fabric.switches[NODE].ofctl("dump-flows", "polder0").splitlines()
    drops = [
        line for line in lines if "actions=drop" in line and "n_packets=0" not in line and "table=0" in line
    ]
    assert drops, "the drop is not counted"
    delete(web.lab, "stranger")
    web.lab.fabric.remove_container("stranger")
