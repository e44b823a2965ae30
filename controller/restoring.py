"""The duty of restore: a backup that was restored is completed with what the nodes hold, then believed again.

Agents see that the store is another, take nothing down, and say what their switches hold: for each term of
the duty anew, so that nothing counts which was said before. When every agent
that lives has said so (or the time is up, or an operator says so) the keys of what is held are made
(`controller.ipam.adopt`) and marks that are outdated go (`controller.ipam.outdated`), then come the report
and last the id of the new cluster, which lets everybody go on.
A controller that dies in the middle is followed by one that does the same again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from controller.epoch import NOT_COMPLETED, Epoch, asked_anew, cluster_of, etcd_id, fresh_cluster
from controller.events import Events
from controller.ipam.adopt import Adoption, Backup, adopt, homeless, usage_ops
from controller.ipam.outdated import outdated
from controller.problem import Problem
from controller.reading import put, read, read_many, scan, scan_all
from controller.rescan import Rescan
from store import keys
from store.client import Absent, Compare, Delete, DeletePrefix, Op, Put, Store, Unchanged
from store.errors import Restored, StoreError
from store.model import Holding, Program, Restore, Severity

log = logging.getLogger(__name__)

PERIOD_S = 1.0
ATTEMPTS = 8
SETTLE_S = 15.0
"""For as long agents may need to come back: the lease of one, and the time to reach the store again."""
BEGINS_S = 5
"""By then a controller should have the duty, and nodes are asked."""
PATIENCE_S = 120.0
"""An agent that lives and says nothing is waited for so long."""
TXN = 100
TOLD = 1000
"""Lines of the report, of each kind."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Who has said what it holds since the backup was restored."""

    cluster: str
    nonce: str
    heard: dict[str, Holding]
    silent: tuple[str, ...]
    """Agents that live and have not."""

    def homeless(self, store: Store) -> Iterator[str]:
        """What they hold and no pool has the address of."""
        return homeless(scan(store, keys.POOLS).values, self.heard)


def progress(store: Store) -> Progress:
    """As the store tells it now."""
    living = {each.node for each in scan(store, keys.ALIVE).values if each.program is Program.AGENT}
    nodes = living | {node.name for node in scan(store, keys.NODES).values}
    stored = read(store, keys.CLUSTER)
    nonce = stored.value.nonce if stored else ""
    found = read_many(store, keys.HOLDING, [(name,) for name in sorted(nodes)])
    heard = {name: one for (name,), one in found.items() if one.waits_for == nonce}
    return Progress(store.cluster_id(), nonce, heard, tuple(sorted(living - heard.keys())))


def lacks_pools(store: Store) -> bool:
    """Whether there were no pools for what nodes hold: then it is completed only when somebody says so."""
    seen = store.get(keys.LACKS_POOLS)
    return seen is not None and seen.value == cluster_of(store).encode()


def finish(store: Store) -> None:
    """Have a restored backup completed without waiting for more nodes. Idempotent.

    Raises:
        Problem: nodes are not asked yet what they hold, so there is no wait to end.
    """
    for _ in range(ATTEMPTS):
        cluster, begun = read(store, keys.CLUSTER), store.get(keys.RESTORE_BEGUN)
        where, _, nonce = begun.value.decode(errors="replace").partition(" ") if begun else ("", "", "")
        if cluster is None or nonce != cluster.value.nonce or etcd_id(where) != cluster_of(store):
            detail = "nodes are not asked yet what they hold; repeat it after the event store-restored"
            raise Problem("not-begun", detail, retry_after_s=BEGINS_S)
        if store.txn((cluster.unchanged(),), (Put(keys.FINISH, nonce.encode()),)).succeeded:
            return
    raise Problem("busy", "nodes are asked anew again and again what they hold", retry_after_s=BEGINS_S)


