"""From stored values to the configuration of a session. Pure, but for asking the kernel for an address.

The local address, when nobody configured one, is the kernel's choice for packets to the peer. It is kept
as long as the host has it: a link that is down while the program starts must not change the session.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, ip_address, ip_network

from agents.speaker.secrets import NoSecret
from bgp.peer import Family, PeerConfig
from store.model import DEFAULT_ROUTE, AddressFamily, Announces, IPAddress, IPNetwork, Node, Peer

BGP_PORT = 179
FAMILIES = {AddressFamily.IPV4: Family.IPV4_UNICAST, AddressFamily.IPV6: Family.IPV6_UNICAST}

DEFAULTS: dict[int, IPNetwork] = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}


class NoSession(Exception):
    """The session cannot be configured as things stand; the message says why."""


def configuration(
    node: Node, peer: Peer, local_address: IPAddress | None, secret: Callable[[str], str]
) -> PeerConfig:
    """The configuration of the session of a node with a peer.

    Args:
        secret: the password of a name; raises `NoSecret`.

    Raises:
        NoSession: there is no local address or no password, or the values do not fit together.
    """
    local_asn = peer.local_asn or node.asn
    if peer.local_pref is not None and peer.asn != local_asn:
        # RFC 4271 §5.1.5
        raise NoSession(f"local_pref of peer {peer.name} is for a router of AS {local_asn}, not {peer.asn}")
    if peer.announces is Announces.ALL and not node.edge:
        raise NoSession(
            f"peer {peer.name} is told of all nodes, and node {node.name} is no edge: polder node set "
            f"{node.name} --edge"
        )
    if peer.as_path_prepend and peer.asn == local_asn:
        raise NoSession(f"as_path_prepend of peer {peer.name} is not for a router of the same AS {local_asn}")
    if local_address is None:
        raise NoSession(f"no route to {peer.address}, so no address to speak from")
    router_id = node.router_id or local_address
    if not isinstance(router_id, IPv4Address):
        raise NoSession(f"node {node.name} needs a router_id: the session has no IPv4 address to take for it")
    try:
        return PeerConfig(
            peer_address=peer.address,
            peer_asn=peer.asn,
            local_address=local_address,
            local_asn=local_asn,
            router_id=router_id,
            hold_time_s=peer.hold_time_s,
            graceful_restart_s=peer.graceful_restart_s,
            families=tuple(FAMILIES[each] for each in peer.families),
            password=secret(peer.password_secret) if peer.password_secret is not None else None,
            gtsm=peer.gtsm,
            multihop_ttl=peer.multihop_ttl,
            passive=peer.passive,
            keepalive_s=peer.keepalive_s,
            imports=tuple(_imports(peer)),
        )
    except NoSecret as fault:
        raise NoSession(f"peer {peer.name}: {fault}") from fault
    except ValueError as fault:
        raise NoSession(str(fault)) from fault


def _imports(peer: Peer) -> Iterator[IPNetwork]:
    """What is taken from it, `default-route` spelt out for what its sessions carry."""
    for asked in peer.imports:
        if asked == DEFAULT_ROUTE:
            yield from (DEFAULTS[version] for version in peer.carried)
        else:
            yield ip_network(asked)


def local_address(peer: Peer, before: IPAddress | None) -> IPAddress | None:
    """The address to speak from: the configured one, else that of `before`, else the kernel's choice.

    Returns None when there is no route to the peer.
    """
    if peer.local_address is not None:
        return peer.local_address
    if before is not None and before.version == peer.address.version and _has(before):
        return before
    return _kernel_choice(peer.address)


def _family(address: IPAddress) -> socket.AddressFamily:
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def _has(address: IPAddress) -> bool:
    with socket.socket(_family(address), socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
        return True


def _kernel_choice(peer: IPAddress) -> IPAddress | None:
    # Connecting a datagram socket chooses a route and a source address, and sends nothing.
    with socket.socket(_family(peer), socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(peer), BGP_PORT))
        except OSError:
            return None
        return ip_address(probe.getsockname()[0])
