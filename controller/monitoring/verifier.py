"""Compares what routers hold with what nodes announce, and tells of what stays different.

A change only makes a comparison due; the periodic look does the same. What is found is in the store under
this controller's lease, so that every controller can show it, and goes with the router's connection.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from bgp.bmp.table import Ends
from controller.events import Events
from controller.metrics import Metrics
from controller.monitoring.case import GRACE_S, Case
from controller.monitoring.claims import Claims
from controller.monitoring.known import Known
from controller.monitoring.station import Report
from controller.monitoring.telling import settle, tell
from controller.reading import scan
from intent.verification import Accepted, Differences, differences
from store import keys
from store.client import Store
from store.errors import StoreError
from store.model import Advertised, DifferenceKind, IPNetwork, Session, SessionState, Verified

log = logging.getLogger(__name__)

PERIOD_S = 1.0


class Routers(Protocol):
    """What the station hears."""

    def reports(self) -> Mapping[Ends, Report]:
        """Every session that a router tells of."""
        ...

    def accepted(self, report: Report) -> Accepted:
        """What the router holds of one, as of now."""
        ...


class Verifier:
    """Looks every second. `start` and `stop` once each; `look` is for one thread at a time.

    Args:
        store: where announcements are read and verdicts are written.
        known: what is known of sessions, and of what others have verified.
        routers: what routers say.
        events, metrics: told of differences.
        identity: who this controller is, for people.
        grace_s: how long a difference has to last.
        clock: the time of day.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        store: Store,
        known: Callable[[], Known],
        routers: Routers,
        events: Events,
        metrics: Metrics,
        identity: str,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        *,
        grace_s: float = GRACE_S,
    ) -> None:
        self._store = store
        self._known = known
        self._routers = routers
        self._events = events
        self._metrics = metrics
        self._identity = identity
        self._clock = clock
        self._monotonic = monotonic
        self._grace_s = grace_s
        self._claims = Claims(store, monotonic)
        self._cases: dict[str, Case] = {}
        self._shown: set[str] = set()
        self._failing = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="verifier", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End, and take back what was said. Blocking: a look may be under way."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        try:
            self._claims.release()
        except StoreError as fault:
            log.debug("event=verdicts-left why=%r", str(fault))  # they end with their lease

    def look(self) -> None:
        """Compare what is due, tell what is new. Blocking. Raises what the store does."""
        self._claims.renew()
        known, reports = self._known(), self._routers.reports()
        sessions = {keys.VERIFIED.key(each.node, each.peer): each for each in known.sessions.values()}
        self._cases = {key: case for key, case in self._cases.items() if key in sessions}
        announced: dict[str, list[Advertised]] = {}
        open_keys = set()
        for key, session in sessions.items():
            ends = _ends(session)
            if ends is None or (report := reports.get(ends)) is None:
                continue
            open_keys.add(key)
            case = self._case(key, session, report)
            if case.is_due(self._monotonic()):
                self._compare(case, announced)
            self._tell(key, case, known.verified)
        self._claims.drop_but(open_keys)
        self._show_no_more(self._shown - open_keys)

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_S):
            try:
                self.look()
            except StoreError as fault:
                if not self._failing:
                    log.warning("event=not-verified why=%r", str(fault))
                self._failing = str(fault)
            else:
                self._failing = ""

    def _case(self, key: str, session: Session, report: Report) -> Case:
        now_s = self._monotonic()
        case = self._cases.get(key)
        if case is None:
            case = self._cases[key] = Case.begin(session, report, now_s, self._grace_s)
        case.hear(session, report, now_s)
        return case

    def _compare(self, case: Case, announced: dict[str, list[Advertised]]) -> None:
        """Compare one session. `announced` keeps what was read of a node during this look."""
        began_s, now = self._monotonic(), self._clock()
        session = case.session
        if session.node not in announced:
            announced[session.node] = scan(self._store, keys.ADVERTISED, session.node).values
        accepted = self._routers.accepted(case.report)
        found: Differences = {}
        if not case.report.unreadable:
            found = differences(session, _to(session.peer, announced[session.node]), accepted)
        now_s = self._monotonic()
        case.compared(found, now_s, now, now_s - began_s)
        case.conclude(self._identity, len(accepted.prefixes), now)

    def _tell(self, key: str, case: Case, verified: Mapping[str, Verified]) -> None:
        verdict = case.verdict
        if verdict is None:
            return
        self._show(key, verdict)
        if key in verified and not self._claims.may_have(key):
            settle(case)  # another controller hears the router too, and has told people
            return
        # The alarm before the verdict: a controller that dies in between is followed by one that tells again.
        if self._claims.has(key) or self._claims.say(verdict):
            tell(self._events, case)
            if case.said is not verdict:
                self._claims.say(verdict)
                case.said = verdict

    def _show(self, key: str, verdict: Verified) -> None:
        self._shown.add(key)
        counts = {DifferenceKind.MISSING: verdict.missing, DifferenceKind.UNEXPECTED: verdict.unexpected}
        for kind, count in counts.items():
            self._metrics.bgp_differences(verdict.node, verdict.peer, kind, count)

    def _show_no_more(self, shown: set[str]) -> None:
        for key in shown:
            node, peer = keys.VERIFIED.parts(key) or ("", "")
            for kind in DifferenceKind:
                self._metrics.bgp_differences(node, peer, kind, None)
        self._shown -= shown


def _ends(session: Session) -> Ends | None:
    """The ends of a session that is established; None for another."""
    if session.state is not SessionState.ESTABLISHED or session.local_address is None:
        return None
    return Ends(router=session.address, node=session.local_address)


def _to(peer: str, announced: list[Advertised]) -> frozenset[IPNetwork]:
    """The prefixes that were announced to this peer."""
    return frozenset(each.prefix for each in announced if peer in each.peers)
