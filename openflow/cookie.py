"""The cookie of our flows: who owns a flow, what it is for, and which pipeline it belongs to.

    63            32 31        16 15       14         0
    | owner "PLDR"  | purpose    | logged | generation |

A program that restarts with no memory asks the switch for `OWNER` under `OWNER_MASK` and gets exactly what is
ours; flows of others never match. The generation is that of the pipeline's layout, not of a run: a restart
finds nothing to rewrite, while a new layout differs in every cookie and so replaces all. `logged` marks what
a rule decides that is to be logged.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

OWNER = 0x504C4452 << 32
OWNER_MASK = 0xFFFFFFFF << 32
PURPOSE_MASK = 0xFFFF << 16
LOGGED_MASK = 1 << 15
GENERATION_MASK = 0x7FFF


class Purpose(IntEnum):
    """What a flow is for. From `SPOOFED` on it drops, so its packet counter counts that kind of loss."""

    ACCEPT = 1
    """An endpoint's own packet enters."""
    TRUST = 2
    """A packet of the node's kernel enters."""
    NEIGHBOUR = 3
    """ARP and neighbour discovery between an endpoint and the gateway."""
    LOCAL = 4
    """A packet for an endpoint of this node."""
    GATEWAY = 5
    """A packet for the kernel's routing table."""
    SERVICE = 6
    """A packet for a service's address, and the endpoint that takes it."""
    SEND = 7
    """A packet leaves, for an endpoint or for the kernel."""
    CONNECTION = 8
    """A packet of a connection that was allowed before, or the question whether it is one."""
    JUDGE = 9
    """A packet that rules have to decide about."""
    CLAUSE = 0x80
    """A part of the match of a rule: the endpoints, the peers or the services. It counts nothing, and most
    flows are of this kind: no other has this bit, by which a switch leaves them out of an answer."""
    ALLOWED = 11
    """A rule, or the default, allows it."""
    STAGED_ALLOW = 12
    """A staged rule would allow it."""
    STAGED_DENY = 13
    """A staged rule would deny it."""
    METER = 14
    """A packet goes through a meter, which counts what it drops."""
    SEGMENT = 16
    """A packet of a segment comes in by its uplink, or leaves by it."""
    DENIED = 17
    """What is dropped of one endpoint, one way: it is counted here once more."""
    SAMPLE = 18
    """Headers of some packets that are dropped or logged go to the agent."""
    SPOOFED = 0x100
    """An endpoint sent what it may not: a MAC or address that is not its own."""
    UNKNOWN_PORT = 0x101
    """A port without an endpoint."""
    TAGGED = 0x102
    """A VLAN tag: endpoints have none."""
    MULTICAST = 0x103
    """Multicast or broadcast, which has no receiver here (DHCP, mDNS, router solicitation)."""
    HAIRPIN = 0x104
    """An endpoint sent to itself through the bridge."""
    NO_ROUTE = 0x105
    """An endpoint's packet that is not addressed to the gateway's MAC."""
    NO_ENDPOINT = 0x106
    """A packet of the kernel for an address or MAC that no endpoint here has."""

    POLICY_EGRESS = 0x107
    """A rule denies that its endpoint sends it."""
    POLICY_INGRESS = 0x108
    """A rule denies that its endpoint gets it."""
    DEFAULT_DENY = 0x109
    """No rule allows it, and the tenant's default is to deny."""
    ISOLATED = 0x10A
    """No rule allows it, and it comes from another tenant's address."""
    INVALID = 0x10B
    """The connection tracker cannot make sense of it: no connection can have this packet."""
    ROGUE_ROUTER = 0x10C
    """An endpoint speaks as a router: a router advertisement or a redirect."""
    ROGUE_DHCP = 0x10D
    """An endpoint speaks as a DHCP server."""
    CUT = 0x10E
    """An answer of a connection that a rule has cut."""

    @property
    def drops(self) -> bool:
        """Whether flows of this purpose drop."""
        return self >= Purpose.SPOOFED


class Cookie(NamedTuple):
    """A cookie of ours, taken apart. `purpose` is a plain number when a newer program wrote it."""

    purpose: int
    generation: int
    logged: bool = False


@lru_cache(maxsize=256)
def encode(purpose: int, generation: int, *, logged: bool = False) -> int:
    """Our cookie for a purpose, 0 to 65535, and a generation, 0 to 32767.

    Raises:
        ValueError: out of range.
    """
    if not (0 <= purpose <= 0xFFFF and 0 <= generation <= GENERATION_MASK):
        raise ValueError(f"purpose {purpose} or generation {generation} does not fit its bits")
    return OWNER | purpose << 16 | LOGGED_MASK * logged | generation


def decode(cookie: int) -> Cookie | None:
    """Take a cookie apart; None when it is not ours."""
    if cookie & OWNER_MASK != OWNER:
        return None
    return Cookie((cookie & PURPOSE_MASK) >> 16, cookie & GENERATION_MASK, bool(cookie & LOGGED_MASK))
