"""What is taken from the peer of one session, as ExaBGP tells of it.

An UPDATE only says that there is something to read: the Adj-RIB-In itself, of which ExaBGP keeps what is
asked for and nothing else. So a program that comes back finds it there, and what came meanwhile needs no
memory anywhere.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from bgp.adj_rib_in import AdjRibIn, Path
from bgp.adj_rib_out import IPNetwork
from bgp.exabgp import commands
from bgp.exabgp.channel import Channel
from bgp.exabgp.events import EndOfRib, Event, Opened, Received, Route, SessionEvent
from bgp.fsm import Heard
from bgp.peer import Family, PeerConfig

GAP_S = 0.1
"""Between two readings: a peer whose routes flap is followed no faster."""


class Intake:
    """Keeps the `AdjRibIn` of one session. Not thread-safe.

    Args:
        peer: the session's configuration; where it imports nothing, nothing happens here.
        taken: what an earlier life of this program had taken.
        clock: seconds that never go back.
    """

    def __init__(
        self, peer: PeerConfig, taken: Mapping[IPNetwork, Path], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._asks = bool(peer.imports)
        self._restart_s = peer.graceful_restart_s
        self._clock = clock
        self._rib = AdjRibIn(peer.imports, peer.local_asn, peer.local_address)
        self._rib.suppose(taken, clock() + self._restart_s)
        self._opened = Opened(self._restart_s, frozenset(Family), frozenset(Family))
        """What the peer said in its OPEN; as long as that is not known, that it keeps everything."""
        self._ended: set[Family] = set()
        self._unread = False
        self._read_at = float("-inf")

    @property
    def taken(self) -> dict[IPNetwork, Path]:
        """The path to each prefix that is taken."""
        return self._rib.taken

    @property
    def due(self) -> float:
        """When `expire` has something to do, of the clock; infinite when never."""
        return self._rib.due

    @property
    def look_at(self) -> float:
        """When `look` has something to do, likewise."""
        return self._read_at + GAP_S if self._unread else float("inf")

    def hear(self, event: Event, *, was_up: bool) -> None:
        """Take what ExaBGP told; `was_up` says whether the session was up before it."""
        match event:
            case Opened():
                self._opened = event
            case Received():
                self._unread = True
            case EndOfRib(family):
                self._ended.add(family)
                self._unread = True
            case SessionEvent(heard=Heard.UP):
                self._ended.clear()
                self._rib.session_began(self._opened.forwarding, self._clock() + self._restart_s)
                self._unread = self._asks
            case SessionEvent(heard=Heard.DOWN) if was_up:
                self.session_ended(notified=event.notified)

    def look(self, channel: Channel) -> None:
        """Read what the session has announced, where something came. Blocking.

        Raises:
            ChannelLost: see `Channel.ask`.
        """
        if self._clock() < self.look_at:
            return
        [reply] = channel.ask([commands.SHOW_ADJ_RIB_IN])
        if channel.session_changed:
            return  # what was read may be another session's; the next pass has heard of it
        self._unread = False
        self._read_at = self._clock()
        routes = [shown for shown in reply.shown if isinstance(shown, Route)]
        self._rib.found({route.prefix: _path(route) for route in routes})
        for family in self._ended:
            self._rib.swept(family)
        self._ended.clear()

    def session_ended(self, *, notified: bool) -> None:
        """The session that was up is not any more; `notified` says whether there was a NOTIFICATION."""
        self._unread = False
        # RFC 4724 §4: after a NOTIFICATION nothing is kept
        kept = frozenset() if notified else self._opened.restarting
        self._rib.session_ended(kept, self._clock() + min(self._opened.restart_s, self._restart_s))

    def process_ended(self) -> None:
        """ExaBGP is gone, and the session with it."""
        self._unread = False
        self._ended.clear()
        self._rib.process_ended(self._clock() + self._restart_s)

    def expire(self) -> None:
        """Forget what was kept for long enough."""
        self._rib.expire(self._clock())

    def clear(self) -> None:
        """Nothing is taken any more."""
        self._rib.clear()


def _path(route: Route) -> Path:
    told = route.attributes
    return Path(told.next_hop, told.as_path, told.med, told.local_pref)
