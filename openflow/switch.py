"""The connection with Open vSwitch: dumps and changes our flows.

We dial the bridge's own socket, again after a restart of Open vSwitch or ours; `on_connect` says when. The
bridge has no controller: one that gets its first, or loses its last, flushes its flows, and one that waits
for its flows after a restart (`openflow.rows.AWAIT_FLOWS`) dials nobody. And only root can open the socket.

os-ken encodes and decodes the messages. Its application framework is not used: it keeps process-wide
singletons, listens on two ports, leaves threads behind at every reconnect and cannot be stopped; one thread
and `Channel` do here.

The change of a flow table is a bundle (OpenFlow 1.4.1 §6.9): all of it at once or nothing, confirmed.
Flows whose cookie is not ours are neither shown nor touched.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from os_ken.exception import OSKenException
from os_ken.ofproto import ofproto_parser
from os_ken.ofproto import ofproto_v1_4 as ofp
from os_ken.ofproto import ofproto_v1_4_parser as parser

from openflow.channel import Channel, Message, Requests
from openflow.cookie import OWNER, OWNER_MASK
from openflow.decoding import Counted, Decoder
from openflow.dumping import Dumping
from openflow.encoding import bundle_of
from openflow.errors import Disconnected, Refused, SwitchError
from openflow.flow import Flow
from openflow.management import Management
from openflow.noticing import somebody_changed
from openflow.ordering import Change, order
from openflow.render import PROTOCOL, flow_stats_request

log = logging.getLogger(__name__)

HANDSHAKE_TIMEOUT_S = 5.0
REDIAL_S = 0.02
"""How often we look for a switch that is away: a few system calls each time."""
REFUSED_PAUSE_S = 0.1
REPLY_TIMEOUT_S = 10.0
BUNDLE_CHANGES = 50_000
"""Changes in one bundle: more than a node has flows. More are made in several, in the order of `ordering`."""

FRAGMENTS = 3
"""OFPC_FRAG_NX_MATCH (nicira-ext.h): of a datagram's fragments the first has the ports that it carries."""
NO_PACKETS = 0
"""Bytes of a packet that are sent to the controller: none is."""
BUNDLE_FLAGS = ofp.OFPBF_ATOMIC | ofp.OFPBF_ORDERED


@dataclass(frozen=True)
class _Requests:
    count: int
    messages: Iterable[bytes]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.messages)


