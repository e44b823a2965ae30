"""The BGP sessions of all nodes as metrics, read from the store at each scrape.

Values are taken from their stored form unchecked: a scrape of thousands of sessions must not delay requests.
Nor does a store that does not answer delay a scrape: then only the sessions are left out of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from controller.reading import scan_all
from store import keys
from store.client import KeyValue, Store
from store.codec import fields
from store.errors import Corrupt, StoreError
from store.model import Program, SessionState

log = logging.getLogger(__name__)

LABELS = ("node", "peer")
PATIENCE_S = 1.0


class SessionMetrics:
    """What a scrape tells of sessions. `render` may be called from many threads: they share one read.

    Args:
        store: where they are.
        patience_s: for the read, in seconds.
    """

    def __init__(self, store: Store, patience_s: float = PATIENCE_S) -> None:
        self._store = store
        self._patience_s = patience_s
        self._pool = ThreadPoolExecutor(1, "sessions")
        self._lock = threading.Lock()
        self._reading: Future[bytes] | None = None

    def render(self) -> bytes:
        """The text that Prometheus reads; empty when the store does not answer in time."""
        with self._lock:
            if self._reading is None or self._reading.done():
                self._reading = self._pool.submit(render, self._store)
            reading = self._reading
        try:
            return reading.result(self._patience_s)
        except (StoreError, TimeoutError) as fault:
            log.warning("event=metrics-without-sessions why=%r", str(fault) or "the store is slow")
            return b""

    def close(self) -> None:
        """Begin no read any more. Idempotent."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def render(store: Store) -> bytes:
    """The text that Prometheus reads, of every session there is. Raises what the store does."""
    spoken = {item.key for item in scan_all(store, keys.ALIVE.prefix())}
    collector = SessionCollector(scan_all(store, keys.SESSIONS.prefix()), spoken)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return generate_latest(registry)


class SessionCollector(Collector):
    """Tells of stored sessions.

    Args:
        sessions: as stored.
        alive: the keys of the programs that live.
    """

    def __init__(self, sessions: Iterable[KeyValue], alive: set[str]) -> None:
        self._sessions = sessions
        self._alive = alive

    def describe(self) -> Iterator[Metric]:
        """Nothing: what there is to tell is known when it is collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Each metric, with a sample for each session."""
        up = GaugeMetricFamily(
            "polder_bgp_session_up",
            "1 while the session is ESTABLISHED and its speaker lives.",
            labels=LABELS,
        )
        stale = GaugeMetricFamily(
            "polder_bgp_session_stale",
            "1 while no speaker lives that would tell of the session.",
            labels=LABELS,
        )
        flaps = CounterMetricFamily(
            "polder_bgp_session_flaps", "How often the session has left ESTABLISHED.", labels=LABELS
        )
        restarts = CounterMetricFamily(
            "polder_bgp_session_restarts", "How often the watchdog has replaced its ExaBGP.", labels=LABELS
        )
        advertised = GaugeMetricFamily(
            "polder_bgp_session_advertised_prefixes", "Prefixes announced and acknowledged.", labels=LABELS
        )
        guarded = GaugeMetricFamily(
            "polder_bgp_session_guarded_prefixes",
            "Prefixes that the outbound guard keeps back.",
            labels=LABELS,
        )
        for item in self._sessions:
            parts = keys.SESSIONS.parts(item.key)
            try:
                session = fields(item.value, key=item.key)
            except Corrupt as fault:
                log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
                continue
            if parts is None:
                continue
            silent = keys.ALIVE.key(parts[0], Program.SPEAKER) not in self._alive
            established = session.get("state") == SessionState.ESTABLISHED
            up.add_metric(parts, float(established and not silent))
            stale.add_metric(parts, float(silent))
            flaps.add_metric(parts, session.get("flaps", 0))
            restarts.add_metric(parts, session.get("restarts", 0))
            advertised.add_metric(parts, session.get("advertised", 0))
            guarded.add_metric(parts, session.get("guarded", 0))
        yield from (up, stale, flaps, restarts, advertised, guarded)
