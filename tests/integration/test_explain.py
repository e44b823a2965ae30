"""What Polder says of a node, an endpoint and a packet's way, in a lab that is broken on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from lab.lab import Lab
from lab.ovs import Switch
from lab.topology import METAL_ADDRESS
from lab.wait import wait_until
from tests.support.cluster import NODE
from tests.support.containers import Fixed, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")

SOON_S = 20.0


@pytest.fixture(scope="module")
def web(lab: Lab) -> Iterator[Fixed]:
    yield make(lab, "told")
    delete(lab, "told")
    lab.fabric.remove_container("told")


def diff(lab: Lab, node: str = NODE) -> Any:
    """As `polder node diff` tells it, and its exit status says whether there is a difference."""
    done = lab.cli("node", "diff", node, "-o", "json", check=False)
    told = json.loads(done.stdout)
    assert done.returncode == bool(told["unlike"]), done.stderr
    return told


def test_a_node_that_holds_what_it_should_differs_in_nothing(web: Fixed) -> None:
    told = wait_until(lambda: diff(web.lab), SOON_S, "no difference", good=lambda told: not told["unlike"])
    counts = {each["held"]: each["wanted"] for each in told["counts"] if each["wanted"] == each["found"]}
    everywhere = {"ports", "rules", "neighbours", "routes", "meters", "flows"}
    assert {held: count > 0 for held, count in counts.items()} == {
        **dict.fromkeys(everywhere, True),
        "shares": False,
    }, told


@contextmanager
def kept_away(switch: Switch, flows: str) -> Iterator[None]:
    """Flows are deleted all the time while the block runs, as the agent puts them back at once."""
    again = 'while :; do yes "delete $2" | head -n 3000 | ovs-ofctl -O OpenFlow13 add-flows "$1" -; done'
    target = f"unix:{switch.directory / 'polder0'}.mgmt"
    deleting = switch.host.record("sh", "-c", again, "sh", target, flows)
    try:
        yield
    finally:
        deleting.stop()


def test_a_flow_that_was_deleted_is_missing_with_its_reason(web: Fixed) -> None:
    def broken() -> list[dict[str, str]]:
        return [each for each in diff(web.lab)["unlike"] if each["kind"] == "missing"]

    with kept_away(web.lab.fabric.switches[NODE], f"table=0,ip,nw_src={web.address}"):
        missing = wait_until(broken, SOON_S, "the flow to be missed")
    assert [each["held"] for each in missing] == ["flows"]
    assert f"ipv4_src={web.address}" in missing[0]["key"]
    assert missing[0]["reason"] == f"told from {web.address}"
    assert "(ACCEPT)" in missing[0]["wanted"]
    wait_until(lambda: web.metal.ping(web.address).ok, SOON_S, "the container to answer again")


def test_an_agent_that_does_not_run_is_said_at_once(web: Fixed) -> None:
    lab = web.lab
    node = lab.nodes[2]
    agent = lab.polder.agents[node]
    agent.stop()
    try:
        done = wait_until(
            lambda: lab.cli("node", "diff", node, check=False),
            SOON_S,
            "the controller to notice",
            good=lambda done: "does not run" in done.stderr,
        )
        assert done.returncode == 5
    finally:
        agent.start()


@pytest.fixture(scope="module")
def far(lab: Lab) -> Iterator[Fixed]:
    yield make(lab, "told-far", node=lab.nodes[1])
    delete(lab, "told-far")
    lab.fabric.remove_container("told-far")


def trace(lab: Lab, *words: str) -> Any:
    """As `polder trace` tells it, and its exit status says whether the packet arrives."""
    done = lab.cli("trace", *words, "-o", "json", check=False)
    told = json.loads(done.stdout)
    assert done.returncode == (0 if told["arrives"] else 1), done.stderr
    return told


def ats(told: Any) -> list[str]:
    return [each["at"] for each in told["steps"]]


def test_a_packet_to_another_node_is_followed_to_its_end(web: Fixed, far: Fixed) -> None:
    told = trace(web.lab, web.name, far.name, "--proto", "tcp", "--port", "80")
    assert told["arrives"], told["why"]
    steps = told["steps"]
    assert {each["node"] for each in steps} == {None, NODE, web.lab.nodes[1]}
    assert [each["at"] for each in steps if each["at"] in {"uplink", "router", "kernel"}] == [
        "kernel",
        "uplink",
        "router",
        "uplink",
        "kernel",
    ]
    accepted = next(each for each in steps if each["at"] == "classify")
    assert (accepted["purpose"], accepted["reason"]) == ("ACCEPT", f"{web.name} from {web.address}")
    router = next(each for each in steps if each["at"] == "router")
    assert router["evidence"].count("ESTABLISHED") == 2
    assert web.host.ping(far.address).ok


@pytest.mark.parametrize("outside", ["to", "from"])
def test_an_end_may_be_outside_of_polder(web: Fixed, outside: str) -> None:
    metal = str(METAL_ADDRESS)
    told = trace(web.lab, *((web.name, metal) if outside == "to" else (metal, web.address)))
    assert told["arrives"], told["why"]


def test_a_block_that_nobody_has_is_announced_by_nobody(web: Fixed) -> None:
    told = trace(web.lab, web.name, "10.64.200.200")
    assert told["verdict"] == "stops"
    assert "no node has claimed its block" in told["why"]


def test_a_deleted_flow_is_where_the_trace_stops(web: Fixed, far: Fixed) -> None:
    with kept_away(web.lab.fabric.switches[far.on], f"ip,nw_dst={far.address}"):
        told = wait_until(
            lambda: trace(web.lab, web.name, far.name),
            SOON_S,
            "the trace to stop",
            good=lambda told: not told["arrives"],
        )
    last = told["steps"][-1]
    assert (last["node"], last["at"], last["verdict"]) == (far.on, "deliver", "stops")
    assert last["purpose"] == "NO_ENDPOINT"
    wait_until(lambda: trace(web.lab, web.name, far.name)["arrives"], SOON_S, "the way to be whole")


def test_an_address_that_nobody_holds_ends_at_the_blackhole(web: Fixed, far: Fixed) -> None:
    nobody = str(ip_address(far.address) + 40)
    told = trace(web.lab, web.name, nobody)
    last = told["steps"][-1]
    assert (last["at"], last["node"], last["verdict"]) == ("kernel", far.on, "stops")
    assert "blackhole" in last["what"]
    assert "unassigned addresses end here" in last["reason"]


def test_a_router_that_is_told_nothing_is_where_it_stops(web: Fixed, far: Fixed) -> None:
    lab = web.lab
    lab.cli("node", "drain", far.on, "--wait", "0s")
    told = wait_until(
        lambda: trace(lab, web.name, far.name), SOON_S, "a stop", good=lambda told: not told["arrives"]
    )
    assert (told["steps"][-1]["at"], told["steps"][-1]["reason"]) == ("router", "the node is drained")
    lab.cli("node", "undrain", far.on)
    wait_until(lambda: web.host.ping(far.address).ok, SOON_S, "the far container to answer again")


def metrics(lab: Lab, node: str) -> dict[str, float]:
    """As the agent's socket tells them, by name with labels."""
    socket = str(lab.polder.agent_socket(node))
    text = lab.hosts[node].run("curl", "-s", "--unix-socket", socket, "http://agent/metrics").stdout
    lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_the_agent_tells_its_metrics(web: Fixed) -> None:
    sent = f'polder_endpoint_packets_total{{direction="sent",endpoint="{web.name}"}}'
    before = metrics(web.lab, NODE)
    assert web.host.ping(METAL_ADDRESS, count=5).ok
    told = wait_until(
        lambda: metrics(web.lab, NODE),
        SOON_S,
        "the packets to be told",
        good=lambda told: told[sent] >= before[sent] + 5,
    )
    assert told['polder_agent_held{kind="rules"}'] == 4
    assert told["polder_agent_pass_seconds_count"] > 0
    assert told['polder_dropped_packets_total{purpose="TAGGED"}'] == 0


