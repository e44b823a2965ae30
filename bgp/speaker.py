"""The boundary between BGP and the rest of Polder: what a speaker of one peer must do.

`replace` sets the whole Adj-RIB-Out at once; the speaker finds the difference. One implementation:
`bgp.exabgp.driver`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from bgp.advertisement import Advertisement
from bgp.fsm import State

IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class SessionReport:
    """The state of the session with the peer, and why, as last heard."""

    state: State
    reason: str = ""


OnChange = Callable[[], None]
"""Called from any thread when `report` or `advertised` may answer something new."""


class Speaker(Protocol):
    """Speaks BGP with one peer. Every method may be called again with the same arguments at no cost."""

    def start(self) -> None:
        """Adopt the running process of this peer if its configuration is the same, else start one."""
        ...

    def replace(self, wanted: Mapping[IPNetwork, Advertisement]) -> None:
        """Make `wanted` the whole of what is announced. Blocking: returns when it was handed over."""
        ...

    def report(self) -> SessionReport:
        """The session as last heard."""
        ...

    def advertised(self) -> frozenset[IPNetwork]:
        """The prefixes that were handed over and acknowledged, and not withdrawn since."""
        ...

    def detach(self) -> None:
        """Leave the process running, its routes announced: this program is going away."""
        ...

    def decommission(self) -> None:
        """Withdraw everything, then end the session and the process: the peer is no longer wanted."""
        ...
