"""The bare fabric does what its topology says, and a lab leaves no trace, however it ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from lab import netns
from lab.claim import Claim, known_labs, lab_directory
from lab.errors import CommandFailed, LabError
from lab.host import Completed
from lab.lab import Lab
from lab.partition import HOST, REQUESTS, cut
from lab.rest import Rest
from lab.topology import METAL_ADDRESS, MGMT_ADDRESS, dual_tor
from lab.wait import wait_until
from pki.directory import Pair
from tests.support.report import sections

pytestmark = pytest.mark.needs("root", "ip", "ping", "tcpdump", "bgpd", "vtysh", "ovs-vswitchd")

METAL_NET = "10.3.0.0/24"
TORS = {"tor-a": "10.0.0.1", "tor-b": "10.0.0.2"}


def root_namespace() -> list[str]:
    """Links, addresses and routes of the machine itself."""
    commands = (["ip", "-br", "link"], ["ip", "-br", "addr"], ["ip", "route"])
    return [subprocess.run(each, capture_output=True, text=True, check=True).stdout for each in commands]


# the fabric


def test_the_tors_have_a_session_and_the_nodes_are_awaited(fabric: Lab) -> None:
    summary = fabric.tors["tor-a"].bgp_summary()
    assert summary.pop("10.0.1.1") == "Established"
    assert set(summary.values()) <= {"Idle", "Active"}
    assert len(summary) == len(fabric.nodes)


def test_tor_b_knows_metal_from_tor_a_in_its_table_and_its_kernel(fabric: Lab) -> None:
    tor = fabric.tors["tor-b"]
    (path,) = tor.bgp_route(METAL_NET)
    assert (path.next_hop, path.as_path, path.best, path.stale) == ("10.0.1.0", (64501,), True, False)
    assert tor.kernel_routes()[METAL_NET].gateways == {"10.0.1.0"}
    assert tor.bgp_route("10.99.0.0/24") == []
    assert {METAL_NET, "10.0.0.1/32"} <= tor.bgp_prefixes()


@pytest.mark.parametrize("target", [METAL_ADDRESS, *TORS.values()])
def test_every_node_and_tor_reaches_metal_and_the_tors(fabric: Lab, target: str) -> None:
    unreached = [name for name in (*fabric.nodes, *TORS) if not fabric.hosts[name].ping(target, 2).ok]
    assert unreached == []


def test_a_node_has_a_multipath_default_and_reaches_mgmt_out_of_band(fabric: Lab) -> None:
    for name in fabric.nodes:
        default = fabric.hosts[name].route("0.0.0.0/0")
        assert default is not None
        assert {hop.dev for hop in default.hops} == {"up-a", "up-b"}
        assert fabric.hosts[name].ping(MGMT_ADDRESS).ok
    assert fabric.hosts["metal"].ping(MGMT_ADDRESS).received == 0


def test_each_node_has_a_switch_of_its_own(fabric: Lab) -> None:
    first, second = (fabric.fabric.switches[name] for name in fabric.nodes[:2])
    bridge = ("--", "set", "bridge", "try0", "datapath_type=netdev", "fail_mode=secure")
    first.vsctl("add-br", "try0", *bridge, "protocols=OpenFlow13")
    try:
        assert first.bridges() == ["try0"]
        assert second.bridges() == []
        assert "try0" in first.host.links()
        assert first.ofctl("dump-flows", "try0").count("cookie=") == 0
        shown = dict(sections(fabric))
        assert "node-1: flows of try0" in shown
        assert "Event coverage" in shown["node-1: what ovs-vswitchd counted"]
    finally:
        first.vsctl("del-br", "try0")


def test_a_killed_switch_comes_back_with_its_database(fabric: Lab) -> None:
    switch = fabric.fabric.switches[fabric.nodes[0]]
    switch.vsctl("set", "Open_vSwitch", ".", "external_ids:mark=here")
    switch.vswitchd.kill()
    assert not switch.vswitchd.alive
    switch.server.kill()
    switch.start()
    assert switch.vsctl("get", "Open_vSwitch", ".", "external_ids:mark").strip() == "here"


def test_an_uplink_down_is_a_gap_at_most_and_traffic_goes_the_other_way(fabric: Lab) -> None:
    node = "node-2"
    host, tor = fabric.hosts[node], fabric.hosts["tor-a"]
    near, _ = next(pair for pair in fabric.topology.ends(node) if pair[1].host == "tor-b")
    try:
        tor.set_link(node, up=False)
        wait_until(host.links, 5, f"loss of carrier on {node}", good=lambda links: not links["up-a"])
        fabric.tors["tor-a"].host.ping(near.ip)
        with host.capture("up-b", f"icmp and host {METAL_ADDRESS}") as capture:
            ping = host.ping_background(METAL_ADDRESS, source=near.ip)
            ping.wait_answers(5)
            assert ping.stop().ok
            packets = capture.wait(5, 5)
        assert {packet.src for packet in packets} == {ip_address(near.ip), ip_address(METAL_ADDRESS)}
    finally:
        tor.set_link(node, up=True)
    uplink = "10.1.2.0/31"
    wait_until(
        fabric.tors["tor-b"].kernel_routes, 5, "the uplink again", good=lambda routes: uplink in routes
    )


def test_a_monitor_writes_down_a_withdrawal_and_ping_measures_the_gap(fabric: Lab) -> None:
    tor_a, tor_b, metal = fabric.tors["tor-a"], fabric.tors["tor-b"], fabric.hosts["metal"]
    quiet, monitor = metal.monitor_routes(), tor_b.host.monitor_routes()
    ping = tor_b.host.ping_background(METAL_ADDRESS)
    tor_a.host.set_link("metal", up=False)
    wait_until(tor_b.kernel_routes, 5, "withdrawal", good=lambda routes: METAL_NET not in routes)
    tor_a.host.set_link("metal", up=True)
    wait_until(tor_b.kernel_routes, 5, "the route again", good=lambda routes: METAL_NET in routes)
    ping.wait_answers(3)
    report = ping.stop()
    changes = [(change.deleted, change.dst) for change in monitor.stop()]
    assert changes == [(True, METAL_NET), (False, METAL_NET)]
    assert quiet.stop() == []
    assert report.lost
    assert 0 < report.longest_gap_s <= 5


def test_a_killed_router_takes_its_routes_back_and_learns_again(fabric: Lab) -> None:
    tor_a, tor_b = fabric.tors["tor-a"], fabric.tors["tor-b"]
    tor_b.stop()
    wait_until(tor_a.bgp_summary, 5, "the end of the session", good=lambda s: s["10.0.1.1"] != "Established")
    tor_b.start()
    wait_until(tor_b.kernel_routes, 15, "the routes again", good=lambda routes: METAL_NET in routes)


def test_a_container_is_a_host_with_loopback_until_it_is_removed(fabric: Lab) -> None:
    container = fabric.container("box")
    assert container.netns_path.exists()
    assert list(container.links()) == ["lo"]
    assert container.ping("127.0.0.1").ok
    with pytest.raises(LabError, match="there is a host box already"):
        fabric.container("box")
    fabric.fabric.remove_container("box")
    fabric.fabric.remove_container("box")
    assert not container.netns_path.exists()
    with pytest.raises(LabError, match="only containers"):
        fabric.fabric.remove_container("metal")


def test_a_command_that_fails_says_where_and_why(fabric: Lab) -> None:
    metal = fabric.hosts["metal"]
    with pytest.raises(CommandFailed, match=r"metal: ip link show nowhere: .*nowhere"):
        metal.run("ip", "link", "show", "nowhere")
    with pytest.raises(CommandFailed, match=r"did not end in 0.05 s"):
        metal.run("sleep", "5", timeout_s=0.05)
    assert metal.run("cat", stdin="one\n").stdout == "one\n"


def test_a_report_shows_routes_bgp_and_logs_of_every_host(fabric: Lab) -> None:
    mute = fabric.container("mute")
    mute.run("sysctl", "-qw", "net.ipv4.icmp_echo_ignore_all=1")
    with mute.capture("lo", "icmp") as capture:
        unanswered = mute.ping_background("127.0.0.1", first_s=0)
        capture.wait(5, 5)
        assert unanswered.stop().lost
    shown = dict(sections(fabric))
    assert {f"{name}: routes" for name in fabric.hosts} <= set(shown)
    assert {"IcmpOutEchos", "IcmpInEchos", "lo:"} <= set(shown["mute: what the kernel counted"].split())
    assert len(shown["what each core counted"].splitlines()) == os.cpu_count()
    pings = [text for title, text in shown.items() if title.startswith("mute: ping-")]
    assert ["] no answer yet for icmp_seq=3\n" in text for text in pings] == [True]
    fabric.fabric.remove_container("mute")
    assert METAL_NET in shown["tor-b: routes"]
    assert METAL_NET in shown["tor-a: show bgp ipv4 unicast json"]
    assert {"tor-a: bgpd.log", "node-1: ovs-vswitchd.log"} <= set(shown)


@pytest.mark.needs("nft")
def test_a_cut_drops_what_it_names_and_nothing_else_until_it_ends(fabric: Lab) -> None:
    node = fabric.hosts["node-1"]
    with cut(node, HOST):
        assert node.ping(MGMT_ADDRESS).received == 0
        assert node.ping("127.0.0.1").ok
        assert fabric.hosts["node-2"].ping(MGMT_ADDRESS).ok
    with cut(node, REQUESTS):
        assert node.ping(MGMT_ADDRESS).ok
    assert node.ping(MGMT_ADDRESS).ok
    assert node.run("nft", "list", "tables").stdout == ""


# with Polder


def test_every_program_of_polder_runs_and_knows_the_topology(lab: Lab) -> None:
    polder = lab.polder
    programs = [*polder.controllers, *polder.agents.values(), *polder.speakers.values()]
    assert [program.name for program in programs if not program.alive] == []
    assert lab.api.answers("/readyz")
    assert {node["name"] for node in lab.api.do("GET", "/v1/nodes")["items"]} == set(lab.nodes)
    assert len(lab.api.do("GET", "/v1/peers")["items"]) == 2 * len(lab.nodes)
    assert "10.64.0.0/16" in lab.cli("pool", "list").stdout


def test_a_tor_is_configured_by_one_command_and_nothing_is_wrong_with_it(lab: Lab) -> None:
    """Nobody told Polder the nodes' ends of the links: their speakers did."""
    topology = dual_tor()
    for name in TORS:
        asn = str(topology.host(name).asn)
        made = lab.cli("tor", "config", "--asn", asn, "--vendor", "frr")
        nodes = [each for each in topology.neighbours(name) if each.name in lab.nodes]
        assert made.stderr == ""
        assert set(re.findall(r"^ neighbor (\S+) remote-as (\d+)$", made.stdout, re.MULTILINE)) == {
            (each.address, str(each.asn)) for each in nodes
        }
        wait_until(
            lambda asn=asn: lab.cli("tor", "check", "--asn", asn, check=False).stdout,
            10,
            "sessions that are as they should be",
            good=lambda said: said.endswith("3 of 3 sessions are as they should be\n"),
            poll_s=0.5,
        )