class Switch:
    """The bridge behind a socket. Safe to call from many threads.

    Args:
        path: of the unix socket `<bridge>.mgmt` in Open vSwitch's run directory.
        dpid: the datapath id to accept; None accepts any.
        on_connect: called after each connect, in the connection's thread. It must return at once and not
            call this object: mark something dirty.
        on_touched: likewise, when somebody else has removed or changed flows of ours.
    """

    def __init__(
        self,
        path: Path,
        *,
        dpid: int | None = None,
        on_connect: Callable[[], None] = lambda: None,
        on_touched: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._dpid = dpid
        self._on_connect = on_connect
        self._on_touched = on_touched
        self._state = threading.Condition()
        self._channel: Channel | None = None
        self._pending: Channel | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._applying = threading.Lock()
        self._reading = threading.Lock()
        self._decoder = Decoder()
        self._bundle_id = 0
        self.connects = 0
        """How many connections there have been: another number is another connection."""

    def start(self) -> None:
        """Start the thread that connects, and does so again whenever the connection was lost."""
        self._thread = threading.Thread(target=self._run, name="openflow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the connection and the thread; the switch keeps its flows. Blocking, briefly. Idempotent."""
        with self._state:
            self._stopping = True
            self._state.notify_all()
            channels = [channel for channel in (self._channel, self._pending) if channel]
        for channel in channels:
            channel.close()
        if self._thread is not None:
            self._thread.join()

    @property
    def connected(self) -> bool:
        """Whether the switch is connected now."""
        return self._channel is not None

    def wait_connected(self, timeout_s: float) -> bool:
        """Wait until the switch is connected, at most `timeout_s` seconds; whether it is. Blocking."""
        with self._state:
            return self._state.wait_for(lambda: self._channel is not None, timeout_s)

    def dump(self) -> list[Flow]:
        """Every flow of ours that the switch holds, in no order. Blocking.

        Raises:
            Disconnected: see there.
            SwitchError: the switch's answer makes no sense.
        """
        return [counted.flow for counted in self.counters()]

    def counters(self) -> list[Counted]:
        """Every flow of ours with its counters. Blocking; raises as `dump`."""
        request = flow_stats_request(OWNER, OWNER_MASK)
        replies = self.exchange(lambda xid: [_encoded(request, xid)])
        for message in replies:
            if message.type == ofp.OFPT_ERROR:
                raise SwitchError(reason(message))
        with self._reading:
            return self._decoder.read(message.data for message in replies)

    def dumping(self, on_answer: Callable[[], None] = lambda: None) -> Dumping:
        """Begin a dump by another connection, that delays no change; who calls `dump` takes its parts.

        Args:
            on_answer: see `Dumping`.
        """
        return Dumping(Management(self._path).dump, self._decoder, on_answer)

    def apply(self, puts: Iterable[Flow], deletes: Iterable[Flow]) -> None:
        """Add or replace `puts` and delete `deletes`, all at once; returns when it is done. Blocking.

        Idempotent. More than `BUNDLE_CHANGES` changes are made in several bundles. A put replaces the flow of
        equal key, whosever it is; a delete takes only a flow of ours.

        Raises:
            Disconnected: see there; the changes may or may not have been made.
            Refused: nothing of the refused bundle was made.
        """
        changes = order(puts, deletes)
        with self._applying:
            for start in range(0, len(changes), BUNDLE_CHANGES):
                self._commit(self._connection(), changes[start : start + BUNDLE_CHANGES])

    def exchange(self, build: Callable[[int], Requests]) -> list[Message]:
        """Send requests made elsewhere and wait for the answers, refusals among them; see `Channel`."""
        return self._connection().exchange(build, timeout_s=REPLY_TIMEOUT_S)

    def _commit(self, channel: Channel, changes: Sequence[Change]) -> None:
        """Fill a bundle, then commit it.

        The barrier between the two is needed: a switch leaves out of the bundle what it refused when it
        was added, and would commit the rest.
        """
        self._bundle_id += 1
        bundle_id = self._bundle_id
        barrier = parser.OFPBarrierRequest(PROTOCOL)

        def filling(xid: int) -> _Requests:
            opening = _encoded(_control(bundle_id, ofp.OFPBCT_OPEN_REQUEST), xid)
            inside = bundle_of(changes, bundle_id, BUNDLE_FLAGS, xid + 1)
            closing = _encoded(barrier, xid + 1 + len(changes))
            return _Requests(len(changes) + 2, chain([opening], inside, [closing]))

        try:
            _ask(channel, filling)
        except Refused:
            channel.send(_encoded(_control(bundle_id, ofp.OFPBCT_DISCARD_REQUEST), 0))
            raise
        _ask(channel, lambda xid: [_encoded(_control(bundle_id, ofp.OFPBCT_COMMIT_REQUEST), xid)])

    def _connection(self) -> Channel:
        channel = self._channel
        if channel is None:
            raise Disconnected("the switch is not connected")
        return channel

    def _run(self) -> None:
        """The thread: one connection after the other, until `stop`."""
        told = ""
        while not self._stopped(wait_s=0):
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self._path))
            except OSError as fault:
                connection.close()
                if told != str(fault):
                    log.info("switch is away socket=%s reason=%s", self._path, fault)
                told = str(fault)
                self._stopped(wait_s=REDIAL_S)
                continue
            channel, told = Channel(connection, ofp.OFP_VERSION, self._told), ""
            with self._state:
                self._pending = channel
                if self._stopping:
                    channel.close()
            if not self._serve(channel):
                self._stopped(wait_s=REFUSED_PAUSE_S)
            channel.release()

    def _stopped(self, *, wait_s: float) -> bool:
        with self._state:
            return self._state.wait_for(lambda: self._stopping, wait_s)

    def _serve(self, channel: Channel) -> bool:
        """Use a connection until it ends. Returns false when it was not what we look for."""
        try:
            dpid = self._handshake(channel)
        except SwitchError as fault:
            log.warning("switch refused reason=%s", fault)
            return False
        log.info("switch connected dpid=%016x", dpid)
        self.connects += 1
        self._set(channel)
        try:
            self._on_connect()
            channel.serve()
        finally:
            self._set(None)
        log.info("switch disconnected dpid=%016x", dpid)
        return True

    def _set(self, channel: Channel | None) -> None:
        with self._state:
            self._channel = channel
            self._state.notify_all()

    def _handshake(self, channel: Channel) -> int:
        """OpenFlow 1.4.1 §6.3.1: hello both ways, then the features; returns the datapath id."""
        versions = parser.OFPHelloElemVersionBitmap(versions=[ofp.OFP_VERSION])
        channel.send(_encoded(parser.OFPHello(PROTOCOL, [versions]), 0))
        hello = _await(channel, ofp.OFPT_HELLO)
        if hello.version < ofp.OFP_VERSION:
            raise SwitchError("it does not speak OpenFlow 1.4")
        channel.send(_encoded(parser.OFPFeaturesRequest(PROTOCOL), 0))
        dpid = int(_decoded(_await(channel, ofp.OFPT_FEATURES_REPLY)).datapath_id)
        if self._dpid not in (None, dpid):
            raise SwitchError(f"datapath id {dpid:016x} is not ours, {self._dpid:016x}")
        channel.send(_encoded(parser.OFPSetConfig(PROTOCOL, FRAGMENTS, NO_PACKETS), 0))
        told = ofp.OFPFMF_REMOVED | ofp.OFPFMF_MODIFY
        channel.send(_encoded(parser.OFPFlowMonitorRequest(PROTOCOL, monitor_id=1, monitor_flags=told), 0))
        return dpid

    def _told(self, message: Message) -> None:
        try:
            touched = somebody_changed(message.type, message.data)
        except SwitchError as fault:
            raise Disconnected(str(fault)) from fault
        if touched:
            self._on_touched()


