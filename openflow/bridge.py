"""The bridge and its ports, over one long-lived connection with Open vSwitch's database (OVSDB).

One thread owns the connection and the replica of the database behind it. A call becomes a job: a generator
that runs in that thread, yields while it waits for the database to change, and whose result is handed
back. Jobs of several callers wait at the same time, so attaching many ports costs little more than one.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from openflow import datapath
from openflow.errors import BridgeError, BridgeRejected, BridgeUnavailable
from openflow.export import ExportSpec
from openflow.json_stream import MessageParser
from openflow.rows import MARK, SCHEMA, BridgeSpec, PortRow, Restart, Rows

# The library looks for eventlet, which os-ken brings along: 17 MB and a third of a second for nothing.
_hidden = "eventlet" not in sys.modules
if _hidden:
    sys.modules["eventlet"] = None  # type: ignore[assignment]
import ovs.json  # noqa: E402
from ovs.db.idl import Idl, SchemaHelper, Transaction  # noqa: E402
from ovs.poller import Poller  # noqa: E402

if _hidden:
    del sys.modules["eventlet"]
if ovs.json.PARSER == ovs.json.PARSER_PY:
    ovs.json.Parser = MessageParser

__all__ = ["Bridge", "BridgeError", "BridgeRejected", "BridgeUnavailable", "PortRow"]

CALL_TIMEOUT_S = 5.0

T = TypeVar("T")
Steps = Generator[None, None, T]


@dataclass(eq=False)
class _Job(Generic[T]):
    steps: Steps[T]
    deadline: float
    result: Future[T]

    def step(self) -> None:
        """Go on, as far as the database allows."""
        try:
            next(self.steps)
        except StopIteration as end:
            self.result.set_result(end.value)
        except BridgeError as fault:
            self.result.set_exception(fault)


class _Replica(Idl):  # type: ignore[misc]
    """The database's replica; says which rows change."""

    watcher: Callable[[str, Any], None] = staticmethod(lambda table, row: None)

    def notify(self, _event: str, row: Any, _updates: Any = None) -> None:
        self.watcher(row._table.name, row)


