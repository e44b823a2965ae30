"""Becomes ExaBGP: `python -m bgp.exabgp.launcher CONFIG`. With `inside`, all that imports exabgp.

Before that it takes the lock that says a process runs for this peer, and writes down who it is. It does
both itself: the program that started it may have been killed in between.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import socket
import struct
import sys
import termios
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bgp.adj_rib_out import IPNetwork
from bgp.exabgp import inside, rundir
from bgp.exabgp.commands import SHOW_QUEUE
from bgp.exabgp.config import asked, keepalive_s
from bgp.exabgp.watchdog import Queue

STEPS_PER_LOOP = 5000
"""Routes that one turn of the reactor takes from a command; ExaBGP's own 50 takes twice as long for many."""

CONNECT_RETRY_MAX_S = 2
"""Longest pause between two tries to connect; ExaBGP's own grows to a minute, long after a ToR is back."""

TCP_INFO_BYTES, BYTES_ACKED = 136, 120
"""How much of struct tcp_info is read, and where its tcpi_bytes_acked is (linux/tcp.h)."""

SETTINGS = {
    "exabgp.api.chunk": "200",
    "exabgp.api.cli": "false",
    "exabgp.api.show-routes-format": "v2",
    "exabgp.bgp.openwait": "10",
    "exabgp.daemon.umask": "0077",
    "exabgp.log.destination": "stderr",
    "exabgp.log.level": "WARNING",
    "exabgp.log.short": "false",
    "exabgp.tcp.attempts": "0",
}


def main(arguments: list[str]) -> int:
    """Run ExaBGP with one configuration; does not return while it runs."""
    if len(arguments) != 1:
        print("usage: python -m bgp.exabgp.launcher CONFIG", file=sys.stderr)  # noqa: T201
        return 2
    config = Path(arguments[0]).resolve()
    lock = rundir.lock(config.parent)
    if lock is None:
        print(f"another process speaks for {config.parent}", file=sys.stderr)  # noqa: T201
        return 1
    rundir.record(config.parent, config.read_text())
    os.environ.update(
        SETTINGS,
        EXABGP_ENVFILE=str(rundir.RunDir(config.parent).environment),
        **{"exabgp.daemon.user": pwd.getpwuid(os.geteuid()).pw_name},
    )
    return run(config)


def run(config: Path) -> int:
    """Import ExaBGP, which reads its settings from the environment, set what has no setting, and run it."""
    from exabgp.application.main import main as exabgp
    from exabgp.bgp.message.open.holdtime import HoldTime
    from exabgp.reactor.asynchronous import ASYNC
    from exabgp.reactor.delay import Delay

    grow = Delay.increase

    def increase(delay: Any) -> None:
        grow(delay)
        delay._next = min(delay._next, CONNECT_RETRY_MAX_S)

    if prefixes := asked(config.read_text()):
        _take_only(prefixes)
    wanted_s = keepalive_s(config.read_text())
    if wanted_s is not None:
        third = HoldTime.keepalive
        # RFC 4271 §4.2: the hold time that was agreed on may be shorter than ours
        HoldTime.keepalive = lambda agreed: min(third(agreed), wanted_s)
    ASYNC.LIMIT = STEPS_PER_LOOP
    Delay.increase = increase
    teach_show_queue()
    bound_unacknowledged()
    inside.share_attributes()
    inside.teach_show_routes()
    inside.rest_when_quiet()
    sys.argv = ["exabgp", "server", str(config)]
    return int(exabgp() or 0)


def teach_show_queue() -> None:
    """Add a command to ExaBGP's API that tells what has still to reach the peer."""
    from exabgp.reactor.api.command.command import Command
    from exabgp.rib.outgoing import OutgoingRIB

    updates = OutgoingRIB.updates

    def counted(rib: Any, grouped: bool) -> Iterator[Any]:
        # What is being sent has left the queue: only this says that it is not sent yet.
        rib.leaving = True
        try:
            yield from updates(rib, grouped)
        finally:
            rib.leaving = False

    def show(_api: Any, reactor: Any, service: str, _line: str, _json: bool) -> bool:
        for peer in reactor._peers.values():
            reactor.processes.write(service, json.dumps({"queue": asdict(queue(peer))}))
        reactor.processes.answer_done(service)
        return True

    OutgoingRIB.leaving = False
    OutgoingRIB.updates = counted
    Command.register(SHOW_QUEUE, False)(show)