class Restoring:
    """Completes a restored backup whenever there is one. One `run`, ended by `stop`."""

    def __init__(
        self,
        store: Store,
        epoch: Epoch,
        clock: Callable[[], datetime],
        events: Events,
        *,
        settle_s: float = SETTLE_S,
        patience_s: float = PATIENCE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._epoch = epoch
        self._clock = clock
        self._events = events
        self._settle_s = settle_s
        self._patience_s = patience_s
        self._monotonic = monotonic
        self._alive = Rescan(store, keys.ALIVE)
        self._asked = ""
        """The nonce under which nodes are asked what they hold; empty while there is nothing to ask."""
        self._since = 0.0
        """Since when they are."""
        self._stopping = threading.Event()

    def run(self) -> None:
        """Look again and again. Blocking, until `stop`."""
        while not self._stopping.is_set():
            try:
                self.turn()
            except StoreError as fault:
                log.debug("event=restore-put-off why=%r", str(fault))
            self._stopping.wait(PERIOD_S)

    def stop(self) -> None:
        """End `run`. Idempotent."""
        self._stopping.set()

    def turn(self) -> None:
        """Look once, and complete the backup when it is time."""
        doubted = self._doubt()
        try:
            self._epoch.check(anew=doubted)
        except Restored:
            if self._asked:
                self._complete_when_due()
            elif self._ask():
                detail = "a backup of etcd was restored; nothing is assigned until what nodes hold is adopted"
                self._events.record(Severity.ALARM, "store-restored", "store", "etcd", detail)
        else:
            self._asked = ""

    def _ask(self) -> bool:
        """Ask every node what it holds, under a new nonce; false when there is nothing to ask, or not yet.

        The backup may have been taken while an earlier one was completed: what nodes said then is in it, and
        that an operator told it to finish. What one has told since counts under the new nonce as well.
        """
        stored = read(self._store, keys.CLUSTER)
        if stored is None or stored.value.id == cluster_of(self._store):
            return False  # a former holder completed it just now, or it hides its restore: `_doubt` is next
        anew = asked_anew(stored.value)
        begun = Put(keys.RESTORE_BEGUN, self._begun(anew.nonce))
        proof, told = self._told(stored.value.nonce)
        ops = [put(keys.CLUSTER, anew), begun, *([Put(keys.FINISH, anew.nonce.encode())] if told else ())]
        if not self._write((stored.unchanged(), proof), ops):
            return False
        self._asked, self._since = anew.nonce, self._monotonic()
        return True

    def _told(self, nonce: str) -> tuple[Compare, bool]:
        """Whether an operator ended the wait that began here under a nonce, and what proves it."""
        there = self._store.get_many([keys.FINISH, keys.RESTORE_BEGUN])
        if (told := there.get(keys.FINISH)) is None:
            return Absent(keys.FINISH), False
        begun = there.get(keys.RESTORE_BEGUN)
        here = begun is not None and begun.value == self._begun(nonce)
        return Unchanged(told.key, told.mod_revision), here and told.value == nonce.encode()

    def _begun(self, nonce: str) -> bytes:
        return f"{self._store.cluster_id()} {nonce}".encode()

    def _doubt(self) -> bool:
        """Say in the store that it is doubted, when an agent or this controller saw a restore that it hides.

        So does whoever starts anew, and every node is asked what it holds. Returns whether it was said now.
        """
        stored = read(self._store, keys.CLUSTER)
        if stored is None or stored.value.id == NOT_COMPLETED:
            return False
        nonce = stored.value.nonce
        if self._epoch.doubted != nonce and all(each.value.waits_for != nonce for each in self._alive.look()):
            return False
        doubted = put(keys.CLUSTER, stored.value.model_copy(update={"id": NOT_COMPLETED}))
        return self._write((stored.unchanged(),), (doubted,))

    def _complete_when_due(self) -> None:
        now = progress(self._store)
        if now.nonce != self._asked:  # another controller asks: what was answered to this one counts no more
            self._asked, self._since = now.nonce, self._monotonic()
        there = self._store.get_many([keys.FINISH, keys.CLUSTER.key()])
        told, asked = there.get(keys.FINISH), there.get(keys.CLUSTER.key())
        if told is None or asked is None or told.value != now.nonce.encode():
            wait_s, told = max(self._settle_s, self._patience_s if now.silent else 0), None
        else:  # whoever is asked anew has the time to answer in any case
            wait_s = self._settle_s if told.mod_revision == asked.mod_revision else 0
        if self._monotonic() - self._since >= wait_s and (told or not self._lacks_pools(now)):
            self._complete(now)

    def _lacks_pools(self, now: Progress) -> bool:
        """Whether nodes would take down what they hold, for want of a pool: etcd was empty, or is too old.

        That it was so is in the store: whoever takes up the duty later waits for people as well.
        """
        if lacks_pools(self._store):
            return True
        here, cluster = cluster_of(self._store).encode(), self._store.get(keys.CLUSTER.key())
        if (first := next(now.homeless(self._store), None)) is None:
            return False
        same = () if cluster is None else (Unchanged(cluster.key, cluster.mod_revision),)
        if self._write(same, [Put(keys.LACKS_POOLS, here)]):
            detail = (
                f"no pool has what nodes hold, such as {first}; restore a later backup, or create what is "
                "missing, pools, nodes and peers, and then: polder restore finish"
            )
            self._events.record(Severity.ALARM, "store-lacks-pools", "store", "etcd", detail)
        return True

    def _complete(self, now: Progress) -> None:
        cluster = read(self._store, keys.CLUSTER)
        if cluster is None or cluster.value.nonce != now.nonce:
            return  # another controller has completed it, or asks anew
        nodes = tuple(node.name for node in scan(self._store, keys.NODES).values)
        backup = _backup(self._store, now.heard)
        made = adopt(backup, now.heard, self._clock())
        over = outdated(scan(self._store, keys.PENDING).values, backup.endpoints, now.heard)
        usage = usage_ops(backup, scan(self._store, keys.USAGE).values)
        for ops in _transactions([*made.groups, *([op] for op in (*over, *usage))]):
            if not self._write((cluster.unchanged(),), ops):
                return  # another controller has completed it
        report = _report(now, nodes, made, self._clock())
        last = (
            Delete(keys.LACKS_POOLS),
            DeletePrefix(keys.LOST.prefix()),  # long over, or it begins anew: a node has all of its time
            put(keys.RESTORE, report),
            put(keys.CLUSTER, fresh_cluster(self._store, now.heard)),
        )
        if self._write((cluster.unchanged(),), last):
            self._tell(report)

    def _write(self, compares: Sequence[Compare], ops: Sequence[Op]) -> bool:
        return self._store.txn(compares, ops).succeeded

    def _tell(self, report: Restore) -> None:
        severity = Severity.ALARM if report.refused or report.unheard else Severity.WARNING
        detail = (
            f"the restored backup is completed: {report.confirmed} endpoints are held as it says, "
            f"{len(report.adopted)} were adopted, {len(report.ended)} ended, {len(report.refused)} cannot be "
            f"adopted, {len(report.unheard)} nodes were not heard of; see polder restore status, and polder "
            "token list: tokens that were revoked since the backup are good again"
        )
        self._events.record(severity, "store-completed", "store", "etcd", detail)


def _backup(store: Store, heard: Iterable[str]) -> Backup:
    attachments = [item for node in heard for item in scan_all(store, keys.ATTACHMENTS.prefix(node))]
    return Backup(
        pools=scan(store, keys.POOLS).values,
        endpoints={each.id: each for each in scan(store, keys.ENDPOINTS).values},
        addresses={each.address: each for each in scan(store, keys.ADDRESSES).values},
        claims={(each.pool, each.cidr): each for each in scan(store, keys.BLOCKS).values},
        nodes={each.name for each in scan(store, keys.NODES).values},
        tenants={each.name for each in scan(store, keys.TENANTS).values},
        attached={
            (parts[0], parts[1]) for item in attachments if (parts := keys.ATTACHMENTS.parts(item.key))
        },
    )


def _transactions(groups: Sequence[Sequence[Put | Delete]]) -> list[list[Put | Delete]]:
    """The groups, whole, in as few transactions as they fit in: none writes a key twice."""
    made: list[list[Put | Delete]] = []
    written: set[str] = set()
    for group in groups:
        touched = {op.key for op in group}
        if made and len(made[-1]) + len(group) <= TXN and written.isdisjoint(touched):
            made[-1].extend(group)
            written |= touched
        else:
            made.append(list(group))
            written = touched
    return made


def _report(now: Progress, nodes: Sequence[str], made: Adoption, at: datetime) -> Restore:
    return Restore(
        cluster=now.cluster.partition(".")[0],
        at=at,
        heard=tuple(now.heard),
        unheard=tuple(name for name in nodes if name not in now.heard),
        confirmed=made.confirmed,
        adopted=tuple(made.adopted[:TOLD]),
        ended=tuple(made.ended[:TOLD]),
        refused=tuple(made.refused[:TOLD]),
        idle=made.idle,
    )
