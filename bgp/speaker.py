"""The boundary between BGP and the rest of Polder: what a speaker of one peer must do.

`replace` sets the whole Adj-RIB-Out at once; the speaker finds the difference. One implementation:
`bgp.exabgp.driver`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Protocol

from bgp.adj_rib_in import Path
from bgp.advertisement import Advertisement
from bgp.fsm import State
from bgp.history import History
from bgp.peer import Family

IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class SessionReport:
    """The state of the session with the peer, since when, and why, as last heard.

    Args:
        families: what was agreed on, while the session is up.
        hold_time_s: likewise.
        history: how it came to this state.
    """

    state: State
    since: datetime
    reason: str = ""
    families: tuple[Family, ...] = ()
    hold_time_s: int | None = None
    history: History = field(default_factory=History)


OnChange = Callable[[], None]
"""Called from any thread when `report`, `advertised` or `imported` may answer something new."""


class Speaker(Protocol):
    """Speaks BGP with one peer. Every method may be called again with the same arguments at no cost."""

    def start(self) -> None:
        """Adopt the running process of this peer if its configuration is the same, else start one.

        Returns at once. Nothing is announced or withdrawn before the first `replace`.
        """
        ...

    def replace(self, wanted: Mapping[IPNetwork, Advertisement]) -> None:
        """Make `wanted` the whole of what is announced. Returns at once; `advertised` follows."""
        ...

    def report(self) -> SessionReport | None:
        """The session as last heard; None in the first moments, while nothing is known yet."""
        ...

    def advertised(self) -> frozenset[IPNetwork]:
        """What the peer holds from this speaker, whenever the session is up.

        A prefix is in it from the acknowledgement of its announcement to that of its withdrawal. While a
        dead process is replaced, what the peer keeps meanwhile (graceful restart) stays in it.
        """
        ...

    def imported(self) -> Mapping[IPNetwork, Path]:
        """What is taken from the peer: of the prefixes that its configuration asks for those that it has.

        What it had stays in it, marked stale, while it restarts or a dead process is replaced (RFC 4724).
        """
        ...

    def detach(self) -> None:
        """Leave the process running, its routes announced: this program is going away.

        A speaker made anew for the same peer goes on from there.
        """
        ...

    def decommission(self) -> None:
        """Withdraw everything, then end the session and the process: the peer is no longer wanted.

        Blocking: until the process has ended, some tenths of a second, at most about 10 s.
        """
        ...
