"""Speakers in memory: a peer that takes everything at once, or only when it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path as FilePath

from bgp.adj_rib_in import Path
from bgp.advertisement import Advertisement
from bgp.fsm import State
from bgp.history import History, Transition
from bgp.peer import PeerConfig
from bgp.speaker import IPNetwork, OnChange, SessionReport

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
UP = SessionReport(State.ESTABLISHED, SINCE)


class MemorySpeaker:
    """Holds what it was told. `journal` is shared with the others of one `Speakers`."""

    def __init__(
        self,
        peer: PeerConfig,
        directory: FilePath,
        on_change: OnChange,
        presumed: Iterable[IPNetwork],
        taken: Mapping[IPNetwork, Path],
        history: History,
        journal: list[str],
    ) -> None:
        self.peer = peer
        self.name = directory.name
        self.state: SessionReport | None = None
        self._history = history
        self.slow = False
        self.taken = taken
        self.leave = threading.Event()
        self.leave.set()
        self._journal = journal
        self._on_change = on_change
        self._held = frozenset(presumed)
        last = history.last
        self._hear(UP if last is None else SessionReport(last.state, last.at, last.reason))

    def start(self) -> None:
        self._journal.append(f"start {self.name}")

    def replace(self, wanted: Mapping[IPNetwork, Advertisement]) -> None:
        if not self.slow:
            self.acknowledge(wanted)

    def acknowledge(self, prefixes: Iterable[IPNetwork]) -> None:
        """The peer holds these now."""
        held = frozenset(prefixes)
        changed, self._held = held != self._held, held
        if changed:
            self._on_change()

    def take(self, taken: Mapping[IPNetwork, Path]) -> None:
        """The peer announces this."""
        self.taken = taken
        self._on_change()

    def become(self, report: SessionReport) -> None:
        """The session changes."""
        self._hear(report)
        self._on_change()

    def _hear(self, report: SessionReport) -> None:
        self._history = self._history.then(Transition(report.since, report.state, report.reason))
        self.state = replace(report, history=self._history)

    def report(self) -> SessionReport | None:
        return self.state

    def advertised(self) -> frozenset[IPNetwork]:
        return self._held

    def imported(self) -> Mapping[IPNetwork, Path]:
        return self.taken

    def detach(self) -> None:
        self._journal.append(f"detach {self.name}")

    def decommission(self) -> None:
        self.leave.wait(5)
        self._held = frozenset()
        self._journal.append(f"decommission {self.name}")


class Speakers:
    """Makes speakers and remembers the last of each name: what `Peerings` takes as `make`."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.of: dict[str, MemorySpeaker] = {}

    def __call__(
        self,
        peer: PeerConfig,
        directory: FilePath,
        on_change: OnChange,
        *,
        presumed: Iterable[IPNetwork],
        taken: Mapping[IPNetwork, Path],
        history: History,
    ) -> MemorySpeaker:
        made = MemorySpeaker(peer, directory, on_change, presumed, taken, history, self.journal)
        self.of[directory.name] = made
        return made