def stats(lab: Lab, name: str) -> Any:
    return json.loads(lab.cli("endpoint", "stats", name, "-o", "json").stdout)


def test_packets_are_counted_each_way_and_what_is_spoofed_is_too(web: Fixed) -> None:
    before = stats(web.lab, web.name)
    assert web.host.ping(METAL_ADDRESS, count=5).ok
    web.host.run("ip", "address", "add", "10.99.0.1/32", "dev", "lo")
    web.host.ping(METAL_ADDRESS, count=3, source="10.99.0.1")

    def counted() -> bool:
        after = stats(web.lab, web.name)
        spoofed = sum(each["packets"] for each in after["dropped"] if each["purpose"] == "SPOOFED")
        return (
            all(after[way]["packets"] >= before[way]["packets"] + 5 for way in ("sent", "received"))
            and after["port"]["sent"]["packets"] >= before["port"]["sent"]["packets"] + 8
            and spoofed >= 3
        )

    wait_until(counted, SOON_S, "the packets to be counted")


def test_what_was_dropped_is_told_and_written_with_its_reason(web: Fixed) -> None:
    web.host.run("ip", "address", "add", "10.99.0.2/32", "dev", "lo")
    web.lab.cli("node", "drops", NODE)  # what comes from here on is new to the agent
    web.host.ping(METAL_ADDRESS, count=4, source="10.99.0.2")

    def told() -> list[Any]:
        drops = json.loads(web.lab.cli("node", "drops", NODE, "-o", "json").stdout)["drops"]
        return [each for each in drops if (each["endpoint"], each["purpose"]) == (web.name, "SPOOFED")]

    found = wait_until(told, SOON_S, "the drops to be told", good=lambda drops: sum_of(drops) >= 4)
    assert "only" in found[0]["reason"]
    line = f"event=dropped endpoint={web.name} purpose=SPOOFED"
    wait_until(
        lambda: web.lab.polder.agents[NODE].log_tail(2000), SOON_S, "the log", good=lambda text: line in text
    )


