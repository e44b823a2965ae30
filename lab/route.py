"""Routes and neighbours as the kernel holds them, read from `ip -j`, and changes of routes as they happen."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lab.recording import Recording
from lab.wait import wait_until

PROTOCOLS = {"80": "polder"}
"""Polder's protocol number has no name in Debian's rt_protos."""

_CHANGE = re.compile(r"^\[(?P<time>[^\]]+)\] (?P<deleted>Deleted )?(?P<route>.*)$")
_KINDS = {"unicast", "blackhole", "unreachable", "prohibit", "local", "broadcast", "multicast", "anycast"}


@dataclass(frozen=True, slots=True)
class Hop:
    """One way out: through a gateway (None: straight onto the link), on a link."""

    gateway: str | None
    dev: str | None


@dataclass(frozen=True, slots=True)
class Route:
    """One route. `dst` is a prefix, `0.0.0.0/0` or `::/0` for the default, with the length always written."""

    dst: str
    hops: tuple[Hop, ...]
    protocol: str
    kind: str
    metric: int
    table: str

    @property
    def gateways(self) -> frozenset[str]:
        """The next hops' addresses."""
        return frozenset(hop.gateway for hop in self.hops if hop.gateway)


@dataclass(frozen=True, slots=True)
class Neighbour:
    """One entry of a neighbour table. `states` as iproute2 names them: PERMANENT, REACHABLE, STALE..."""

    dst: str
    dev: str
    lladdr: str | None
    states: frozenset[str]


@dataclass(frozen=True, slots=True)
class RouteChange:
    """A route that was written or deleted, and when (seconds since the epoch)."""

    time_s: float
    deleted: bool
    dst: str
    text: str


def parse_routes(text: str, *, family: int = 4) -> list[Route]:
    """Read `ip -j -N route`-like output of one family."""
    return [_route(entry, family) for entry in json.loads(text or "[]")]


def parse_neighbours(text: str) -> list[Neighbour]:
    """Read the output of `ip -j neigh show`."""
    return [
        Neighbour(entry["dst"], entry["dev"], entry.get("lladdr"), frozenset(entry.get("state", ())))
        for entry in json.loads(text or "[]")
    ]


def parse_changes(lines: Iterable[str]) -> list[RouteChange]:
    """Read the output of `ip -ts -o monitor route`, IPv4 and IPv6."""
    changes = []
    for line in lines:
        if not (found := _CHANGE.match(line.strip())):
            continue
        words = [word for word in found["route"].split() if word not in _KINDS]
        if words:
            time = datetime.datetime.fromisoformat(found["time"]).timestamp()
            dst = _prefix(words[0], 6 if ":" in words[0] else 4)
            changes.append(RouteChange(time, bool(found["deleted"]), dst, line.strip()))
    return changes


class RouteMonitor:
    """Writes down every change of the kernel's routes until it is stopped."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def listening(self) -> bool:
        """Whether the kernel sends it changes: its socket has joined multicast groups."""
        return any(groups for groups, _ in self._sockets())

    def changes(self) -> list[RouteChange]:
        """What changed so far."""
        return parse_changes(self._recording.lines())

    def stop(self) -> list[RouteChange]:
        """End it and return all that changed. Idempotent."""
        if self.listening():
            wait_until(
                lambda: not any(unread for _, unread in self._sockets()), 5.0, "ip monitor to read all"
            )
        self._recording.stop()
        return self.changes()

    def _sockets(self) -> list[tuple[int, int]]:
        """Groups and unread bytes of its netlink sockets: columns 4 and 5 of /proc/net/netlink."""
        pid = self._recording.pid
        try:
            rows = Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]
        except OSError:
            return []
        cells = [row.split() for row in rows]
        return [(int(cell[3], 16), int(cell[4])) for cell in cells if cell[2] == str(pid)]


def _route(entry: dict[str, object], family: int) -> Route:
    hops = entry.get("nexthops")
    parts = hops if isinstance(hops, list) else [entry]
    protocol = str(entry.get("protocol", "boot"))
    metric = entry.get("metric", 0)
    return Route(
        dst=_prefix(str(entry["dst"]), family),
        hops=tuple(_hop(part) for part in parts),
        protocol=PROTOCOLS.get(protocol, protocol),
        kind=str(entry.get("type", "unicast")),
        metric=metric if isinstance(metric, int) else 0,
        table=str(entry.get("table", "main")),
    )


def _hop(part: dict[str, object]) -> Hop:
    via = part.get("via")
    gateway = part.get("gateway", via.get("host") if isinstance(via, dict) else None)
    dev = part.get("dev")
    return Hop(str(gateway) if gateway else None, str(dev) if dev else None)


def _prefix(dst: str, family: int) -> str:
    if dst == "default":
        return "0.0.0.0/0" if family == 4 else "::/0"
    return dst if "/" in dst else f"{dst}/{32 if family == 4 else 128}"