def _await(channel: Channel, kind: int) -> Message:
    while (message := channel.receive(HANDSHAKE_TIMEOUT_S)) is not None:
        if message.type == kind:
            return message
        if message.type == ofp.OFPT_ERROR:
            raise SwitchError(reason(message))
    raise Disconnected("no handshake")


def _ask(channel: Channel, build: Callable[[int], Requests]) -> list[Message]:
    """Send requests and wait for the last answer. Raises `Refused` when any answer is an error."""
    replies = channel.exchange(build, timeout_s=REPLY_TIMEOUT_S)
    for message in replies:
        if message.type == ofp.OFPT_ERROR:
            raise Refused(reason(message))
    return replies


def _control(bundle_id: int, kind: int) -> Any:
    return parser.OFPBundleCtrlMsg(PROTOCOL, bundle_id, kind, BUNDLE_FLAGS, [])


def _encoded(message: Any, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


def _decoded(message: Message) -> Any:
    """Decode a message of the switch. Raises `SwitchError` when it is malformed."""
    try:
        decoded = ofproto_parser.msg(
            PROTOCOL, message.version, message.type, len(message.data), message.xid, message.data
        )
    except (OSKenException, AssertionError) as fault:
        raise SwitchError(f"the switch's answer does not decode: {fault}") from fault
    if decoded is None:
        raise SwitchError("the switch's answer does not decode")
    return decoded


def reason(message: Message) -> str:
    """An error of the switch in words."""
    error = _decoded(message)
    return f"{ofp.ofp_error_type_to_str(error.type)} {ofp.ofp_error_code_to_str(error.type, error.code)}"
