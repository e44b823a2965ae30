"""A speaker that has ExaBGP do the talking: keeps one process running and one conversation with it.

One thread for each peer waits for four things at once: a new wish, a word from ExaBGP, the end of the
process, and the time of the next look. It never waits for anything else while a session is up, so an
announcement leaves as soon as it is wished for.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import select
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bgp.adj_rib_in import Path as ImportedPath
from bgp.adj_rib_out import IPNetwork
from bgp.advertisement import Advertisement
from bgp.exabgp import bridge, config, rundir
from bgp.exabgp.channel import Busy, Channel, ChannelLost, Hung
from bgp.exabgp.process import CannotStart, Process, last_words, trim
from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from bgp.exabgp.session import Session
from bgp.exabgp.watchdog import Drain, Patience
from bgp.history import History
from bgp.peer import PeerConfig
from bgp.speaker import OnChange, SessionReport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, in seconds."""

    connect_s: float = 10.0
    """For a started process until its bridge answers."""
    probe_s: float = 5.0
    """Between two signs of life that ExaBGP is asked for."""
    answer_s: float = 10.0
    """For a word of ExaBGP while it does nothing, before it counts as hung and is replaced."""
    busy_s: float = 60.0
    """Likewise, while it computes."""
    drain_s: float = 10.0
    """For which nothing that was announced may leave."""
    verify_s: float = 60.0
    """Between two looks at what ExaBGP really holds."""
    detach_s: float = 2.0
    """For a thread that is asked to stop; one that waits for ExaBGP may take longer and is left to it."""
    retry_max_s: float = 10.0
    """Longest pause between two tries to start a process that keeps dying."""
    stable_s: float = 10.0
    """A process that lived so long is replaced at once when it dies."""
    poll_s: float = 0.01
    """Between two looks for the bridge of a process that is starting."""


class Ended(Exception):
    """The process has ended."""


class Replaced(Ended):
    """The watchdog has ended the process: it hung."""


class Stopped(Exception):
    """The speaker was asked to stop."""


