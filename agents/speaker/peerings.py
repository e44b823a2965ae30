"""The speakers of a node, one for each peer, and those on their way out.

Everything below `base` belongs to this program: a directory that no peer claims is what a peer left that
was removed while the program was away, and is retired like any other.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from bgp.adj_rib_in import Path as ImportedPath
from bgp.advertisement import Advertisement
from bgp.exabgp import config
from bgp.exabgp.driver import ExaBgpSpeaker
from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from bgp.history import History
from bgp.peer import PeerConfig
from bgp.speaker import OnChange, SessionReport, Speaker
from store.model import IPAddress, IPNetwork

log = logging.getLogger(__name__)


class Make(Protocol):
    """Makes a speaker; `ExaBgpSpeaker` is one."""

    def __call__(
        self,
        peer: PeerConfig,
        directory: Path,
        on_change: OnChange,
        *,
        presumed: Iterable[IPNetwork],
        taken: Mapping[IPNetwork, ImportedPath],
        history: History,
    ) -> Speaker:
        """See `ExaBgpSpeaker`."""
        ...


@dataclass(frozen=True, slots=True)
class Presumed:
    """What a peer and this node have of each other from an earlier life of this program."""

    held: frozenset[IPNetwork] = frozenset()
    """What the peer may hold."""
    taken: Mapping[IPNetwork, ImportedPath] = field(default_factory=dict)
    """What was taken from it."""
    history: History = field(default_factory=History)
    """What was known of the session."""


@dataclass(frozen=True, slots=True)
class Peering:
    """One peer that is spoken with."""

    config: PeerConfig
    speaker: Speaker


@dataclass(frozen=True, slots=True)
class Leaving:
    """A peer that is no longer wanted. It holds what it held until its thread has ended."""

    thread: threading.Thread
    held: frozenset[IPNetwork]


class Peerings:
    """Keeps one speaker for each wanted peer. One thread at a time.

    Args:
        base: the directory that holds one for each peer.
        on_change: called from any thread when a report may be new.
        make: makes a speaker.
    """

    def __init__(self, base: Path, on_change: OnChange, make: Make = ExaBgpSpeaker) -> None:
        self._base = base
        self._on_change = on_change
        self._make = make
        self._peerings: dict[str, Peering] = {}
        self._leaving: dict[str, Leaving] = {}

    def last_local_address(self, name: str, peer_address: IPAddress) -> IPAddress | None:
        """The local address that the peer was last spoken with from; None when it is not known."""
        try:
            ends = config.ends(RunDir(self._base / name).config.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return ends[1] if ends is not None and ends[0] == peer_address else None

    def keep(
        self,
        wanted: Mapping[str, PeerConfig],
        known: Set[str],
        presumed: Callable[[str], Presumed],
    ) -> dict[str, str]:
        """Start what is wanted and not there, replace what is configured otherwise, retire what is unknown.

        Args:
            wanted: the configuration of each peer that has one now.
            known: the names of all peers. One that has no configuration now is left as it is.
            presumed: what there is of a peer, by its name, from an earlier life of this program.

        Returns:
            Why a peer could not be started, by its name.
        """
        self._forget_left()
        for name in set(self._peerings) - known:
            self._retire(name)
        for name in self._found() - known - set(self._leaving):
            self._leave(name, partial(retire, RunDir(self._base / name)), presumed(name).held)
        refused = {}
        for name, peer in wanted.items():
            try:
                self._ensure(name, peer, presumed)
            except ValueError as fault:
                refused[name] = str(fault)
        return refused

    def replace(self, name: str, wanted: Mapping[IPNetwork, Advertisement]) -> None:
        """Make `wanted` the whole of what is announced to a peer; nothing for one that is not there yet."""
        if (peering := self._peerings.get(name)) is not None:
            peering.speaker.replace(wanted)

    def reports(self) -> dict[str, SessionReport | None]:
        """The session of each peer; None for one of which nothing is known yet."""
        return {name: peering.speaker.report() for name, peering in self._peerings.items()}

    def advertised(self) -> dict[str, frozenset[IPNetwork]]:
        """What each peer holds, those on their way out included."""
        self._forget_left()
        held = {name: leaving.held for name, leaving in self._leaving.items()}
        return held | {name: peering.speaker.advertised() for name, peering in self._peerings.items()}

    def imported(self) -> dict[str, Mapping[IPNetwork, ImportedPath]]:
        """What is taken from each peer."""
        return {name: peering.speaker.imported() for name, peering in self._peerings.items()}

    def detach(self) -> None:
        """Let go of every process; they go on speaking."""
        for peering in self._peerings.values():
            peering.speaker.detach()
        self._peerings.clear()

    def wait(self, timeout_s: float) -> None:
        """Wait for those on their way out, at most so long each."""
        for leaving in self._leaving.values():
            leaving.thread.join(timeout_s)

    def _ensure(self, name: str, peer: PeerConfig, presumed: Callable[[str], Presumed]) -> None:
        before = self._peerings.get(name)
        if name in self._leaving or (before is not None and before.config == peer):
            return
        known = presumed(name)
        if before is not None:
            log.info("peer configured anew peer=%s", name)
            report = before.speaker.report()
            history = known.history if report is None else report.history
            known = Presumed(before.speaker.advertised(), before.speaker.imported(), history)
            before.speaker.detach()
            del self._peerings[name]
        speaker = self._make(
            peer,
            self._base / name,
            self._on_change,
            presumed=known.held,
            taken=known.taken,
            history=known.history,
        )
        self._peerings[name] = Peering(peer, speaker)
        speaker.start()

    def _retire(self, name: str) -> None:
        speaker = self._peerings.pop(name).speaker
        self._leave(name, speaker.decommission, speaker.advertised())

    def _leave(self, name: str, body: Callable[[], None], held: frozenset[IPNetwork]) -> None:
        log.info("peer retires peer=%s", name)

        def run() -> None:
            body()
            self._on_change()

        thread = threading.Thread(target=run, name=f"retire {name}", daemon=True)
        self._leaving[name] = Leaving(thread, held)
        thread.start()

    def _forget_left(self) -> None:
        self._leaving = {n: leaving for n, leaving in self._leaving.items() if leaving.thread.is_alive()}

    def _found(self) -> set[str]:
        """The peers that have a directory and no speaker."""
        if not self._base.is_dir():
            return set()
        return {path.name for path in self._base.iterdir() if path.is_dir()} - set(self._peerings)
