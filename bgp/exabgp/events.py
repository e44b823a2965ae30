"""What ExaBGP says, line by line, as values. Pure.

Three kinds of line come from its API, mixed: events of the session (JSON with an `exabgp` field), what was
asked for (JSON with a `route` or a `queue` field, or an array), and the word that ends each answer, `done` or
`error`. The bridge adds `marked` when it greets.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from bgp.adj_rib_out import Attributes, IPNetwork
from bgp.exabgp.watchdog import Queue
from bgp.fsm import Heard, State
from bgp.notification import describe
from bgp.peer import Family


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """The session changed. `reason` says why it went down, in RFC words where there are some."""

    heard: Heard
    at: datetime
    reason: str = ""
    notified: bool = False
    """One side has sent a NOTIFICATION."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The peer's OPEN: what it says of its restarts (RFC 4724 §3)."""

    restart_s: int = 0
    restarting: frozenset[Family] = frozenset()
    """The families whose routes are kept while it restarts."""
    forwarding: frozenset[Family] = frozenset()
    """Of these, those for which it has gone on forwarding since the session before."""


@dataclass(frozen=True, slots=True)
class Negotiated:
    """Both sides' OPEN were compared: what the session can carry."""

    families: frozenset[Family]
    hold_time_s: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A command was taken (`done`) or not understood (`error`). `done` does not say that it had an effect."""

    ok: bool


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the Adj-RIB-In, as asked for."""

    prefix: IPNetwork
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Routes:
    """Routes of the Adj-RIB-Out that share their attributes, as asked for."""

    attributes: Attributes
    prefixes: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """All routes of the Adj-RIB-Out that share their attributes, in short: see `bgp.fingerprint`."""

    attributes: Attributes
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Neighbor:
    """The session, as asked for. `agreed` is None while it is not up."""

    established: bool
    duration_s: int
    updates_sent: int
    agreed: Negotiated | None = None


@dataclass(frozen=True, slots=True)
class Marked:
    """From the bridge: End-of-RIB was sent since the session came up."""


@dataclass(frozen=True, slots=True)
class Received:
    """An UPDATE came that announces or withdraws what is asked for: look at the Adj-RIB-In."""


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """The peer has announced all it has of one family (RFC 4724 §2)."""

    family: Family


Event = SessionEvent | Opened | Negotiated | Marked | Received | EndOfRib
Shown = Route | Routes | Fingerprint | Neighbor | Queue
Said = Event | Answer | Shown

GRACEFUL_RESTART = "64"
"""The capability's code (RFC 4724 §3)."""

NOTIFICATION = re.compile(r"notification (received|sent) \((\d+),(\d+)\)")

# RFC 1997, RFC 3765, RFC 7999
WELL_KNOWN = {
    "no-export": (65535, 65281),
    "no-advertise": (65535, 65282),
    "no-export-subconfed": (65535, 65283),
    "no-peer": (65535, 65284),
    "blackhole": (65535, 666),
}

TCP_LOST = "TCP connection lost or not answered"
WORDS = {
    "closing connection": TCP_LOST,
    "graceful restarted negotiated, closing without sending any notification": "closed by this speaker",
}


def parse(line: str) -> Said | None:
    """The value of one line; None for what is not ours to know (another event, a text line)."""
    if line in {"done", "error"}:
        return Answer(line == "done")
    if line == "marked":
        return Marked()
    if not line.startswith(("{", "[")):
        return None
    try:
        said = json.loads(line)
        return _neighbor(said) if isinstance(said, list) else _object(said)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def reason(text: str) -> str:
    """Why a session went down: ExaBGP's words turned into those of the RFCs."""
    if found := NOTIFICATION.match(text):
        who = "peer sent" if found[1] == "received" else "sent"
        return f"{who} NOTIFICATION: {describe(int(found[2]), int(found[3]))}"
    return WORDS.get(text, text)