def etcdctl(lab: Lab, host: str, pair: Pair, *words: str) -> Completed:
    """Ask etcd as the user of a certificate; it says "permission denied" to whom it does not let."""
    command = [
        "etcdctl",
        f"--endpoints={','.join(lab.polder.etcd.endpoints)}",
        f"--cacert={lab.polder.management.credentials.ca}",
        f"--cert={pair.cert}",
        f"--key={pair.key}",
        "--command-timeout=5s",
        *words,
    ]
    return lab.hosts[host].run(*command, check=False, env={"ETCDCTL_API": "3"})


def test_a_node_may_do_its_part_in_etcd_and_nothing_else(lab: Lab) -> None:
    for node in lab.nodes:
        other = next(one for one in lab.nodes if one != node)
        pair = Pair(*(lab.hosts[node].directory / "etc" / name for name in ("node.pem", "node.key")))
        assert etcdctl(lab, node, pair, "get", f"/polder/v1/node/{node}/x").returncode == 0
        for refused in (
            ("get", "/polder/v1/tokens/", "--prefix"),
            ("get", f"/polder/v1/node/{other}/x"),
            ("put", f"/polder/v1/node/{other}/x", "mine"),
            ("put", "/polder/v1/pools/default", "mine"),
            ("user", "list"),
        ):
            assert "permission denied" in etcdctl(lab, node, pair, *refused).stderr, refused
    assert "node-1" in etcdctl(lab, "mgmt", lab.polder.management.credentials.root, "user", "list").stdout


