"""The messages of BMP (RFC 7854 §4) as values. What Polder has no use for is `Ignored`.

The UPDATE of a Route Monitoring message stays as it came: what it holds is read (`bgp.bmp.update`) only
for a session of interest, so that one with a capability that changes its NLRI does no harm.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from bgp.bmp.framing import Frame
from bgp.bmp.wire import IPAddress, Reader
from bgp.notification import describe

TEXT_BYTES = 200
"""Of what a router says of itself in free text, so much is kept."""


class Kind(IntEnum):
    """Message types (RFC 7854 §4.1)."""

    ROUTE_MONITORING = 0
    STATISTICS = 1
    PEER_DOWN = 2
    PEER_UP = 3
    INITIATION = 4
    TERMINATION = 5
    ROUTE_MIRRORING = 6


class Rib(Enum):
    """The table of a session that a message is about."""

    IN_PRE_POLICY = "Adj-RIB-In, pre-policy"
    IN_POST_POLICY = "Adj-RIB-In, post-policy"
    OTHER = "another"
    """Adj-RIB-Out (RFC 8671), Loc-RIB (RFC 9069), and what comes after them."""


@dataclass(frozen=True, slots=True)
class Monitored:
    """A session of the router, by its far end: the per-peer header (RFC 7854 §4.2) without AS and time.

    Args:
        instance: peer type and distinguisher: the same address may be there in several VRFs.
        address: the far end's: for the router's session with a node that of the node.
    """

    instance: bytes
    address: IPAddress


@dataclass(frozen=True, slots=True)
class Initiation:
    """The router names itself."""

    name: str
    description: str


@dataclass(frozen=True, slots=True)
class PeerUp:
    """A session of the router is established; `local_address` is the router's end of it."""

    peer: Monitored
    local_address: IPAddress


@dataclass(frozen=True, slots=True)
class PeerDown:
    """A session of the router has ended, or never was."""

    peer: Monitored
    reason: str


@dataclass(frozen=True, slots=True)
class RouteMonitoring:
    """A change of a table, as an UPDATE message of BGP that would bring it about."""

    peer: Monitored
    rib: Rib
    update: bytes


@dataclass(frozen=True, slots=True)
class Termination:
    """The router is about to close the connection."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message of another type, or of one that Polder does not use."""

    kind: int


Message = Initiation | PeerUp | PeerDown | RouteMonitoring | Termination | Ignored

_IPV6, _POST_POLICY, _ADJ_RIB_OUT = 0x80, 0x40, 0x10
_PEER_TYPES = {0, 1, 2}
"""Sessions with a peer: global, in a VRF, local to it (RFC 7854 §4.2). Others are no sessions."""

_TERMINATIONS = {0: "closed by its administrator", 1: "unspecified", 2: "out of resources"}
_TERMINATIONS |= {3: "redundant connection", 4: "permanently closed by its administrator"}


def parse(frame: Frame) -> Message:
    """The message in a frame. Raises `Malformed`."""
    reader = Reader(frame.body)
    match frame.kind:
        case Kind.ROUTE_MONITORING:
            peer, rib = _peer(reader)
            return RouteMonitoring(peer, rib, reader.take(reader.left))
        case Kind.PEER_UP:
            return _peer_up(reader)
        case Kind.PEER_DOWN:
            peer, _ = _peer(reader)
            return PeerDown(peer, _down_reason(reader))
        case Kind.INITIATION:
            said = _information(reader)
            return Initiation(name=said.get(2, ""), description=said.get(1, ""))
        case Kind.TERMINATION:
            return Termination(_termination(reader))
    return Ignored(frame.kind)


def _peer(reader: Reader) -> tuple[Monitored, Rib]:
    """The per-peer header (RFC 7854 §4.2)."""
    peer_type, flags, distinguisher = reader.number(1), reader.number(1), reader.take(8)
    is_session = peer_type in _PEER_TYPES
    address = reader.address(ipv6=bool(flags & _IPV6) and is_session)
    reader.take(16)  # AS, BGP identifier, time
    if not is_session or flags & _ADJ_RIB_OUT:
        rib = Rib.OTHER
    else:
        rib = Rib.IN_POST_POLICY if flags & _POST_POLICY else Rib.IN_PRE_POLICY
    return Monitored(bytes([peer_type]) + distinguisher, address), rib


def _peer_up(reader: Reader) -> Message:
    peer, _ = _peer(reader)
    if peer.instance[0] not in _PEER_TYPES:
        return Ignored(Kind.PEER_UP)
    # RFC 7854 §4.10: the V flag of the header holds for the local address too
    return PeerUp(peer, reader.address(ipv6=peer.address.version == 6))


def _down_reason(reader: Reader) -> str:
    """Why a session ended (RFC 7854 §4.9), in its words. Only people read it: nothing is refused."""
    match reader.number(1) if reader.left else 0:
        case 1:
            return f"the router sent NOTIFICATION: {_notification(reader)}"
        case 2:
            return "the router closed it"
        case 3:
            return f"the router received NOTIFICATION: {_notification(reader)}"
        case 4:
            return "the connection was closed from afar"
        case 5:
            return "the router monitors it no longer"
        case other:
            return f"reason {other}"


def _notification(reader: Reader) -> str:
    message = reader.take(reader.left)
    # RFC 4271 §4.1, §4.5: behind marker, length and type
    return describe(message[19], message[20]) if len(message) > 20 else "cut short"


def _information(reader: Reader) -> dict[int, str]:
    """Information TLVs (RFC 7854 §4.4); of several of one type the first."""
    found: dict[int, str] = {}
    while reader.left:
        kind, value = reader.number(2), reader.take(reader.number(2))
        found.setdefault(kind, value[:TEXT_BYTES].decode("utf-8", "replace"))
    return found


def _termination(reader: Reader) -> str:
    """Reason (1) of the TLVs of a Termination (RFC 7854 §4.5)."""
    while reader.left:
        kind, value = reader.number(2), reader.take(reader.number(2))
        if kind == 1:
            code = int.from_bytes(value[:2], "big")
            return _TERMINATIONS.get(code, f"reason {code}")
    return "no reason given"
