"""One BGP session as configured: who speaks with whom, and what was agreed on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

MAX_ASN = 2**32 - 1
MAX_HOLD_TIME_S = 2**16 - 1
MAX_RESTART_TIME_S = 2**12 - 1
MAX_PASSWORD_BYTES = 80
"""TCP_MD5SIG_MAXKEYLEN of Linux."""


class Family(StrEnum):
    """Address families (RFC 4760), in ExaBGP's words."""

    IPV4_UNICAST = "ipv4 unicast"
    IPV6_UNICAST = "ipv6 unicast"

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if self is Family.IPV4_UNICAST else 6

    @classmethod
    def of(cls, what: IPv4Network | IPv6Network | IPv4Address | IPv6Address) -> Family:
        """The family a prefix or an address belongs to."""
        return cls.IPV4_UNICAST if what.version == 4 else cls.IPV6_UNICAST


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """What one session needs. Equal values give the same ExaBGP configuration.

    Args:
        peer_address, peer_asn: the router spoken to.
        local_address, local_asn: this side; `local_address` is also the next hop "self".
        router_id: the BGP identifier (RFC 6286: any non-zero IPv4 address, unique in the AS).
        hold_time_s: 0 (no keepalives) or 3 to 65535.
        graceful_restart_s: restart time announced, 0 (off) to 4095.
        families: what is negotiated; that of the addresses when empty.
        password: of the session (TCP MD5, RFC 2385), 1 to 80 bytes of UTF-8; None for none. Not in `repr`.
        gtsm: only packets that no router has passed on are taken (RFC 5082), and such are sent.
        multihop_ttl: the TTL of packets, 2 to 255, for a peer that is not on a link; not with `gtsm`.
        passive: the peer opens the session. No other process may listen on `local_address`.
        keepalive_s: between keepalives, at most a third of the hold time; that third when None.
        imports: the prefixes that are taken from the peer, these very ones; those of `families` only.

    Raises:
        ValueError: a value is out of range or two contradict each other; says which.
    """

    peer_address: IPv4Address | IPv6Address
    peer_asn: int
    local_address: IPv4Address | IPv6Address
    local_asn: int
    router_id: IPv4Address
    hold_time_s: int = 90
    graceful_restart_s: int = 120
    families: tuple[Family, ...] = ()
    password: str | None = field(default=None, repr=False)
    gtsm: bool = False
    multihop_ttl: int | None = None
    passive: bool = False
    keepalive_s: int | None = None
    imports: tuple[IPv4Network | IPv6Network, ...] = ()

    def __post_init__(self) -> None:
        if self.local_address.version != self.peer_address.version:
            raise ValueError(
                f"local_address {self.local_address} and peer_address {self.peer_address}: not of one family"
            )
        if self.local_address == self.peer_address:
            raise ValueError(f"peer_address {self.peer_address} is this speaker's own address")
        for name, asn in (("peer_asn", self.peer_asn), ("local_asn", self.local_asn)):
            if not 1 <= asn <= MAX_ASN:
                raise ValueError(f"{name} {asn} is not between 1 and {MAX_ASN}")
        if self.router_id == IPv4Address(0):
            raise ValueError("router_id is zero")
        # RFC 4271 §4.2: hold time is zero or at least three seconds
        if self.hold_time_s in {1, 2} or not 0 <= self.hold_time_s <= MAX_HOLD_TIME_S:
            raise ValueError(f"hold_time_s {self.hold_time_s} is neither 0 nor 3 to {MAX_HOLD_TIME_S}")
        # RFC 4724 §3: the restart time has 12 bits
        if not 0 <= self.graceful_restart_s <= MAX_RESTART_TIME_S:
            raise ValueError(f"graceful_restart_s {self.graceful_restart_s} is not 0 to {MAX_RESTART_TIME_S}")
        self._check_transport()
        families = self.families or (Family.of(self.peer_address),)
        object.__setattr__(self, "families", tuple(sorted(set(families))))
        imports = {prefix for prefix in self.imports if Family.of(prefix) in families}
        object.__setattr__(self, "imports", tuple(sorted(imports, key=lambda one: (one.version, one))))

    def _check_transport(self) -> None:
        """Refuse what contradicts itself below BGP. Raises `ValueError`."""
        if self.password is not None and not 1 <= len(self.password.encode()) <= MAX_PASSWORD_BYTES:
            raise ValueError(f"the password has not 1 to {MAX_PASSWORD_BYTES} bytes")
        if self.multihop_ttl is not None and not 2 <= self.multihop_ttl <= 255:
            raise ValueError(f"multihop_ttl {self.multihop_ttl} is not 2 to 255")
        if self.gtsm and self.multihop_ttl is not None:
            raise ValueError("gtsm and multihop_ttl exclude each other")
        if self.keepalive_s is not None and not 1 <= self.keepalive_s <= self.hold_time_s // 3:
            raise ValueError(f"keepalive_s {self.keepalive_s} is not 1 to {self.hold_time_s // 3}")