def test_the_controllers_demand_a_token(lab: Lab) -> None:
    for door in lab.polder.management.doors:
        assert Rest.through(replace(door, token="0" * 64)).get("/v1/pools").status == 401


@pytest.mark.parametrize("tor", TORS)
def test_every_node_has_a_session_with_every_tor(lab: Lab, tor: str) -> None:
    summary = lab.tors[tor].bgp_summary()
    assert set(summary.values()) == {"Established"}
    assert len(summary) == len(lab.nodes) + 1


def test_an_attached_container_and_metal_reach_each_other(lab: Lab) -> None:
    made = lab.api.do("POST", "/v1/endpoints", {"id": "lab-try", "node": "node-3"})
    container = lab.container("try")
    try:
        lab.attach("lab-try", container, "node-3")
        metal, address = lab.hosts["metal"], made["addresses"][0]
        wait_until(lambda: metal.ping(address), 15, f"{address} to answer", good=lambda report: report.ok)
        assert container.ping(METAL_ADDRESS).ok
        lab.detach("lab-try", "node-3")
        assert list(container.links()) == ["lo"]
    finally:
        lab.api.request("DELETE", "/v1/endpoints/lab-try")
        lab.fabric.remove_container("try")


# no trace


@pytest.fixture
def name() -> Iterator[str]:
    """The name of a lab of this test's own; removed should the test fail."""
    chosen = f"trace{os.getpid()}"
    yield chosen
    if chosen in known_labs():
        lab_command("down", "--name", chosen)


