"""What an UPDATE message of BGP announces and withdraws: IPv4 and IPv6 unicast (RFC 4271 §4.3, RFC 4760)."""

from __future__ import annotations

from dataclasses import dataclass

from bgp.bmp.wire import IPNetwork, Malformed, Reader
from bgp.peer import Family

MARKER = b"\xff" * 16
UPDATE = 2

EXTENDED_LENGTH = 0x10
MP_REACH_NLRI, MP_UNREACH_NLRI = 14, 15
UNICAST = 1
FAMILIES = {1: (4, Family.IPV4_UNICAST), 2: (6, Family.IPV6_UNICAST)}
"""By address family number: the IP version, and the family with SAFI 1."""


@dataclass(frozen=True, slots=True)
class Update:
    """The prefixes of one UPDATE. A prefix that is in both is announced (RFC 4271 §4.3)."""

    announced: tuple[IPNetwork, ...] = ()
    withdrawn: tuple[IPNetwork, ...] = ()
    end_of_rib: Family | None = None
    """The family of which all has been told, when the message is the End-of-RIB marker (RFC 4724 §2)."""


def parse(message: bytes) -> Update:
    """Read one whole UPDATE. Prefixes of other families are left out. Raises `Malformed`."""
    reader = Reader(message)
    if reader.take(len(MARKER)) != MARKER:
        raise Malformed("no marker at the begin of the UPDATE")
    length, kind = reader.number(2), reader.number(1)
    if kind != UPDATE or length != len(message):
        raise Malformed(f"type {kind} and length {length} in an UPDATE of {len(message)} bytes")
    withdrawn = reader.part(reader.number(2)).prefixes(4)
    attributes = reader.part(reader.number(2))
    if not (withdrawn or attributes.left or reader.left):
        return Update(end_of_rib=Family.IPV4_UNICAST)
    reached, gone, ended = _multiprotocol(attributes)
    announced = reader.prefixes(4)
    if withdrawn or announced:
        ended = None
    return Update(announced + reached, withdrawn + gone, ended)


def _multiprotocol(
    attributes: Reader,
) -> tuple[tuple[IPNetwork, ...], tuple[IPNetwork, ...], Family | None]:
    """What the path attributes announce and withdraw, and the family whose End-of-RIB they are."""
    reached: tuple[IPNetwork, ...] = ()
    gone: tuple[IPNetwork, ...] = ()
    ended: Family | None = None
    count = 0
    while attributes.left:
        flags, kind = attributes.number(1), attributes.number(1)
        value = attributes.part(attributes.number(2 if flags & EXTENDED_LENGTH else 1))
        count += 1
        if kind not in {MP_REACH_NLRI, MP_UNREACH_NLRI}:
            continue
        afi, safi = value.number(2), value.number(1)
        if safi != UNICAST or afi not in FAMILIES:
            continue
        version, family = FAMILIES[afi]
        if kind == MP_REACH_NLRI:
            value.take(value.number(1) + 1)  # RFC 4760 §3: next hop, and a reserved byte
            reached += value.prefixes(version)
        else:
            ended = None if value.left else family
            gone += value.prefixes(version)
    return reached, gone, ended if count == 1 else None
