from __future__ import annotations

import json

from lab.route import Hop, parse_changes, parse_neighbours, parse_routes


def test_a_multipath_default_has_both_hops_and_its_length() -> None:
    entry = {
        "dst": "default",
        "nexthops": [
            {"gateway": "10.1.1.0", "dev": "up-a", "weight": 1},
            {"gateway": "10.2.1.0", "dev": "up-b", "weight": 1},
        ],
    }
    (route,) = parse_routes(json.dumps([entry]))
    assert route.dst == "0.0.0.0/0"
    assert route.hops == (Hop("10.1.1.0", "up-a"), Hop("10.2.1.0", "up-b"))
    assert route.gateways == {"10.1.1.0", "10.2.1.0"}


def test_a_host_route_of_polder_and_a_blackhole() -> None:
    entries = [
        {"type": "unicast", "dst": "10.64.0.1", "dev": "polder0", "protocol": "80", "scope": "link"},
        {"type": "blackhole", "dst": "10.64.0.0/26", "protocol": "80", "metric": 32},
    ]
    host, block = parse_routes(json.dumps(entries))
    assert (host.dst, host.protocol, host.hops) == ("10.64.0.1/32", "polder", (Hop(None, "polder0"),))
    assert (block.kind, block.metric, block.gateways) == ("blackhole", 32, frozenset())


def test_ipv6_and_an_ipv4_route_over_an_ipv6_gateway() -> None:
    (default,) = parse_routes(json.dumps([{"dst": "default", "gateway": "fe80::1", "dev": "eth0"}]), family=6)
    assert default.dst == "::/0"
    via = {"family": "inet6", "host": "fe80::1"}
    (mixed,) = parse_routes(json.dumps([{"dst": "10.0.0.1", "via": via, "dev": "eth0"}]))
    assert mixed.gateways == {"fe80::1"}


def test_no_output_is_no_route() -> None:
    assert parse_routes("") == []
    assert parse_neighbours("") == []


def test_neighbours() -> None:
    entry = {"dst": "10.64.0.1", "dev": "polder0", "lladdr": "02:00:00:00:00:01", "state": ["PERMANENT"]}
    (neighbour,) = parse_neighbours(json.dumps([entry]))
    assert (neighbour.dst, set(neighbour.states)) == ("10.64.0.1", {"PERMANENT"})


def test_changes_say_when_and_whether_a_route_was_deleted() -> None:
    lines = [
        "[2026-11-21T02:10:46.500000] Deleted 10.64.0.0/26 nhid 20 via 10.1.1.1 dev node-1 proto bgp",
        "[2026-11-21T02:10:47.000000] blackhole 10.64.0.7 proto 80",
        "[2026-11-21T02:10:47.100000] local fe80::1 dev lo table local",
        "",
    ]
    deleted, written, six = parse_changes(lines)
    assert (deleted.deleted, deleted.dst) == (True, "10.64.0.0/26")
    assert (written.deleted, written.dst) == (False, "10.64.0.7/32")
    assert six.dst == "fe80::1/128"
    assert written.time_s - deleted.time_s == 0.5
