"""The BMP monitoring station: routers connect to it and tell what they hold (RFC 7854).

One thread serves all of them. BMP has neither TLS nor a secret, so a connection counts only when it comes
from an address that may be a router's, and nothing that comes by it decides anything: it is compared, and
people are told. A router that goes away is forgotten; it tells everything again when it is back.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from bgp.bmp.framing import Framer
from bgp.bmp.message import Initiation, Rib, Termination, parse
from bgp.bmp.table import Ends, Held, RouterTable
from bgp.bmp.wire import IPAddress, Malformed
from bgp.peer import Family
from controller.metrics import Metrics
from intent.verification import Accepted

log = logging.getLogger(__name__)

MAX_ROUTERS = 256
READ_BYTES = 1 << 16
KEEPALIVE = {socket.TCP_KEEPIDLE: 10, socket.TCP_KEEPINTVL: 5, socket.TCP_KEEPCNT: 3}
"""BMP has no keepalive of its own: a router that is gone is noticed within 25 s."""


class Ended(Exception):
    """The connection is of no more use. One line for people."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a router says of one of its sessions, but for the prefixes.

    Args:
        began: another one whenever the session, or the router's connection, is another.
        version: another one whenever the router has said something new of it.
        whole: whether it has told all that it held when it began to tell.
        unreadable: why its prefixes are not known; empty when they are.
        held: for `Station.accepted`.
    """

    began: tuple[int, int]
    version: tuple[int, int]
    whole: bool
    unreadable: str
    held: Held = field(compare=False, repr=False)


@dataclass(eq=False, slots=True)
class Router:
    """One connection."""

    number: int
    socket: socket.socket
    address: IPAddress
    name: str = ""
    framer: Framer = field(default_factory=Framer)
    table: RouterTable = field(default_factory=RouterTable)

    def hear(self, data: bytes) -> None:
        """Take what it sent. Raises `Malformed`, `Ended`."""
        for frame in self.framer.take(data):
            message = parse(frame)
            match message:
                case Initiation(name=name):
                    self.name = name
                    log.info("event=bmp-router address=%s name=%r", self.address, name)
                case Termination(reason=reason):
                    raise Ended(f"the router ended it: {reason}")
                case _:
                    self.table.take(message)


class Station:
    """Listens for routers. `start` and `stop` once each; the rest from any thread.

    Args:
        bound: a listening socket, which `stop` closes.
        admits: whether a connection from this address may be a router's.
        metrics: told how many routers there are, and of each that was refused.
    """

    def __init__(self, bound: socket.socket, admits: Callable[[IPAddress], bool], metrics: Metrics) -> None:
        self._bound = bound
        self._admits = admits
        self._metrics = metrics
        self._selector = selectors.DefaultSelector()
        self._wake_reading, self._wake_writing = os.pipe()
        self._lock = threading.Lock()
        self._routers: dict[int, Router] = {}
        self._count = 0
        self._refused: set[IPAddress] = set()
        self._thread = threading.Thread(target=self._run, name="bmp", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """Close every connection. Blocking, for a moment."""
        os.write(self._wake_writing, b"\0")
        self._thread.join()
        os.close(self._wake_writing)

    def reports(self) -> Mapping[Ends, Report]:
        """Every session that a router tells of; of two connections that tell of one the later one counts."""
        with self._lock:
            return {
                held.ends: _report(router, held) for router in self._routers.values() for held in router.table
            }

    def accepted(self, report: Report) -> Accepted:
        """What the router holds of a session that it has reported, as of now."""
        held = report.held
        with self._lock:
            return Accepted(
                prefixes=frozenset(held.tables.get(Rib.IN_POST_POLICY, ())),
                received=frozenset(held.tables.get(Rib.IN_PRE_POLICY, ())),
                up=held.up,
                reason=held.reason,
            )

    def _run(self) -> None:
        self._selector.register(self._bound, selectors.EVENT_READ)
        self._selector.register(self._wake_reading, selectors.EVENT_READ)
        while self._serve():
            pass
        for router in list(self._routers.values()):
            self._drop(router, "this controller ends")
        self._bound.close()
        self._selector.close()
        os.close(self._wake_reading)

    def _serve(self) -> bool:
        """Take what there is. Blocking until there is something. Returns whether to go on."""
        for key, _ in self._selector.select():
            if key.fileobj == self._wake_reading:
                return False
            if key.fileobj is self._bound:
                self._accept()
            else:
                self._read(self._routers[key.fd])
        return True

    def _accept(self) -> None:
        try:
            accepted, where = self._bound.accept()
        except OSError as fault:  # it gave up before it was accepted, or there are no descriptors left
            log.warning("event=bmp-not-accepted why=%r", str(fault))
            return
        address = _plain(where[0])
        if why := self._refusal(address):
            self._metrics.bmp_refused()
            if address not in self._refused:
                log.warning("event=bmp-refused address=%s why=%r", address, why)
                self._refused = {*list(self._refused)[-MAX_ROUTERS:], address}
            accepted.close()
            return
        self._refused.discard(address)
        accepted.setblocking(False)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in KEEPALIVE.items():
            accepted.setsockopt(socket.IPPROTO_TCP, option, value)
        self._count += 1
        with self._lock:
            self._routers[accepted.fileno()] = Router(self._count, accepted, address)
        self._selector.register(accepted, selectors.EVENT_READ)
        self._metrics.bmp_routers(len(self._routers))
        log.info("event=bmp-connected address=%s", address)

    def _refusal(self, address: IPAddress) -> str:
        if len(self._routers) >= MAX_ROUTERS:
            return f"{MAX_ROUTERS} routers are connected"
        return "" if self._admits(address) else "it is no peer's address: name it with --bmp-from"

    def _read(self, router: Router) -> None:
        try:
            data = router.socket.recv(READ_BYTES)
            if not data:
                raise Ended("closed")
            with self._lock:
                router.hear(data)
        except BlockingIOError:
            return
        except OSError as fault:
            self._drop(router, os.strerror(fault.errno or 0))
        except (Ended, Malformed) as fault:
            self._drop(router, str(fault))

    def _drop(self, router: Router, why: str) -> None:
        log.warning("event=bmp-lost address=%s name=%r why=%r", router.address, router.name, why)
        self._selector.unregister(router.socket)
        with self._lock:
            del self._routers[router.socket.fileno()]
        router.socket.close()
        self._metrics.bmp_routers(len(self._routers))


def _report(router: Router, held: Held) -> Report:
    return Report(
        began=(router.number, held.began),
        version=(router.number, held.version),
        whole=(Rib.IN_POST_POLICY, Family.of(held.ends.node)) in held.ended,
        unreadable=held.unreadable,
        held=held,
    )


def _plain(text: str) -> IPAddress:
    """An address of a connection; a socket for both families writes IPv4 in IPv6."""
    address = ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
