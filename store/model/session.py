"""BGP sessions, as the speakers of the nodes see them."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime

from store.model.peer import AddressFamily
from store.model.value import Asn, Count, Name, UnicastAddress, Value


class SessionState(StrEnum):
    """The states of RFC 4271 §8.2.2."""

    IDLE = "IDLE"
    CONNECT = "CONNECT"
    ACTIVE = "ACTIVE"
    OPENSENT = "OPENSENT"
    OPENCONFIRM = "OPENCONFIRM"
    ESTABLISHED = "ESTABLISHED"


class Transition(Value):
    """A session came to a state, and why."""

    at: AwareDatetime
    state: SessionState
    reason: str = ""
    """NOTIFICATION codes in the words of the RFCs, with their numbers."""
    replaced: bool = False
    """The watchdog had replaced ExaBGP, because it hung."""


class Session(Value):
    """A node's BGP session with a peer, as its speaker last saw it."""

    node: Name
    peer: Name
    address: UnicastAddress
    asn: Asn
    state: SessionState
    since: AwareDatetime
    reason: str = ""
    """Why it is in this state, in the words of the RFC where there are some."""
    advertised: int = 0
    """Prefixes announced and acknowledged."""
    local_address: UnicastAddress | None = None
    """The node's end of the session, while it is configured."""
    guarded: Count = 0
    """Prefixes that the outbound guard keeps back."""
    guarded_why: str = ""
    """The first of them, and why."""
    guarded_since: AwareDatetime | None = None
    """Since when it keeps some back, or none any more; null when it never did."""
    families: tuple[AddressFamily, ...] = ()
    """What both sides agreed to carry, while the session is up."""
    hold_time_s: Count | None = None
    """The hold time that both sides agreed on, while the session is up; 0 is no keepalives."""
    flaps: Count = 0
    """How often it has left ESTABLISHED since it was first known."""
    restarts: Count = 0
    """How often the watchdog has replaced its ExaBGP, because it hung."""
    transitions: tuple[Transition, ...] = ()
    """The last of them, oldest first; a reason that comes again while the session is down is told once."""
