"""The cookie of our flows: who owns a flow, what it is for, and which pipeline it belongs to.

    63            32 31        16 15         0
    | owner "PLDR"  | purpose    | generation |

A program that restarts with no memory asks the switch for `OWNER` under `OWNER_MASK` and gets exactly what is
ours; flows of others never match. The generation is that of the pipeline's layout, not of a run: a restart
finds nothing to rewrite, while a new layout differs in every cookie and so replaces all.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

OWNER = 0x504C4452 << 32
OWNER_MASK = 0xFFFFFFFF << 32
PURPOSE_MASK = 0xFFFF << 16
GENERATION_MASK = 0xFFFF


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
    SPOOFED = 0x100
    """An endpoint sent what it may not: a MAC or address that is not its own, a router's message."""
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

    @property
    def drops(self) -> bool:
        """Whether flows of this purpose drop."""
        return self >= Purpose.SPOOFED


class Cookie(NamedTuple):
    """A cookie of ours, taken apart. `purpose` is a plain number when a newer program wrote it."""

    purpose: int
    generation: int


def encode(purpose: int, generation: int) -> int:
    """Our cookie for a purpose and a generation, both 0 to 65535.

    Raises:
        ValueError: out of range.
    """
    if not (0 <= purpose <= 0xFFFF and 0 <= generation <= 0xFFFF):
        raise ValueError(f"purpose {purpose} or generation {generation} does not fit 16 bits")
    return OWNER | purpose << 16 | generation


def decode(cookie: int) -> Cookie | None:
    """Take a cookie apart; None when it is not ours."""
    if cookie & OWNER_MASK != OWNER:
        return None
    return Cookie((cookie & PURPOSE_MASK) >> 16, cookie & GENERATION_MASK)
