"""Checks endpoints, each at its own pace, in one thread: an event loop of its own, a task for each.

At most `AT_ONCE` checks are under way, so that hundreds of endpoints that hang cost no more than that.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agents.node.health.probe import probe
from agents.node.health.verdict import PRESUMED, Verdict, after
from store.model import Check, IPAddress

log = logging.getLogger(__name__)

AT_ONCE = 128

NO_SOURCES: Mapping[int, str] = MappingProxyType({})

Key = tuple[str, str]
"""A service, and an endpoint of it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is checked, and how."""

    check: Check
    address: IPAddress


class Checker:
    """The verdicts of this node's endpoints. Every method may be called from any thread.

    Args:
        on_change: called from the checker's thread when an endpoint turns; only marks something dirty.
        sources: by the family (4 or 6) the node's address that asks; the kernel chooses where it has none.
    """

    def __init__(self, on_change: Callable[[], None], sources: Mapping[int, str] = NO_SOURCES) -> None:
        self._on_change = on_change
        self._sources = sources
        self._lock = threading.Lock()
        self._targets: dict[Key, Target] = {}
        self._verdicts: dict[Key, Verdict] = {}
        self._told: Mapping[Key, Verdict] = MappingProxyType({})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="health", daemon=True)

    def start(self) -> None:
        """Begin to check. The connections are of the calling thread's network namespace."""
        self._thread.start()

    def stop(self) -> None:
        """End; checks that are under way are given up."""
        with self._lock:
            self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout=2)

    def watch(self, targets: Mapping[Key, Target], presumed: Collection[Key] = ()) -> None:
        """Check these and no others.

        An endpoint keeps its verdict while its address is the same, whatever becomes of the check.

        Args:
            targets: the endpoints of services that have a check.
            presumed: those that count as healthy until their checks say otherwise, where nothing is known.
        """
        with self._lock:
            if targets == self._targets:
                return
            self._verdicts = {key: self._kept(key, target, presumed) for key, target in targets.items()}
            self._targets = dict(targets)
            self._tell()
        self._wake()

    def verdicts(self) -> Mapping[Key, Verdict]:
        """What is thought of each; the same object until one turns, or fails for another reason."""
        with self._lock:
            return self._told

    def _kept(self, key: Key, target: Target, presumed: Collection[Key]) -> Verdict:
        before = self._targets.get(key)
        if before is not None and before.address == target.address:
            return self._verdicts[key]
        return PRESUMED if before is None and key in presumed else Verdict()

    def _tell(self) -> None:
        self._told = MappingProxyType(dict(self._verdicts))

    def _wake(self) -> None:
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._changed.set)

    async def _run(self) -> None:
        """The thread: a task for each target, until `stop`."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
            self._changed.set()
        slots = asyncio.Semaphore(AT_ONCE)
        tasks: dict[Key, tuple[Target, asyncio.Task[None]]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                with self._lock:
                    wanted = {} if self._stopping else self._targets
                    stopping = self._stopping
                for key in [key for key, (target, _) in tasks.items() if wanted.get(key) != target]:
                    tasks.pop(key)[1].cancel()
                for key in wanted.keys() - tasks.keys():
                    tasks[key] = wanted[key], group.create_task(self._follow(key, wanted[key], slots))
                if stopping:
                    break
        with self._lock:
            self._loop = None

    async def _follow(self, key: Key, target: Target, slots: asyncio.Semaphore) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            async with slots:
                fault = await probe(target.check, target.address, self._sources.get(target.address.version))
            self._judge(key, target, fault)
            await asyncio.sleep(max(0.0, began + target.check.interval_s - loop.time()))

    def _judge(self, key: Key, target: Target, fault: str) -> None:
        with self._lock:
            if self._targets.get(key) != target:
                return
            before = self._verdicts[key]
            now = self._verdicts[key] = after(before, fault, target.check)
            if (before.state, before.why) == (now.state, now.why):
                return
            self._tell()
        if before.state is not now.state:
            log.info("endpoint turned service=%s endpoint=%s state=%s why=%s", *key, now.state.value, now.why)
        self._on_change()