class ExaBgpSpeaker:
    """Speaks BGP with one peer: see `bgp.speaker.Speaker`.

    Args:
        peer: the session's configuration.
        directory: of this peer alone; what is found there from an earlier life is adopted or retired.
        on_change: called, from the speaker's thread, when `report`, `advertised` or `imported` changed.
        presumed: what the peer may hold from an earlier life of this program.
        taken: what that life had taken from the peer.
        history: what was known of the session then.
        timing: how long things may take.

    Raises:
        ValueError: the directory's path cannot be used.
    """

    def __init__(
        self,
        peer: PeerConfig,
        directory: Path,
        on_change: OnChange,
        *,
        presumed: Iterable[IPNetwork] = (),
        taken: Mapping[IPNetwork, ImportedPath] | None = None,
        history: History | None = None,
        timing: Timing | None = None,
    ) -> None:
        self._where = RunDir(directory)
        self._text = config.render(
            peer, python=Path(sys.executable), bridge=Path(bridge.__file__), socket=self._where.socket
        )
        self._timing = timing or Timing()
        self._session = Session(peer, on_change, presumed, taken, history)
        self._restart_time_s = float(peer.graceful_restart_s)
        self._stale_until = math.inf
        """When the peer has certainly dropped what it kept of a process or an answer that was lost."""
        self._verify_at = 0.0
        self._probe_at = 0.0
        self._pause_s = 0.0
        self._stopping = False
        self._wake_out, self._wake_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._thread = threading.Thread(target=self._run, name=f"bgp {peer.peer_address}", daemon=True)

    def start(self) -> None:
        """Adopt the running process of this peer if its configuration is the same, else start one."""
        if self._thread.ident is None:
            self._thread.start()

    def replace(self, wanted: Mapping[IPNetwork, Advertisement]) -> None:
        """Make `wanted` the whole of what is announced. Returns at once."""
        if self._session.want(wanted):
            self._wake()

    def report(self) -> SessionReport | None:
        """The session as last heard; None in the first moments."""
        return self._session.report

    def advertised(self) -> frozenset[IPNetwork]:
        """What the peer holds from this speaker, whenever the session is up."""
        return self._session.advertised

    def imported(self) -> Mapping[IPNetwork, ImportedPath]:
        """What is taken from the peer."""
        return self._session.imported

    def detach(self) -> None:
        """Leave the process running, its routes announced. Blocking: until the thread has let go of it."""
        self._stop(self._timing.detach_s)

    def decommission(self) -> None:
        """Withdraw everything, then end the session and the process. Blocking."""
        self._stop(self._timing.busy_s)
        retire(self._where)
        self._session.ended()

    def _stop(self, patience_s: float) -> None:
        self._stopping = True
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(patience_s)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full of wakes
            os.write(self._wake_in, b"\0")

    def _run(self) -> None:
        with contextlib.suppress(Stopped):
            self._keep_alive()

    def _keep_alive(self) -> None:
        while True:
            began = time.monotonic()
            try:
                self._live()
            except (CannotStart, Ended, ChannelLost) as fault:
                log.warning("exabgp lost dir=%s why=%s", self._where.path, fault)
                if not isinstance(fault, ChannelLost) or isinstance(fault, Busy):
                    self._session.lost(str(fault), replaced=isinstance(fault, Replaced))
            self._rest(time.monotonic() - began)

    def _rest(self, lived_s: float) -> None:
        """Wait before the next try: not at all after a long life, twice as long after each short one."""
        if lived_s > self._timing.stable_s:
            self._pause_s = 0.0
        until = time.monotonic() + self._pause_s
        while time.monotonic() < until:
            self._wait(until)
        self._pause_s = min(max(self._pause_s * 2, 0.1), self._timing.retry_max_s)

    def _live(self) -> None:
        """One process's life, or what this program sees of it."""
        self._stale_until = time.monotonic() + self._restart_time_s
        with closing(self._obtain()) as process:
            try:
                with closing(self._connect(process)) as channel:
                    self._converse(process, channel)
            except Hung as fault:
                log.error(
                    "watchdog replaces exabgp pid=%d dir=%s why=%s", process.pid, self._where.path, fault
                )
                process.kill()
                raise Replaced(f"ExaBGP hung and was replaced: {fault}") from fault
            except ChannelLost as fault:
                # The bridge alone may have died; ExaBGP has another one soon.
                if process.ended(self._timing.poll_s):
                    raise self._ended(process) from fault
                raise

    def _obtain(self) -> Process:
        """The process of this peer: adopted if it has our configuration, else a new one."""
        until = time.monotonic() + self._timing.connect_s
        while rundir.locked(self._where.path):
            if (found := Process.running(self._where)) is not None:
                process, digest = found
                if digest == rundir.digest(self._text):
                    log.info("adopted pid=%d dir=%s", process.pid, self._where.path)
                    return process
                with closing(process):
                    self._replace(process)
            elif time.monotonic() > until:
                raise CannotStart(f"an unknown process holds {self._where.path}/lock")
            self._pass_time()
        self._where.make()
        self._where.config.write_text(self._text)
        process = Process.start(self._where)
        log.info("started pid=%d dir=%s", process.pid, self._where.path)
        return process

    def _replace(self, process: Process) -> None:
        """End a process with another configuration. Routes stay where the new one announces them again."""
        self._session.lost("configured anew")
        if config.ends(self._where.config.read_text()) == config.ends(self._text):
            process.terminate()
        else:
            retire(self._where)

    def _connect(self, process: Process) -> Channel:
        until = time.monotonic() + self._timing.connect_s
        while True:
            try:
                patience = Patience(self._timing.answer_s, self._timing.busy_s, process.cpu_s)
                return Channel(self._where.socket, patience)
            except (Busy, Hung):
                raise
            except ChannelLost as fault:
                if process.ended():
                    raise self._ended(process) from fault
                if time.monotonic() > until:
                    raise Hung(f"no bridge: {fault}") from fault
            self._pass_time()

    def _converse(self, process: Process, channel: Channel) -> None:
        self._session.begin(channel, adopted=process.adopted)
        self._look(channel)
        drain = Drain(self._timing.drain_s)
        while True:
            due = min(self._verify_at, self._probe_at, self._session.look_at)
            until = 0.0 if channel.pending else due
            self._wait(until, process.fileno(), channel.fileno())
            if process.ended():
                raise self._ended(process)
            if self._session.hear(channel.events()) or time.monotonic() >= self._verify_at:
                self._look(channel)
            else:
                self._session.bring(channel, read_back=False)
            if time.monotonic() >= self._probe_at:
                self._session.probe(channel, drain, time.monotonic())
                self._probe_at = time.monotonic() + self._timing.probe_s

    def _look(self, channel: Channel) -> None:
        trim(self._where)
        self._session.bring(channel, read_back=True)
        self._verify_at = time.monotonic() + self._timing.verify_s

    def _ended(self, process: Process) -> Ended:
        words = f": {last_words(self._where)}" if process.how.startswith("exit") else ""
        return Ended(f"ExaBGP ended, {process.how}{words}")

    def _pass_time(self) -> None:
        if self._stopping:
            raise Stopped
        time.sleep(self._timing.poll_s)

    def _wait(self, until: float, *descriptors: int) -> None:
        """Wait for a wake or a descriptor, until a time of the monotonic clock. Raises `Stopped`."""
        poll = select.poll()
        for descriptor in (self._wake_out, *descriptors):
            poll.register(descriptor, select.POLLIN)
        until = min(until, self._stale_until, self._session.due)
        poll.poll(math.ceil(max(until - time.monotonic(), 0.0) * 1000))
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_out, 4096)
        if self._stopping:
            raise Stopped
        if time.monotonic() >= self._stale_until:
            self._stale_until = math.inf
            self._session.restart_time_is_over()
        if time.monotonic() >= self._session.due:
            self._session.pass_time()