def bound_unacknowledged() -> None:
    """Have TCP give up when a peer acknowledges nothing for the hold time.

    ExaBGP's hold timer alone does not end such a session: it waits until its NOTIFICATION is written, for
    which a full socket has no room. A peer that only sends is caught too, which RFC 9687 asks for.
    """
    from exabgp.reactor.protocol import Protocol

    validate_open = Protocol.validate_open

    def validate(protocol: Any) -> None:
        validate_open(protocol)
        hold_time_ms = int(protocol.negotiated.holdtime) * 1000  # 0: never
        protocol.connection.io.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, hold_time_ms)

    Protocol.validate_open = validate


def queue(peer: Any) -> Queue:
    """What has still to reach an ExaBGP's peer."""
    rib, established = peer.neighbor.rib.outgoing, bool(peer.established())
    unacknowledged, acknowledged = tcp_bytes(peer.socket()) if established else (0, 0)
    return Queue(
        established=established,
        waiting=bool(rib.pending() or rib.leaving),
        updates_sent=int(peer.stats["send-update"]),
        unacknowledged=unacknowledged,
        acknowledged=acknowledged,
    )


def tcp_bytes(descriptor: int) -> tuple[int, int]:
    """Bytes sent that the other side has not, and has, acknowledged; 0 of a connection that is gone."""
    kept = bytearray(4)
    try:
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, kept)
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    except (OSError, ValueError):
        return 0, 0  # an error here would end ExaBGP
    return struct.unpack("=i", kept)[0], struct.unpack_from("=Q", info, BYTES_ACKED)[0]


def _take_only(asked: Iterable[IPNetwork]) -> None:
    """Have every received prefix that is not asked for forgotten as soon as it was read.

    A peer that sends a whole table then costs the time to read it, no memory, and no line to this program.
    """
    from exabgp.bgp.message import Message, Update
    from exabgp.reactor.api.processes import Processes

    unpack, tell = Update.unpack_message.__func__, Processes._dispatch[Message.CODE.UPDATE]
    wanted = {_wire(prefix) for prefix in asked}

    def unpack_asked(cls: Any, data: bytes, direction: Any, negotiated: Any) -> Any:
        update = unpack(cls, data, direction, negotiated)
        if isinstance(update, Update):
            update.nlris = _reachable([one for one in update.nlris if _found(one) in wanted])
        return update

    def tell_asked(processes: Any, peer: Any, direction: Any, update: Any, *rest: Any) -> None:
        if update.nlris:
            tell(processes, peer, direction, update, *rest)

    Update.unpack_message = classmethod(unpack_asked)
    Processes._dispatch[Message.CODE.UPDATE] = tell_asked


def _wire(prefix: IPNetwork) -> tuple[str, bytes]:
    """A prefix as RFC 4271 §4.3 encodes it, with its family."""
    octets = (prefix.prefixlen + 7) // 8
    return f"ipv{prefix.version}", bytes([prefix.prefixlen]) + prefix.network_address.packed[:octets]


def _found(nlri: Any) -> tuple[str, bytes]:
    return str(nlri.afi), nlri.cidr.pack_nlri()


def _reachable(nlris: list[Any]) -> list[Any]:
    """Without the second, link-local next hop of RFC 2545 §3, which ExaBGP takes for a route of its own."""
    others = [one for one in nlris if not str(one.nexthop).lower().startswith("fe80:")]
    named = {_found(one) for one in others}
    return others + [one for one in nlris if one not in others and _found(one) not in named]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
