"""Whether the store may be believed: it is no restored backup that lacks what this node holds.

Such a store says that it is of another cluster than it is, or its revision has gone back. It is believed
again when it was completed, which a new nonce tells, and this node was heard for it: as it was read whole
then, since a watch may tell the nonce before it tells what was made beforehand, below another prefix. What
was believed last is kept in a file, so that a program that restarts meanwhile, or is away all that time,
doubts as well.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from intent.snapshot import Snapshot
from store.codec import decode, encode
from store.errors import Corrupt
from store.model import Value

log = logging.getLogger(__name__)

WRITE_S = 1.0
"""Seconds between two writes of a revision that has only gone on."""

Test = Callable[[Snapshot], bool]
"""Whether a store with a new nonce was completed with what this node holds."""


def was_heard(snapshot: Snapshot) -> bool:
    """For the agent, who says what the node holds: the controller has heard it."""
    return snapshot.cluster is not None and snapshot.name in snapshot.cluster.heard


def agent_believes(snapshot: Snapshot) -> bool:
    """For the speaker: the agent has reported anew what can be delivered. A node without one has no word."""
    said, cluster = snapshot.holding, snapshot.cluster
    return said is None or (cluster is not None and said.believes == cluster.nonce)


class Believed(Value):
    """What is kept: the nonce of the store that was believed, and a revision that it had reached."""

    nonce: str = ""
    revision: int = 0


class Belief:
    """What one program believes. One thread at a time looks; the properties are for any thread.

    Args:
        file: where it is kept; its directory exists at the first look.
        test: see `Test`.
        clock: seconds that never go back.
    """

    def __init__(self, file: Path, test: Test, clock: Callable[[], float] = time.monotonic) -> None:
        self._file = file
        self._test = test
        self._clock = clock
        self._kept = _read(file)
        self._written_at = float("-inf")
        self._cluster_id = ""
        self._doubted = ""
        self._wants_whole = False

    @property
    def waits_for(self) -> str:
        """The nonce of the store that is doubted; empty when none is."""
        return self._doubted

    @property
    def nonce(self) -> str:
        """The nonce of the store that is believed; empty while it is doubted, or unknown."""
        return "" if self._doubted else self._kept.nonce

    @property
    def wants_whole(self) -> bool:
        """Whether only this is missing: that the store is read whole."""
        return self._wants_whole

    def look(self, snapshot: Snapshot, cluster_id: str, revision: int, *, whole: bool) -> bool:
        """Whether to believe what was read.

        Args:
            snapshot: what was read.
            cluster_id: of the store that it was read from; another one when its revision has gone back.
            revision: a revision that was read.
            whole: whether the snapshot is the store at one revision, not what watches have told so far.
        """
        self._wants_whole = False
        before, self._cluster_id = self._cluster_id, cluster_id
        says = snapshot.cluster
        if says is None:
            return not self._kept.nonce  # a store that nobody has used yet; or it was lost, whole
        moved = before not in {"", cluster_id}
        back = not before and says.nonce == self._kept.nonce and revision < self._kept.revision
        if (
            moved
            or back
            or says.id != cluster_id.partition(".")[0]
            or not self._is_known(says.nonce, snapshot, whole)
        ):
            self._doubt(says.nonce)
            return False
        self._doubt("")
        self._keep(Believed(nonce=says.nonce, revision=max(revision, self._reached(says.nonce))))
        return True

    def _doubt(self, nonce: str) -> None:
        if nonce and nonce != self._doubted:
            log.warning("event=store-doubted why=restored nonce=%s; nothing is taken down", nonce)
        elif self._doubted and not nonce:
            log.warning("event=store-believed; it was completed with what this node holds")
        self._doubted = nonce

    def _is_known(self, nonce: str, snapshot: Snapshot, whole: bool) -> bool:
        if nonce == self._kept.nonce:
            return not self._doubted
        if not self._kept.nonce:
            return True
        completed = self._test(snapshot)
        self._wants_whole = completed and not whole
        return completed and whole

    def _reached(self, nonce: str) -> int:
        return self._kept.revision if nonce == self._kept.nonce else 0

    def _keep(self, believed: Believed) -> None:
        before, self._kept = self._kept, believed
        if believed.nonce == before.nonce and self._clock() - self._written_at < WRITE_S:
            return
        self._written_at = self._clock()
        new = self._file.with_suffix(".new")
        try:
            new.write_bytes(encode(believed))
            new.replace(self._file)
        except OSError as fault:
            log.warning("cannot keep what is believed of the store file=%s why=%s", self._file, fault)


def _read(file: Path) -> Believed:
    try:
        return decode(Believed, file.read_bytes(), key=str(file))
    except FileNotFoundError:
        return Believed()
    except Corrupt as fault:
        log.warning("what was believed of the store counts as unknown why=%s", fault)
        return Believed()
