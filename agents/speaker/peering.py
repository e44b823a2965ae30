"""From stored values to the configuration of a session. Pure, but for asking the kernel for an address.

The local address, when nobody configured one, is the kernel's choice for packets to the peer. It is kept
as long as the host has it: a link that is down while the program starts must not change the session.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, ip_address

from agents.speaker.secrets import NoSecret
from bgp.peer import PeerConfig
from intent.session import NoSession, terms
from store.model import IPAddress, Node, Peer

BGP_PORT = 179


def configuration(
    node: Node, peer: Peer, local_address: IPAddress | None, secret: Callable[[str], str]
) -> PeerConfig:
    """The configuration of the session of a node with a peer.

    Args:
        secret: the password of a name; raises `NoSecret`.

    Raises:
        NoSession: there is no local address or no password, or the values do not fit together.
    """
    wanted = terms(node, peer)
    if local_address is None:
        raise NoSession(f"no route to {peer.address}, so no address to speak from")
    try:
        return PeerConfig(
            peer_address=wanted.address,
            peer_asn=wanted.asn,
            local_address=local_address,
            local_asn=wanted.local_asn,
            router_id=wanted.router_id or IPv4Address(str(local_address)),
            hold_time_s=wanted.hold_time_s,
            graceful_restart_s=wanted.graceful_restart_s,
            families=wanted.families,
            password=secret(wanted.password_secret) if wanted.password_secret is not None else None,
            gtsm=wanted.gtsm,
            multihop_ttl=wanted.multihop_ttl,
            passive=wanted.passive,
            keepalive_s=wanted.keepalive_s,
            imports=wanted.imports,
        )
    except NoSecret as fault:
        raise NoSession(f"peer {peer.name}: {fault}") from fault
    except ValueError as fault:
        raise NoSession(str(fault)) from fault


def crowded(configured: Mapping[str, PeerConfig]) -> dict[str, str]:
    """Why sessions cannot wait for their peers, by name: of their processes one can listen at an address."""
    first: dict[IPAddress, str] = {}
    why = {}
    for name, made in sorted(configured.items()):
        if made.passive and first.setdefault(made.local_address, name) != name:
            why[name] = (
                f"peer {name} is passive at {made.local_address}, where peer {first[made.local_address]} is: "
                f"polder peer set {name} --active, or --local-address with another"
            )
    return why


def local_address(peer: Peer, before: IPAddress | None) -> IPAddress | None:
    """The address to speak from: the configured one, else that of `before`, else the kernel's choice.

    Returns None when there is no route to the peer.
    """
    if peer.local_address is not None:
        return peer.local_address
    if before is not None and before.version == peer.address.version and _has(before):
        return before
    return _kernel_choice(peer.address)


def why_mute(config: PeerConfig) -> str:
    """Why this host cannot open the session, if it has not the address to speak from; else nothing."""
    if _has(config.local_address):
        return ""
    return f"this node has no address {config.local_address} to speak from"


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