class Bridge:
    """One bridge of the Open vSwitch behind `remote`. Safe to call from many threads.

    Every call is idempotent, blocks for at most `CALL_TIMEOUT_S`, and may raise `BridgeUnavailable`.

    Args:
        remote: where ovsdb-server listens, such as `unix:/run/openvswitch/db.sock`.
        name: the bridge's name.
        on_change: called when something in the database changed, in the connection's thread. It must return
            at once and not call this object: mark something dirty.
    """

    def __init__(
        self, remote: str, name: str = "polder0", *, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._remote = remote
        self._name = name
        self._on_change = on_change
        self._guard = threading.Lock()
        self._incoming: deque[_Job[Any]] = deque()
        self._jobs: list[_Job[Any]] = []
        self._thread: threading.Thread | None = None
        self._wakeup = -1
        self._idl: Any = None
        self._rows: Rows
        self._ports_read: Mapping[str, PortRow] | None = None
        self._notes_read: Mapping[str, Mapping[str, str]] | None = None
        self._restart = Restart(awaits_flows=False, keeps_flows=False)

    def start(self) -> None:
        """Start the connection's thread. It connects, and does so again whenever the connection was lost."""
        self._wakeup = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        schema = SchemaHelper(schema_json=SCHEMA)
        schema.register_all()
        self._idl = _Replica(self._remote, schema)
        self._rows = Rows(self._idl.tables, self._name)
        self._idl.watcher = self._rows.changed
        self._thread = threading.Thread(target=self._run, name="ovsdb", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the connection and its thread; bridge and ports stay. Blocking, briefly. Idempotent."""
        with self._guard:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        os.eventfd_write(self._wakeup, 1)
        thread.join()
        os.close(self._wakeup)

    def ensure(self, *, mac: str, datapath_type: str | None = None) -> None:
        """Make the bridge, or repair it: fail_mode secure, OpenFlow 1.3 and 1.4, no controller, a fixed MAC.

        Args:
            mac: of the bridge's own interface; the datapath id is the same number.
            datapath_type: `system` or `netdev` for a bridge that has to be made; None takes what the
                kernel has. A bridge that exists keeps its own: a change would cost packets.

        Raises:
            BridgeRejected: a bridge of this name is not ours, or Open vSwitch cannot make it.
        """
        wanted = BridgeSpec(mac, datapath_type or datapath.available())
        self._call(self._ensure(wanted))

    def export(self, wanted: ExportSpec | None) -> None:
        """Have the bridge tell a collector of sampled packets; None ends that.

        Raises:
            BridgeRejected: there is no bridge, or somebody else has configured an export of that kind.
        """
        self._call(self._transact(lambda txn: self._rows.export(txn, wanted)))

    def ports(self) -> Mapping[str, PortRow]:
        """Our ports of the bridge by name, as last heard of the database; none without a bridge.

        Cheap: no thread is waited for, and while nothing changes it is the same mapping again.
        """
        return self._ports_read if self._ports_read is not None else self._call(self._ports())

    def notes(self) -> Mapping[str, Mapping[str, str]]:
        """What is noted with the bridge, by name. Cheap, as `ports` is."""
        return self._notes_read if self._notes_read is not None else self._call(self._notes())

    def note(self, name: str, external_ids: Mapping[str, str] | None) -> None:
        """Note with the bridge what has no port of its own; None forgets it."""
        self._call(self._transact(lambda _: self._rows.note(name, external_ids)))

    def holds(self, name: str) -> bool:
        """Whether the bridge has a port of this name, whoever has added it."""
        return self._call(self._holds(name))

    def add_port(self, name: str, external_ids: Mapping[str, str], *, given: bool = False) -> int:
        """Add the link `name` as a port, or update its `external_ids`; returns its OpenFlow number.

        Args:
            name: of a link that exists.
            external_ids: what to keep with the port; `polder` is set to `port` when it is not among them.
            given: the port may be one that somebody else has added to this bridge. It becomes ours as far
                as its `external_ids` say so, which `remove_port` takes back.

        Raises:
            BridgeRejected: there is no bridge, the port is not ours, or Open vSwitch cannot open the
                link. In the last case the port stays, without a number, and this may be called again.
        """
        return self._call(self._add_port(name, {MARK: "port", **external_ids}, given))

    def begin_port(self, name: str, external_ids: Mapping[str, str], ofport: int) -> Future[int]:
        """As `add_port`, without waiting for it: Open vSwitch takes milliseconds, in which flows can be made.

        Args:
            name: of a link that exists.
            external_ids: as there.
            ofport: the number that a new port is to have. It gets another one when that is taken.

        Returns:
            What `add_port` would return or raise.
        """
        return self._submit(self._add_port(name, {MARK: "port", **external_ids}, given=False, wanted=ofport))

    def remove_port(self, name: str, *, closed: bool = False) -> None:
        """Remove a port; nothing happens when it is absent. Raises `BridgeRejected` when it is not ours.

        Args:
            name: of the port.
            closed: return when Open vSwitch has closed the link. It takes a port that is added again before
                it looks for the same, and reads on from a link that is another meanwhile.
        """
        self._call(self._remove_port(name, closed))

    @property
    def restart(self) -> Restart:
        """What a restart of ovs-vswitchd would do, as last heard of the database. Cheap."""
        return self._restart

    def await_flows(self, wanted: bool) -> None:
        """Have the next ovs-vswitchd wait for its flows; or one that waits go on, and return when it does."""
        self._call(self._await_flows(wanted))

    def _await_flows(self, wanted: bool) -> Steps[None]:
        yield from self._transact(lambda _: self._rows.await_flows(wanted))
        while not wanted and not self._rows.configured:
            yield

    def _remove_port(self, name: str, closed: bool) -> Steps[None]:
        yield from self._transact(lambda _: self._rows.take(name, told=closed))
        while closed and not self._rows.configured:
            yield

    def _ensure(self, wanted: BridgeSpec) -> Steps[None]:
        yield from self._transact(lambda txn: self._rows.configure(txn, wanted))
        yield from self._ofport(self._name)

    def _ports(self) -> Steps[Mapping[str, PortRow]]:
        yield from self._filled()
        return self._read_ports()

    def _read_ports(self) -> Mapping[str, PortRow]:
        self._restart = self._rows.restart()
        self._ports_read = self._rows.ports()
        return self._ports_read

    def _notes(self) -> Steps[Mapping[str, Mapping[str, str]]]:
        yield from self._filled()
        return self._rows.notes()

    def _holds(self, name: str) -> Steps[bool]:
        yield from self._filled()
        return self._rows.holds(name)

    def _add_port(
        self, name: str, external_ids: Mapping[str, str], given: bool, wanted: int | None = None
    ) -> Steps[int]:
        yield from self._transact(
            lambda txn: self._rows.put(txn, name, external_ids, given=given, ofport=wanted)
        )
        return (yield from self._ofport(name))

    def _ofport(self, name: str) -> Steps[int]:
        while (ofport := self._rows.ofport(name)) is None:
            yield
        return ofport

    def _filled(self) -> Steps[None]:
        while not self._idl.has_ever_connected():
            yield

    def _transact(self, build: Callable[[Any], None]) -> Steps[None]:
        yield from self._filled()
        while (status := (yield from self._attempt(build))) == Transaction.TRY_AGAIN:
            yield
        if status not in (Transaction.SUCCESS, Transaction.UNCHANGED):
            raise BridgeRejected(f"Open vSwitch's database refuses: {status}")

    def _attempt(self, build: Callable[[Any], None]) -> Steps[str]:
        txn = Transaction(self._idl)
        try:
            build(txn)
        except BridgeError:
            txn.abort()
            raise
        while (status := txn.commit()) == Transaction.INCOMPLETE:
            yield
        return str(txn.get_error() if status == Transaction.ERROR else status)

    def _call(self, steps: Steps[T]) -> T:
        return self._submit(steps).result()

    def _submit(self, steps: Steps[T]) -> Future[T]:
        job = _Job(steps, time.monotonic() + CALL_TIMEOUT_S, Future())
        with self._guard:
            if self._thread is None:
                raise BridgeUnavailable("the connection with Open vSwitch's database is closed")
            self._incoming.append(job)
            os.eventfd_write(self._wakeup, 1)
        return job.result

    def _run(self) -> None:
        """The thread."""
        seen = self._idl.change_seqno
        try:
            while self._thread is not None:
                self._idl.run()
                if self._idl.change_seqno != seen:
                    seen = self._idl.change_seqno
                    self._read_ports()
                    self._notes_read = self._rows.notes()
                    self._on_change()
                self._step()
                self._wait()
        finally:
            with self._guard:
                self._thread = None
            self._idl.close()
            self._give_up(float("inf"), "the connection is closed")

    def _step(self) -> None:
        while self._incoming:
            self._jobs.append(self._incoming.popleft())
        for job in self._jobs:
            job.step()
        self._jobs = [job for job in self._jobs if not job.result.done()]
        self._give_up(time.monotonic(), "no answer in time: do ovsdb-server and ovs-vswitchd run?")

    def _give_up(self, until: float, why: str) -> None:
        for job in [*self._jobs, *self._incoming]:
            if job.deadline <= until:
                job.result.set_exception(BridgeUnavailable(f"Open vSwitch at {self._remote}: {why}"))
        self._jobs = [job for job in self._jobs if not job.result.done()]

    def _wait(self) -> None:
        """Until the database, a caller or a deadline has something for us."""
        poller = Poller()
        poller.fd_wait(self._wakeup, select.POLLIN)
        self._idl.wait(poller)
        if self._jobs:
            left_s = min(job.deadline for job in self._jobs) - time.monotonic()
            poller.timer_wait(int(left_s * 1000) + 1)
        poller.block()
        try:
            os.eventfd_read(self._wakeup)
        except BlockingIOError:
            return  # nobody has called