def lab_command(*argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`python -m lab ...`, to its end."""
    command = [sys.executable, "-m", "lab", *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, timeout=60)


def traces(name: str) -> list[str]:
    """Namespaces, processes and files of a lab."""
    home = str(lab_directory(name))
    spaces = [path.name for path in netns.DIRECTORY.glob(f"{name}-*")]
    files = [home] if Path(home).exists() else []
    return spaces + files + [line for line in command_lines() if home in line or f"{name}-" in line]


def command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue


def broken_off(name: str, number: signal.Signals, stage: str, *, times: int = 1) -> int:
    """Begin to build a lab, signal the builder once its ledger has reached a stage, return its status."""
    ledger = lab_directory(name) / "ledger"
    command = [sys.executable, "-m", "lab", "up", "--bare", "--name", name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as builder:
        wait_until(lambda: ledger.exists() and stage in ledger.read_text(), 20, stage, poll_s=0.001)
        for _ in range(times):
            builder.send_signal(number)
        return builder.wait(30)


STAGES = [pytest.param('"netns"', id="namespaces"), pytest.param('"pid"', id="daemons")]


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_killed_builder_leaves_is_removed_by_down(name: str, stage: str) -> None:
    assert broken_off(name, signal.SIGKILL, stage) == -signal.SIGKILL
    assert traces(name)
    assert lab_command("down", "--name", name).returncode == 0
    assert traces(name) == []
    assert lab_command("down", "--name", name).returncode == 0


def test_exabgp_of_a_killed_builder_goes_too(name: str) -> None:
    command = [sys.executable, "-m", "lab", "up", "--name", name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as builder:
        wait_until(lambda: [line for line in traces(name) if "exabgp" in line], 30, "an ExaBGP", poll_s=0.1)
        builder.kill()
    assert lab_command("down", "--name", name).returncode == 0
    assert traces(name) == []


def test_what_a_killed_builder_leaves_is_removed_by_the_next_lab_of_another_name(name: str) -> None:
    broken_off(name, signal.SIGKILL, '"pid"')
    other = name.replace("trace", "next")
    with Lab(other, with_polder=False):
        assert traces(name) == []
    assert traces(other) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("stage", STAGES)
def test_an_interrupted_builder_removes_what_it_made(name: str, number: signal.Signals, stage: str) -> None:
    assert broken_off(name, number, stage) == 130
    assert traces(name) == []


def test_an_impatient_user_changes_nothing(name: str) -> None:
    assert broken_off(name, signal.SIGINT, '"pid"', times=3) == 130
    assert traces(name) == []


def test_a_lab_stands_until_down_and_the_machine_itself_is_not_touched(name: str) -> None:
    before = root_namespace()
    up = lab_command("up", "--bare", "--name", name)
    assert up.returncode == 0, up.stderr
    assert f"ip netns exec {name}-metal" in up.stdout
    assert root_namespace() == before
    assert f"lab {name} is up: 10 of 10 programs run" in lab_command("status").stdout

    again = lab_command("up", "--bare", "--name", name)
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    assert (
        f"lab {name} is up already; '{sys.executable} -m lab down --name {name}' removes it" in again.stderr
    )
    assert len(list(netns.DIRECTORY.glob(f"{name}-*"))) == len(dual_tor().hosts)

    assert lab_command("down", "--name", name).returncode == 0
    assert traces(name) == []
    assert root_namespace() == before


def test_a_process_left_inside_a_lab_goes_with_it(name: str) -> None:
    with Lab(name, with_polder=False) as lab:
        command = ["ip", "netns", "exec", lab.hosts["metal"].netns, "sleep", "600"]
        stray = subprocess.Popen(command)
        wait_until(lambda: stray.poll() is None, 1, "the stray process")
    assert stray.wait(5) == -signal.SIGTERM
    assert traces(name) == []


def test_a_lab_in_use_is_refused_in_one_line(name: str) -> None:
    claim = Claim(name)
    try:
        for verb in (["up", "--bare"], ["down"]):
            refused = lab_command(*verb, "--name", name)
            assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
            assert f"lab {name} is in use by process {os.getpid()}" in refused.stderr
    finally:
        claim.erase()


def test_a_namespace_of_somebody_else_is_left_alone(name: str) -> None:
    foreign = f"{name}-metal"
    netns.create([foreign])
    try:
        refused = lab_command("up", "--bare", "--name", name)
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert f"network namespace {foreign} exists and is not this lab's" in refused.stderr
        assert netns.path(foreign).exists()
    finally:
        netns.remove([foreign])
    assert traces(name) == []


def test_a_missing_program_is_told_in_one_line(name: str, tmp_path: Path) -> None:
    env = {**os.environ, "PATH": str(tmp_path)}
    refused = lab_command("up", "--bare", "--name", name, env=env)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert refused.stderr.startswith("lab: not installed: ping, ")
    assert refused.stderr.endswith("run 'make setup' as root\n")
    assert traces(name) == []


def test_without_root_one_line_says_so(name: str) -> None:
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    command = [*nobody, sys.executable, "-m", "lab", "up", "--name", name]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        "lab: the lab makes network namespaces and needs root: run it with sudo or as root\n",
    )
