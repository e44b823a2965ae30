"""What a session of a node with a peer has to be like, as far as stored values say.

A speaker completes it with what only the host knows: the address that it speaks from, and the password. A
session whose terms change is opened anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from ipaddress import IPv4Address, ip_network

from bgp.peer import Family
from store.model import DEFAULT_ROUTE, AddressFamily, Announces, IPAddress, IPNetwork, Node, Peer

DEFAULTS: dict[int, IPNetwork] = {4: ip_network("0.0.0.0/0"), 6: ip_network("::/0")}
FAMILIES = {AddressFamily.IPV4: Family.IPV4_UNICAST, AddressFamily.IPV6: Family.IPV6_UNICAST}


class NoSession(Exception):
    """The session cannot be configured as things stand; the message says why."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a session needs; see `bgp.peer.PeerConfig` for each.

    Args:
        local_address: None is the kernel's choice.
        router_id: None is the local address.
        password_secret: the name of the password.
    """

    address: IPAddress
    asn: int
    local_address: IPAddress | None
    local_asn: int
    router_id: IPv4Address | None
    hold_time_s: int
    keepalive_s: int | None
    graceful_restart_s: int
    families: tuple[Family, ...]
    password_secret: str | None
    gtsm: bool
    multihop_ttl: int | None
    passive: bool
    imports: tuple[IPNetwork, ...]


AS_BEFORE = "goes on as it was configured before: "
"""How the reason of a session begins that is there, while what is wanted of it cannot be."""


def terms(node: Node, peer: Peer) -> Terms:
    """The terms of the session of a node with a peer. Raises `NoSession` when the values do not fit."""
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
    if node.router_id is None and peer.address.version != 4:
        raise NoSession(f"node {node.name} needs a router_id: the session has no IPv4 address to take for it")
    return Terms(
        address=peer.address,
        asn=peer.asn,
        local_address=peer.local_address,
        local_asn=local_asn,
        router_id=node.router_id,
        hold_time_s=peer.hold_time_s,
        keepalive_s=peer.keepalive_s,
        graceful_restart_s=peer.graceful_restart_s,
        families=tuple(sorted(FAMILIES[each] for each in peer.families)) or (Family.of(peer.address),),
        password_secret=peer.password_secret,
        gtsm=peer.gtsm,
        multihop_ttl=peer.multihop_ttl,
        passive=peer.passive,
        imports=tuple(sorted(_imports(peer), key=lambda each: (each.version, each))),
    )


def _imports(peer: Peer) -> frozenset[IPNetwork]:
    """What is taken from it of what its sessions carry, `default-route` spelt out."""
    spelt = [
        each
        for asked in peer.imports
        for each in (DEFAULTS.values() if asked == DEFAULT_ROUTE else [ip_network(asked)])
    ]
    return frozenset(each for each in spelt if each.version in peer.carried)


def changes(before: Terms, after: Terms) -> tuple[str, ...]:
    """Why a session is opened anew, one phrase for each term: `hold_time_s 90 -> 30`."""
    return tuple(_changes(before, after))


def _changes(before: Terms, after: Terms) -> Iterator[str]:
    for each in fields(Terms):
        was, now = getattr(before, each.name), getattr(after, each.name)
        if was != now:
            yield f"{each.name} {_text(was)} -> {_text(now)}"


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
