"""Abstract packets, and an independent statement of what an endpoint may send and where it goes.

`verdict` says in plain code what the pipeline says in flows; the two are compared on many packets.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network

from openflow.flow import LOCAL, IPAddress, MatchValue
from openflow.pipeline import GATEWAY_IPV4, GATEWAY_IPV6, EndpointPort

Packet = dict[str, MatchValue]

BROADCAST = "ff:ff:ff:ff:ff:ff"
NOBODY4, NOBODY6 = IPv4Address("0.0.0.0"), IPv6Address("::")
LINK_LOCAL = IPv6Network("fe80::/10")
SOLICITATION, ADVERTISEMENT = 135, 136


def frame(in_port: int, source: str, destination: str, eth_type: int) -> Packet:
    """An Ethernet frame without VLAN tag."""
    return {
        "in_port": in_port,
        "eth_src": source,
        "eth_dst": destination,
        "eth_type": eth_type,
        "vlan_vid": 0,
    }


def ip(base: Packet, source: IPAddress, destination: IPAddress, *, ttl: int = 64, proto: int = 17) -> Packet:
    """An IPv4 or IPv6 packet in a frame."""
    family = f"ipv{source.version}"
    eth_type = 0x0800 if source.version == 4 else 0x86DD
    fields: Packet = {f"{family}_src": source, f"{family}_dst": destination, "nw_ttl": ttl, "ip_proto": proto}
    return {**base, "eth_type": eth_type, **fields}


def arp(base: Packet, *, op: int, sha: str, spa: IPv4Address, tpa: IPv4Address) -> Packet:
    """An ARP message in a frame."""
    return {**base, "eth_type": 0x0806, "arp_op": op, "arp_sha": sha, "arp_spa": spa, "arp_tpa": tpa}


def nd(base: Packet, kind: int, source: IPAddress, destination: IPAddress, **options: MatchValue) -> Packet:
    """An ICMPv6 message of neighbour discovery; `ipv6_nd_*` as options."""
    return {**ip(base, source, destination, ttl=255, proto=58), "icmpv6_type": kind, **options}


def verdict(packet: Packet, ports: Sequence[EndpointPort], gateway_mac: str) -> int | None:
    """The port that a packet goes out of; None when it is dropped."""
    if packet["vlan_vid"]:
        return None
    if packet["in_port"] == LOCAL:
        return _to_endpoint(packet, ports)
    sender = next((port for port in ports if port.ofport == packet["in_port"]), None)
    if sender is None or packet["eth_src"] != sender.mac:
        return None
    if packet["eth_type"] == 0x0806:
        return _arp(packet, sender)
    if packet.get("icmpv6_type") in (SOLICITATION, ADVERTISEMENT):
        return _neighbour(packet, sender)
    if packet.get("icmpv6_type") in (134, 137):
        return None
    return _routed(packet, sender, ports, gateway_mac)


def _arp(packet: Packet, sender: EndpointPort) -> int | None:
    own = packet["arp_spa"] in sender.addresses
    probe = packet["arp_spa"] == NOBODY4 and packet["arp_op"] == 1 and sender.ipv4
    right = packet["arp_sha"] == sender.mac and packet["arp_tpa"] == GATEWAY_IPV4
    return LOCAL if right and (own or probe) else None


def _neighbour(packet: Packet, sender: EndpointPort) -> int | None:
    source, target = packet["ipv6_src"], packet["ipv6_nd_target"]
    assert isinstance(source, IPv6Address)
    assert isinstance(target, IPv6Address)
    own = source in sender.addresses
    if not (own or (sender.ipv6 and source in LINK_LOCAL)):
        return None
    if packet["icmpv6_type"] == SOLICITATION:
        link_layer = packet["ipv6_nd_sll"] in (sender.mac, "00:00:00:00:00:00")
        return LOCAL if target == GATEWAY_IPV6 and link_layer else None
    same = target == source if own else target in LINK_LOCAL and target != GATEWAY_IPV6
    return LOCAL if same and packet["ipv6_nd_tll"] == sender.mac else None


def _routed(
    packet: Packet, sender: EndpointPort, ports: Sequence[EndpointPort], gateway_mac: str
) -> int | None:
    source = packet.get("ipv4_src", packet.get("ipv6_src"))
    destination = packet.get("ipv4_dst", packet.get("ipv6_dst"))
    assert isinstance(destination, IPv4Address | IPv6Address)
    if source not in sender.addresses or packet["eth_dst"] != gateway_mac:
        return None
    if destination.is_multicast or destination == IPv4Address("255.255.255.255"):
        return None
    if destination in sender.addresses:
        return None
    ttl = packet["nw_ttl"]
    assert isinstance(ttl, int)
    there = next((port.ofport for port in ports if destination in port.addresses), LOCAL)
    return there if ttl > 1 else LOCAL


def _to_endpoint(packet: Packet, ports: Sequence[EndpointPort]) -> int | None:
    receiver = next((port for port in ports if port.mac == packet["eth_dst"]), None)
    if receiver is None:
        return None
    if packet["eth_type"] == 0x0806:
        return receiver.ofport if receiver.ipv4 else None
    destination = packet.get("ipv4_dst", packet.get("ipv6_dst"))
    neighbour = packet.get("icmpv6_type") in (SOLICITATION, ADVERTISEMENT)
    if neighbour and receiver.ipv6 and destination in LINK_LOCAL:
        return receiver.ofport
    return receiver.ofport if destination in receiver.addresses else None
