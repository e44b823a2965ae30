"""What is generated from the topology: lines of ip, FRR's configuration, command lines."""

from __future__ import annotations

from pathlib import Path

from lab import commands, wiring
from lab.bird import bird_config
from lab.frr import bgpd_config
from lab.topology import Neighbour, dual_tor

TOPOLOGY = dual_tor(1)


def named(host: str) -> str:
    return f"x-{host}"


def test_both_ends_of_a_link_are_made_in_a_namespace() -> None:
    lines = wiring.link_commands(TOPOLOGY, named)
    assert len(lines) == len(TOPOLOGY.links)
    assert all(line.count(" netns x-") == 2 and line.count("mtu 1500") == 2 for line in lines)


def test_a_node_is_configured_from_inside() -> None:
    lines = wiring.host_commands(TOPOLOGY, TOPOLOGY.host("node-1"))
    assert "address add 10.1.1.1/31 dev up-a" in lines
    assert lines[-1] == "route add default nexthop via 10.1.1.0 nexthop via 10.2.1.0"


def test_the_management_bridge_has_the_address_and_its_ports_have_none() -> None:
    lines = wiring.host_commands(TOPOLOGY, TOPOLOGY.host("mgmt"))
    assert lines[:3] == [
        "link add name segment type bridge",
        "address add 10.255.0.1/24 dev segment",
        "link set segment up",
    ]
    assert lines[3:] == [
        f"link set {port} {verb}"
        for port in ("mgmt-2", "mgmt-3", "node-1")
        for verb in ("master segment", "up")
    ]


def test_bgpd_takes_the_nodes_calls_without_policy_and_uses_several_paths() -> None:
    text = bgpd_config("tor-a", 64501, "10.0.0.1", TOPOLOGY.neighbours("tor-a"))
    lines = [line.strip() for line in text.splitlines()]
    assert "router bgp 64501" in lines
    assert "no bgp ebgp-requires-policy" in lines
    assert "bgp bestpath as-path multipath-relax" in lines
    assert "neighbor 10.1.1.1 remote-as 64511" in lines
    assert "neighbor 10.1.1.1 passive" in lines
    assert "neighbor 10.0.1.1 passive" not in lines
    assert "neighbor 10.1.1.1 activate" in lines


STRICT = Neighbour(
    "node-1",
    "10.1.1.1",
    "10.1.1.0",
    64511,
    active=False,
    families=(4, 6),
    password="word",
    gtsm=True,
    max_prefixes=5,
    accepts="10.64.0.0/16",
)


def test_what_a_session_needs_is_said_to_bgpd() -> None:
    lines = [line.strip() for line in bgpd_config("tor-a", 64501, "10.0.0.1", [STRICT]).splitlines()]
    assert "ip prefix-list WITHIN-10-64-0-0-16 permit 10.64.0.0/16 le 32" in lines
    assert "neighbor 10.1.1.1 password word" in lines
    assert "neighbor 10.1.1.1 ttl-security hops 1" in lines
    assert lines.count("neighbor 10.1.1.1 activate") == lines.count("neighbor 10.1.1.1 maximum-prefix 5") == 2
    assert lines.count("neighbor 10.1.1.1 prefix-list WITHIN-10-64-0-0-16 in") == 1


def test_what_a_session_needs_is_said_to_bird() -> None:
    text = bird_config(64501, "10.0.0.1", [STRICT])
    for words in (
        "local 10.1.1.0 as 64501;",
        "neighbor 10.1.1.1 as 64511;",
        "passive yes;",
        'password "word";',
        "ttl security yes;",
        "ipv4 { import where net ~ [ 10.64.0.0/16+ ];",
        "ipv6 { import all;",
    ):
        assert text.count(words) == 1, words
    assert text.count("receive limit 5 action restart;") == 2


def test_the_programs_of_a_node_read_the_file_that_joining_wrote() -> None:
    config, run_dir = Path("/etc/x/node.conf"), Path("/run/x")
    for argv in (
        commands.node_agent(config, run_dir=run_dir, ovsdb="unix:/db"),
        commands.speaker(config, run_dir=run_dir),
    ):
        assert {f"--config={config}", f"--run-dir={run_dir}"} <= set(argv)
        assert argv[1:3] == ["-P", "-m"]
