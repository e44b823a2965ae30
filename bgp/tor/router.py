"""What a router has to be told of Polder: its neighbours, what it takes from them, and how they speak.

No password is in it, only the name of the secret that holds one. All text that ends up in a configuration
is checked here, so that no name can say more than a name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from bgp.peer import MAX_ASN

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}")
SAFE_NOTE = re.compile(r"[A-Za-z0-9 _.,:;()/-]+")

MAXIMUM_PATHS = 16
"""Equal routes that are used at a time: one for each node that announces a prefix."""
WARN_PERCENT = 80
"""Of the maximum of prefixes, when the router warns: at what Polder's own guard lets through."""
RETRY_MIN = 5
"""Minutes until a session that had too many prefixes is opened again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """Prefixes inside `cidr` whose length is `shortest` to `longest`."""

    cidr: IPNetwork
    shortest: int
    longest: int

    def __post_init__(self) -> None:
        _check_address(self.cidr.network_address)
        if not self.cidr.prefixlen <= self.shortest <= self.longest <= self.cidr.max_prefixlen:
            raise ValueError(f"{self.cidr} has no prefixes of length {self.shortest} to {self.longest}")

    @property
    def exact(self) -> bool:
        """Whether it is the CIDR alone."""
        return self.cidr.prefixlen == self.longest


@dataclass(frozen=True, slots=True)
class Terms:
    """How a router speaks with a group of neighbours.

    Args:
        version: 4 or 6, that of the addresses of the sessions.
        internal: whether they are of the router's own AS.
        families: the IP versions of the prefixes that are carried.
        hold_time_s, keepalive_s: both 0 for no keepalives.
        graceful_restart: whether a neighbour's routes are kept while its speaker restarts.
        secret: the name of the secret that holds the password (TCP MD5, RFC 2385); None for no password.
        gtsm: whether only packets that nobody passed on are taken (RFC 5082).
        multihop_ttl: the TTL of packets to neighbours that are not on a link; None where they are.
        waits: whether the neighbours open the session.
        maximum_prefix: prefixes of one family at which the session is ended.
        exports: the prefixes that are announced to them, exactly these.
        for_others: whether they announce prefixes of nodes that are not on the link, with those as next hop.
    """

    version: int
    internal: bool
    families: tuple[int, ...]
    hold_time_s: int
    keepalive_s: int
    graceful_restart: bool
    secret: str | None
    gtsm: bool
    multihop_ttl: int | None
    waits: bool
    maximum_prefix: int
    exports: tuple[IPNetwork, ...] = ()
    for_others: bool = False

    def __post_init__(self) -> None:
        if self.secret is not None:
            _check_name(self.secret)
        for each in self.exports:
            _check_address(each.network_address)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A node, as the router sees it: `local_address` is the router's own end of the session."""

    address: IPAddress
    asn: int
    local_address: IPAddress
    node: str

    def __post_init__(self) -> None:
        _check_name(self.node)
        _check_address(self.address)
        _check_address(self.local_address)
        if not 1 <= self.asn <= MAX_ASN:
            raise ValueError(f"AS number {self.asn} is not between 1 and {MAX_ASN}")


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbours with the same terms. `number` is 1 for the first of its address family."""

    number: int
    terms: Terms
    neighbours: tuple[Neighbour, ...]

    @property
    def name(self) -> str:
        """`POLDER-V4`, and `POLDER-V4-2` for a second one."""
        return f"POLDER-V{self.terms.version}" + (f"-{self.number}" if self.number > 1 else "")


@dataclass(frozen=True, slots=True)
class Router:
    """A router's part in Polder's sessions.

    Args:
        asn: its AS number.
        groups: its neighbours; an address stands once.
        accepted: what it takes, of both families; everything else is refused.
        notes: what the reader has to know of, one line each.

    Raises:
        ValueError: an address is that of two neighbours, or a text is not safe in a configuration.
    """

    asn: int
    groups: tuple[Group, ...]
    accepted: tuple[Accepted, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.asn <= MAX_ASN:
            raise ValueError(f"AS number {self.asn} is not between 1 and {MAX_ASN}")
        nodes: dict[IPAddress, str] = {}
        for each in (neighbour for group in self.groups for neighbour in group.neighbours):
            if each.address in nodes:
                both = " and ".join(sorted({nodes[each.address], each.node}))
                raise ValueError(f"{each.address} would be its neighbour twice, as the address of {both}")
            nodes[each.address] = each.node
        unsafe = [note for note in self.notes if not SAFE_NOTE.fullmatch(note)]
        if unsafe:
            raise ValueError(f"note {unsafe[0]!r} has characters that a configuration cannot hold")

    @property
    def families(self) -> tuple[int, ...]:
        """The IP versions of the prefixes that any of its sessions carries, rising."""
        return tuple(sorted({version for group in self.groups for version in group.terms.families}))

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the secrets that its configuration needs."""
        return tuple(sorted({group.terms.secret for group in self.groups if group.terms.secret is not None}))

    @property
    def far(self) -> tuple[Neighbour, ...]:
        """The neighbours that are not on a link: a router has to be told from where to speak with them."""
        groups = (group for group in self.groups if group.terms.multihop_ttl is not None)
        return tuple(neighbour for group in groups for neighbour in group.neighbours)

    def accepts(self, version: int) -> tuple[Accepted, ...]:
        """What it takes of one family."""
        return tuple(each for each in self.accepted if each.cidr.version == version)


def placeholder(secret: str) -> str:
    """What stands in a configuration where the password of this secret goes."""
    return f"<secret:{secret}>"


def _check_address(address: IPAddress) -> None:
    # What follows the percent sign of an IPv6 address can be any text, newlines too.
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        raise ValueError(f"address {str(address)!r} has a zone, which a configuration cannot hold")


def _check_name(name: str) -> None:
    if not SAFE_NAME.fullmatch(name):
        raise ValueError(f"name {name!r} has characters that a configuration cannot hold")