def _object(said: dict[str, Any]) -> Said | None:
    if "route" in said:
        nlri = said["route"]["nlri"]
        return Route(ip_network(nlri["prefix"]), _attributes(nlri["nexthop"], said["route"]["attributes"]))
    if "routes" in said:
        shared = _attributes(said["nexthop"], said["attributes"])
        return Routes(shared, tuple(map(_network(shared), said["routes"])))
    if "fingerprint" in said:
        return Fingerprint(_attributes(said["nexthop"], said["attributes"]), said["fingerprint"])
    if "queue" in said:
        return Queue(**said["queue"])
    neighbor = said.get("neighbor", {})
    match said.get("type"):
        case "state":
            heard = Heard(neighbor["state"])
            text = neighbor.get("reason", "")
            return SessionEvent(heard, _time(said), reason(text), bool(NOTIFICATION.match(text)))
        case "open":
            return _opened(neighbor["open"]["capabilities"])
        case "update":
            return _update(neighbor["message"])
        case "negotiated":
            agreed = neighbor["negotiated"]
            return Negotiated(_families(agreed["families"]), int(agreed["hold_time"]))
        case _:
            return None


def _opened(capabilities: dict[str, Any]) -> Opened:
    """ExaBGP calls the bit of a family, which says that forwarding went on, "restart"."""
    told = capabilities.get(GRACEFUL_RESTART)
    if told is None:
        return Opened()
    names = {str(family).replace(" ", "/"): family for family in Family}
    flags = {names[name]: flags for name, flags in told["address-family-flags"].items() if name in names}
    forwarding = frozenset(family for family, flags in flags.items() if "restart" in flags)
    return Opened(int(told["time"]), frozenset(flags), forwarding)


def _update(message: dict[str, Any]) -> Received | EndOfRib:
    if "eor" in message:
        return EndOfRib(Family("{afi} {safi}".format(**message["eor"])))
    return Received()


def _time(said: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(said["time"], UTC)


def _network(shared: Attributes) -> type[IPv4Network] | type[IPv6Network]:
    """The kind of prefix that goes with the next hop: thousands are not to be guessed one by one."""
    return IPv4Network if shared.next_hop.version == 4 else IPv6Network


def _attributes(next_hop: str, attributes: dict[str, Any]) -> Attributes:
    return Attributes(
        next_hop=ip_address(next_hop),
        communities=tuple(sorted(_community(text) for text in attributes.get("community", ()))),
        med=attributes.get("med"),
        large_communities=tuple(sorted(_parts(text) for text in attributes.get("large-community", ()))),
        local_pref=attributes.get("local-preference"),
        as_path=_as_path(attributes.get("as-path", {})),
    )


def _community(text: str) -> tuple[int, int]:
    if text in WELL_KNOWN:
        return WELL_KNOWN[text]
    asn, value = text.split(":")
    return int(asn), int(value)


def _parts(text: str) -> tuple[int, int, int]:
    first, second, third = map(int, text.split(":"))
    return first, second, third


def _as_path(segments: dict[str, Any]) -> tuple[int, ...]:
    """The AS numbers of all segments, in order; there is one at most in what Polder announces."""
    return tuple(int(asn) for number in sorted(segments, key=int) for asn in segments[number]["value"])


def _neighbor(said: list[dict[str, Any]]) -> Neighbor:
    [one] = said
    established = one["fsm"] == State.ESTABLISHED
    return Neighbor(
        established=established,
        duration_s=int(one["duration"]),
        updates_sent=int(one["messages"]["sent"]["update"]),
        agreed=_agreed(one) if established else None,
    )


def _agreed(neighbor: dict[str, Any]) -> Negotiated:
    # RFC 4271 §4.2: the smaller of both hold times
    hold_time_s = min(int(neighbor[end]["hold"]) for end in ("local", "peer"))
    return Negotiated(_families(neighbor["families"]), hold_time_s)


def _families(names: list[str]) -> frozenset[Family]:
    known = {family.value for family in Family}
    return frozenset(Family(name) for name in names if name in known)
