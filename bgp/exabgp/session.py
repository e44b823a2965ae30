"""One peer's session as it is driven: what was heard, and what has to be said next.

One pass does everything, for an event, for a new wish and for the periodic look alike: read back what
ExaBGP says it has (when that is in doubt), send what differs, and, on a session that has come up, the
End-of-RIB marker when all of it was acknowledged. ExaBGP announces again by itself what it holds, so that
after a reset of the session the difference is empty and the marker follows at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bgp.adj_rib_in import Path
from bgp.adj_rib_out import AdjRibOut, IPNetwork
from bgp.advertisement import Advertisement
from bgp.exabgp import commands
from bgp.exabgp.channel import Channel, ChannelLost, Hung
from bgp.exabgp.events import TCP_LOST, Event, Fingerprint, Marked, Negotiated, Neighbor, Routes, SessionEvent
from bgp.exabgp.intake import Intake
from bgp.exabgp.silence import suspects
from bgp.exabgp.watchdog import Drain, Queue, Verdict
from bgp.fsm import Heard, State, follow
from bgp.history import History, Transition
from bgp.peer import Family, PeerConfig
from bgp.speaker import OnChange, SessionReport

log = logging.getLogger(__name__)

ABOUT = timedelta(seconds=2)
PEER_READS_NOTHING = "the peer acknowledges nothing of what is sent"


class Session:
    """What one peer is told and what it says. All but `due`, `look_at` of the properties, and `want`, are
    safe from any thread.

    Args:
        peer: the session's configuration.
        on_change: called when a property may answer something new.
        presumed: what the peer may hold from an earlier life of this program.
        taken: what that life had taken from the peer.
        history: what was known of the session then.
    """

    def __init__(
        self,
        peer: PeerConfig,
        on_change: OnChange,
        presumed: Iterable[IPNetwork] = (),
        taken: Mapping[IPNetwork, Path] | None = None,
        history: History | None = None,
    ) -> None:
        self._peer = peer
        self._on_change = on_change
        self._rib = AdjRibOut(peer.families, peer.local_address, presumed)
        self._families = frozenset(peer.families)
        self._hold_time_s: int | None = None
        self._history = history or History()
        self._marker_due = False
        self._marked = False
        self._lock = threading.Lock()
        self._wish: Mapping[IPNetwork, Advertisement] | None = None
        self._brought: Mapping[IPNetwork, Advertisement] | None = None
        """The wish that the pass before this one made true, or began to."""
        self._advertised = self._rib.held
        self._intake = Intake(peer, taken or {})
        self._imported: Mapping[IPNetwork, Path] = self._intake.taken
        self._report: SessionReport | None = None

    @property
    def report(self) -> SessionReport | None:
        """The session as last heard; None while nothing is known yet."""
        with self._lock:
            return self._report

    @property
    def advertised(self) -> frozenset[IPNetwork]:
        """What the peer holds from this speaker, whenever the session is up."""
        with self._lock:
            return self._advertised

    @property
    def imported(self) -> Mapping[IPNetwork, Path]:
        """What is taken from the peer."""
        with self._lock:
            return self._imported

    @property
    def due(self) -> float:
        """When `pass_time` has something to do, of the monotonic clock."""
        return self._intake.due

    @property
    def look_at(self) -> float:
        """When `bring` has something to read, likewise."""
        return self._intake.look_at

    def want(self, wanted: Mapping[IPNetwork, Advertisement]) -> bool:
        """Set what the next pass makes true. Returns whether it differs from before."""
        with self._lock:
            changed = self._wish != wanted
            self._wish = dict(wanted)
            return changed

    def hear(self, events: Iterable[Event]) -> bool:
        """Take what ExaBGP told. Returns whether the session came up, so that all has to be looked at."""
        came_up = False
        for event in events:
            self._intake.hear(event, was_up=self._is_up())
            if isinstance(event, Negotiated):
                self._families = event.families & frozenset(self._peer.families)
                self._hold_time_s = event.hold_time_s
                continue
            if isinstance(event, Marked):
                self._marker_due, self._marked = False, True
                continue
            if not isinstance(event, SessionEvent):
                continue
            came_up = event.heard is Heard.UP
            self._marker_due, self._marked = came_up, False
            self._hear_state(event)
        return came_up

    def begin(self, channel: Channel, *, adopted: bool) -> None:
        """Learn the state of the session from a process just started, or found running (`adopted`)."""
        events = channel.events()
        if not any(isinstance(event, SessionEvent) for event in events):
            events += self._ask(channel)
        self.hear(events)
        if adopted and not self._is_up():
            # What was taken from it is of a session that ended while nobody looked.
            told = [event for event in events if isinstance(event, SessionEvent)]
            self._intake.session_ended(notified=any(event.notified for event in told))

    def lost(self, reason: str, *, replaced: bool = False) -> None:
        """The process is gone, and the session with it; `replaced` by the watchdog."""
        self._rib.lost()
        self._marker_due = self._marked = False
        self._intake.process_ended()
        self._publish()
        self._say(Transition(datetime.now(UTC), State.IDLE, reason, replaced))

    def probe(self, channel: Channel, drain: Drain, now: float) -> None:
        """Ask for a sign of life, and whether what was announced leaves. Blocking: until the answer.

        Raises:
            Hung: no answer, or announced routes stay in ExaBGP.
            ChannelLost: see `Channel.ask`.
        """
        [reply] = channel.ask([commands.SHOW_QUEUE])
        verdicts = {drain.judge(shown, now) for shown in reply.shown if isinstance(shown, Queue)}
        if Verdict.STUCK in verdicts:
            raise Hung("ExaBGP does not send what was announced")
        self._hear_peer(reads=Verdict.PEER_READS_NOTHING not in verdicts)

    def ended(self) -> None:
        """The process and what it had were given up for good."""
        self._intake.clear()
        self.lost("no longer wanted")
        self.restart_time_is_over()

    def pass_time(self) -> None:
        """Forget what was kept for long enough."""
        self._intake.expire()
        self._publish()

    def restart_time_is_over(self) -> None:
        """The peer has dropped what it kept of a process that is gone (RFC 4724 §4.2)."""
        self._rib.flush_stale()
        self._publish()

    def bring(self, channel: Channel, *, read_back: bool) -> None:
        """One pass. Blocking: until ExaBGP has acknowledged everything.

        Raises:
            ChannelLost: see `Channel.ask`; what was not acknowledged counts as not done.
        """
        if read_back:
            self._read_back(channel)
        self._intake.look(channel)
        with self._lock:
            wish = self._wish
        if wish is not None:
            if wish is not self._brought:
                self._rib.want(wish)
                self._brought = wish
            self._send(channel)
            self._mark(channel)
        self._publish()

    def _hear_state(self, event: SessionEvent) -> None:
        before = self.report
        state = follow(before.state if before else State.CONNECT, event.heard)
        if event.heard is Heard.UP:
            self._say(Transition(event.at, state, self._missing()))
            return
        if event.heard is Heard.DOWN:
            self._families = frozenset(self._peer.families)
            vague = event.reason == TCP_LOST
            why = event.reason + suspects(self._peer) if vague and not self._is_up() else event.reason
            self._say(Transition(event.at, state, why), vague=vague)
        elif before is None or state is not before.state:
            self._say(Transition(event.at, state, f"no OPEN from the peer yet{suspects(self._peer)}"))

    def _hear_peer(self, *, reads: bool) -> None:
        """Tell of a peer that reads nothing. Only its hold time or its operator can do something about it."""
        with self._lock:
            report, last = self._report, self._history.last
            if report is None or last is None or last.state is not State.ESTABLISHED:
                return
            reason = last.reason if reads else "; ".join(filter(None, (last.reason, PEER_READS_NOTHING)))
            changed = reason != report.reason
            self._report = replace(report, reason=reason)
        if changed:
            self._tell(reason)

    def _missing(self) -> str:
        missing = sorted(set(self._peer.families) - self._families)
        return f"{', '.join(missing)} not negotiated" if missing else ""

    def _read_back(self, channel: Channel) -> None:
        """See whether ExaBGP has what it was told, in short; take what it has where that differs."""
        [reply] = channel.ask([commands.SHOW_FINGERPRINTS])
        if not reply.ok:
            raise Hung("it runs as an earlier version of Polder started it")
        shown = {each.attributes: each.fingerprint for each in reply.shown if isinstance(each, Fingerprint)}
        if shown == self._rib.fingerprints():
            self._rib.confirmed()
            return
        [reply] = channel.ask([commands.SHOW_ROUTES])
        groups = [each for each in reply.shown if isinstance(each, Routes)]
        self._rib.found({prefix: group.attributes for group in groups for prefix in group.prefixes})

    def _ask(self, channel: Channel) -> list[Event]:
        """The state of the session from ExaBGP itself: a bridge that has been restarted knows none."""
        [reply] = channel.ask([commands.SHOW_NEIGHBOR])
        for shown in reply.shown:
            if isinstance(shown, Neighbor) and shown.established:
                up = SessionEvent(Heard.UP, self._up_since(shown.duration_s))
                return [up] if shown.agreed is None else [shown.agreed, up]
        why = f"no session with {self._peer.peer_address} port 179 yet{suspects(self._peer)}"
        self._say(Transition(datetime.now(UTC), State.CONNECT, why))
        return []

    def _up_since(self, duration_s: int) -> datetime:
        """When the session came up that ExaBGP says is up for so many whole seconds."""
        since = datetime.now(UTC) - timedelta(seconds=duration_s)
        known = self._history.last
        if known and known.state is State.ESTABLISHED and abs(since - known.at) <= ABOUT:
            return known.at
        return since

    def _send(self, channel: Channel) -> None:
        changes = list(self._rib.changes())
        lines = [commands.command(change, self._peer.local_address) for change in changes]
        for change in changes:
            what, count, first = type(change).__name__.lower(), len(change.prefixes), change.prefixes[0]
            log.info("%s peer=%s prefixes=%d first=%s", what, self._peer.peer_address, count, first)
        try:
            replies = channel.ask(lines)
        except ChannelLost:
            self._rib.unanswered(changes)
            raise
        for change, line, reply in zip(changes, lines, replies, strict=True):
            if reply.ok:
                self._rib.acknowledged(change)
            else:
                log.error("refused peer=%s command=%.200s", self._peer.peer_address, line)
                self._rib.refused(change)

    def _mark(self, channel: Channel) -> None:
        """Send End-of-RIB where a session has come up, once all it should hear was acknowledged."""
        if self._marker_due:
            families = sorted(self._families)
            self._marked = all(
                reply.ok for family in families for reply in channel.ask([commands.end_of_rib(family)])
            )
            self._marker_due = not self._marked
        if self._marked:
            self._rib.flush_stale()

    def _publish(self) -> None:
        # What a session cannot carry is not advertised, although ExaBGP holds it.
        held = self._rib.held
        if len(self._families) < len(self._peer.families):
            held = frozenset(prefix for prefix in held if Family.of(prefix) in self._families)
        taken = self._intake.taken
        with self._lock:
            changed = (held, taken) != (self._advertised, self._imported)
            self._advertised, self._imported = held, taken
        if changed:
            self._on_change()

    def _is_up(self) -> bool:
        before = self.report
        return before is not None and before.state is State.ESTABLISHED

    def _say(self, made: Transition, *, vague: bool = False) -> None:
        with self._lock:
            self._history = self._history.then(made, vague=vague)
            before, last = self._report, self._history.last or made
            up = last.state is State.ESTABLISHED
            self._report = SessionReport(
                last.state,
                last.at,
                last.reason,
                families=tuple(sorted(self._families)) if up else (),
                hold_time_s=self._hold_time_s if up else None,
                history=self._history,
            )
            changed = self._report != before
        if changed:
            self._tell(last.reason)

    def _tell(self, reason: str) -> None:
        report = self.report
        state = report.state if report else None
        log.info("session peer=%s state=%s reason=%r", self._peer.peer_address, state, reason)
        self._on_change()
