from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest

from lab.topology import METAL_ADDRESS, MGMT_ADDRESSES, Role, dual_tor, mgmt_only

TOPOLOGY = dual_tor()
POOL = ip_network("10.64.0.0/16")


def test_hosts_and_as_numbers() -> None:
    numbers = {host.name: host.asn for host in TOPOLOGY.hosts if host.asn}
    assert numbers == {"tor-a": 64501, "tor-b": 64502, "node-1": 64511, "node-2": 64512, "node-3": 64513}


def test_every_address_is_used_once_in_lab_space_and_outside_the_pool() -> None:
    ends = [end for link in TOPOLOGY.links for end in (link.a, link.b)]
    addresses = [end.ip for end in ends if end.address]
    addresses += [str(ip_interface(host.loopback).ip) for host in TOPOLOGY.hosts if host.loopback]
    assert len(addresses) == len(set(addresses))
    interfaces = [ip_interface(address) for address in addresses]
    assert all(one.ip in ip_network("10.0.0.0/8") and one.ip not in POOL for one in interfaces)


def test_both_ends_of_a_routed_link_are_in_one_network_and_names_fit() -> None:
    for link in TOPOLOGY.links:
        assert len(link.a.ifname) <= 15
        assert len(link.b.ifname) <= 15
        if link.a.address and link.b.address:
            assert ip_interface(link.a.address).network == ip_interface(link.b.address).network


@pytest.mark.parametrize("node", [host.name for host in TOPOLOGY.of(Role.NODE)])
def test_a_node_has_an_uplink_to_each_tor_and_routes_over_both(node: str) -> None:
    far = {far.host: far.ip for _, far in TOPOLOGY.ends(node)}
    assert set(TOPOLOGY.host(node).gateways) == {far["tor-a"], far["tor-b"]}


def test_a_tor_waits_for_its_nodes_and_one_tor_calls_the_other() -> None:
    a = {n.name: n for n in TOPOLOGY.neighbours("tor-a")}
    b = {n.name: n for n in TOPOLOGY.neighbours("tor-b")}
    assert set(a) == {"tor-b", "node-1", "node-2", "node-3"}
    assert [n.name for n in (*a.values(), *b.values()) if n.active] == ["tor-b"]
    assert (a["node-2"].address, a["node-2"].local_address, a["node-2"].asn) == (
        "10.1.2.1",
        "10.1.2.0",
        64512,
    )


def test_connected_prefixes() -> None:
    assert TOPOLOGY.connected("metal") == {f"{ip_network(METAL_ADDRESS + '/24', strict=False)}"}
    assert {"10.0.0.1/32", "10.0.1.0/31", "10.1.3.0/31"} <= TOPOLOGY.connected("tor-a")


def test_the_management_segment_is_the_same_alone() -> None:
    alone = mgmt_only()
    assert {host.name for host in alone.hosts} == set(MGMT_ADDRESSES)
    assert set(alone.hosts) <= set(TOPOLOGY.hosts)
    assert set(alone.links) <= set(TOPOLOGY.links)


@pytest.mark.parametrize("count", [0, 10])
def test_the_address_plan_is_for_one_to_nine_nodes(count: int) -> None:
    with pytest.raises(ValueError, match="1 to 9"):
        dual_tor(count)