@pytest.fixture
def policy(far: Fixed) -> Iterator[str]:
    """A policy that denies SSH to the far container, and says so in the log."""
    deny = {"name": "ssh", "action": "deny", "log": True, "ports": [{"protocol": "tcp", "port": 22}]}
    rules = [deny, {"name": "rest", "action": "allow"}]
    far.lab.api.do("PATCH", f"/v1/endpoints/{far.name}", {"labels": {"app": "told"}})
    far.lab.api.do("POST", "/v1/policies", {"name": "no-ssh", "selector": {"app": "told"}, "ingress": rules})
    yield "policy no-ssh, ingress rule 1 (ssh): deny"
    far.lab.api.do("DELETE", "/v1/policies/no-ssh")


def test_a_policy_that_denies_is_named_by_its_rule(web: Fixed, far: Fixed, policy: str) -> None:
    ssh = (web.name, far.name, "--proto", "tcp", "--port", "22")
    told = wait_until(
        lambda: trace(web.lab, *ssh), SOON_S, "the policy", good=lambda told: not told["arrives"]
    )
    last = told["steps"][-1]
    assert (last["node"], last["at"], last["purpose"]) == (far.on, "ingress", "POLICY_INGRESS")
    assert last["reason"] == policy
    http = trace(web.lab, web.name, far.name, "--proto", "tcp", "--port", "80")
    assert http["arrives"]
    assert "policy no-ssh, ingress rule 2 (rest): allow" in [each["reason"] for each in http["steps"]]

    web.lab.cli("node", "drops", far.on)
    web.host.run("curl", "-s", "-m", "1", f"http://{far.address}:22/", check=False)

    def logged() -> list[Any]:
        drops = json.loads(web.lab.cli("node", "drops", far.on, "-o", "json").stdout)["drops"]
        return [each for each in drops if each["reason"] == policy]

    assert wait_until(logged, SOON_S, "the drop")[0]["purpose"] == "POLICY_INGRESS"
    assert "purpose=POLICY_INGRESS" in web.lab.polder.agents[far.on].log_tail(2000)
    packet = json.loads(web.lab.cli("endpoint", "drops", far.name, "-o", "json").stdout)["packets"][0]
    assert (packet["way"], packet["reason"], packet["endpoint"]) == ("received", policy, far.name)
    assert (packet["source"], packet["destination"]) == (web.address, far.address)
    assert (packet["protocol"], packet["destination_port"]) == ("tcp", 22)
    dropped = stats(web.lab, far.name)["dropped"]
    assert ("received", "DENIED") in [(each["way"], each["purpose"]) for each in dropped]
    counted = json.loads(web.lab.cli("policy", "stats", "no-ssh", "-o", "json").stdout)
    assert (counted["nodes"], counted["silent"]) == ([far.on], [])
    ssh_rule, rest = counted["rules"]
    assert (ssh_rule["name"], ssh_rule["action"], ssh_rule["packets"] > 0) == ("ssh", "deny", True)
    assert (rest["name"], rest["packets"]) == ("rest", 0)


def test_what_a_rule_logs_and_lets_pass_is_sampled_and_what_a_staged_one_logs(web: Fixed, far: Fixed) -> None:
    api, logged = far.lab.api, {"log": True, "ports": [{"protocol": "tcp", "port": 8080}]}
    api.do("PATCH", f"/v1/endpoints/{far.name}", {"labels": {"app": "told"}})
    for name, mode, action in (("open", "enforced", "allow"), ("later", "staged", "deny")):
        rules = [{"action": action, **logged}]
        api.do(
            "POST",
            "/v1/policies",
            {"name": name, "selector": {"app": "told"}, "mode": mode, "ingress": rules},
        )

    def sampled() -> set[tuple[str, ...]]:
        done = web.host.run("curl", "-s", "-m", "1", f"http://{far.address}:8080/", check=False)
        assert done.returncode == 7, "refused by the endpoint itself: nothing is dropped"
        told = json.loads(web.lab.cli("endpoint", "drops", far.name, "-o", "json").stdout)["packets"]
        here = [each for each in told if each["destination_port"] == 8080]
        return {(each["way"], each["purpose"], each["reason"], each["source"]) for each in here}

    expected = {
        ("received", "ALLOWED", "policy open, ingress rule 1: allow", web.address),
        ("received", "STAGED_DENY", "policy later, ingress rule 1: deny", web.address),
    }
    assert wait_until(sampled, SOON_S, "samples", good=lambda told: len(told) > 1) == expected
    for name in ("open", "later"):
        api.do("DELETE", f"/v1/policies/{name}")


def sum_of(drops: list[Any]) -> int:
    return sum(each["packets"] for each in drops)
