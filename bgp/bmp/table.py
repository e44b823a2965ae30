"""What one router holds of its sessions, as it tells by BMP: pure state, fed with messages in their order.

A router may tell of sessions that are nobody's business here, with a table of the whole Internet. So each
table has a bound, and so have all of them together; a session that goes beyond is told of as not readable,
as is one whose UPDATE cannot be read. Neither disturbs the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from bgp.bmp.message import Message, Monitored, PeerDown, PeerUp, Rib, RouteMonitoring
from bgp.bmp.update import Update, parse
from bgp.bmp.wire import IPAddress, IPNetwork, Malformed
from bgp.peer import Family

MAX_SESSIONS = 4096
MAX_PREFIXES = 150_000
"""Of one session in one of its tables."""

MAX_PREFIXES_IN_ALL = 600_000
"""Of one router: some 150 MB."""


@dataclass(frozen=True, slots=True)
class Ends:
    """A session by its two ends: what identifies it to both of them."""

    router: IPAddress
    node: IPAddress


@dataclass(slots=True)
class Held:
    """What a router says of one of its sessions."""

    ends: Ends
    up: bool = True
    reason: str = ""
    """Why it is down."""
    unreadable: str = ""
    """Why its tables are not known; empty when they are."""
    tables: dict[Rib, set[IPNetwork]] = field(default_factory=dict)
    """Those that the router tells of."""
    ended: set[tuple[Rib, Family]] = field(default_factory=set)
    """Of which table all has been told that was there when the router began to tell."""
    began: int = 0
    """The version at which it was up."""
    version: int = 0
    """Counts what was told of it."""

    @property
    def size(self) -> int:
        """How many prefixes are kept of it."""
        return sum(map(len, self.tables.values()))


class RouterTable:
    """The sessions of one router, of one connection with it. Not thread-safe."""

    def __init__(
        self,
        max_sessions: int = MAX_SESSIONS,
        max_prefixes: int = MAX_PREFIXES,
        max_in_all: int = MAX_PREFIXES_IN_ALL,
    ) -> None:
        self._max_sessions = max_sessions
        self._max_prefixes = max_prefixes
        self._max_in_all = max_in_all
        self._sessions: dict[Monitored, Held] = {}
        self._count = 0

    def __iter__(self) -> Iterator[Held]:
        """Every session that was up at some time of the connection."""
        return iter(self._sessions.values())

    def take(self, message: Message) -> None:
        """Take what the router says. Raises `Malformed` when it tells of too many sessions."""
        match message:
            case PeerUp():
                self._up(message)
            case PeerDown() if (held := self._sessions.get(message.peer)) is not None:
                self._clear(held)
                held.up, held.reason = False, message.reason
            # What comes before Peer Up, or is of another kind of table, is nobody's here.
            case RouteMonitoring() if (held := self._sessions.get(message.peer)) is not None and held.up:
                self._learn(held, message)

    def _up(self, message: PeerUp) -> None:
        before = self._sessions.get(message.peer)
        if before is not None:
            self._clear(before)
        elif len(self._sessions) >= self._max_sessions:
            raise Malformed(f"more than {self._max_sessions} sessions")
        version = before.version + 1 if before is not None else 0
        ends = Ends(router=message.local_address, node=message.peer.address)
        self._sessions[message.peer] = Held(ends, began=version, version=version)

    def _learn(self, held: Held, message: RouteMonitoring) -> None:
        if message.rib is Rib.OTHER or held.unreadable:
            return
        try:
            update = parse(message.update)
        except Malformed as fault:
            self._give_up(held, f"an UPDATE that cannot be read: {fault}")
            return
        held.version += 1
        self._apply(held, message.rib, update)
        if held.size > self._max_prefixes or self._count > self._max_in_all:
            self._give_up(held, f"more prefixes than are compared: {held.size}")

    def _apply(self, held: Held, rib: Rib, update: Update) -> None:
        table = held.tables.setdefault(rib, set())
        before = len(table)
        table.difference_update(update.withdrawn)
        table.update(update.announced)
        self._count += len(table) - before
        if update.end_of_rib is not None:
            held.ended.add((rib, update.end_of_rib))

    def _give_up(self, held: Held, why: str) -> None:
        self._clear(held)
        held.unreadable = why

    def _clear(self, held: Held) -> None:
        """RFC 7854 §4.9: with the session its routes are gone, without a word of each."""
        self._count -= held.size
        held.version += 1
        held.tables.clear()
        held.ended.clear()
