"""What is announced for one prefix: the NLRI and its path attributes."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network


@dataclass(frozen=True, slots=True)
class Advertisement:
    """One prefix and its path attributes, as it should stand in a peer's Adj-RIB-Out.

    Args:
        prefix: the NLRI.
        next_hop: None is the session's own address ("next-hop self").
        communities: RFC 1997, each as `(asn, value)`, both 0 to 65535.
        large_communities: RFC 8092, each as three numbers of 32 bits.
        med: multi-exit discriminator, 0 to 2^32 - 1; None leaves it out.
        local_pref: 0 to 2^32 - 1, for a peer of the same AS; None leaves it to the speaker.
        as_path: the AS numbers it begins with; what the session makes of it when empty: the own one, or
            nothing for a peer of the same AS.
        reason: why it is announced, for people; not part of equality.
    """

    prefix: IPv4Network | IPv6Network
    next_hop: IPv4Address | IPv6Address | None = None
    communities: tuple[tuple[int, int], ...] = ()
    med: int | None = None
    large_communities: tuple[tuple[int, int, int], ...] = ()
    local_pref: int | None = None
    as_path: tuple[int, ...] = ()
    reason: str = field(default="", compare=False)
