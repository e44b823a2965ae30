"""BMP monitoring as a part of the controller: its options, and its threads."""

from __future__ import annotations

import argparse
import logging
import socket
from dataclasses import dataclass
from ipaddress import ip_network

from bgp.bmp.wire import IPAddress, IPNetwork
from controller.listening import is_loopback, where
from controller.monitoring.case import GRACE_S
from controller.monitoring.known import Knowledge
from controller.monitoring.station import Station
from controller.monitoring.verifier import Verifier
from controller.parts import Parts
from controller.serve import listen
from store.client import Store
from store.options import OptionError

log = logging.getLogger(__name__)

LISTEN = "--bmp-listen"
FROM = "--bmp-from"
GRACE = "--bmp-grace-s"
MAX_GRACE_S = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        LISTEN,
        metavar="HOST:PORT",
        help="take BMP from routers here, in the clear, and compare what they hold with what is announced",
    )
    parser.add_argument(
        FROM,
        metavar="CIDR[,CIDR...]",
        default="",
        help="take BMP from these addresses too, beside those of the peers",
    )
    parser.add_argument(
        GRACE,
        metavar="N",
        type=float,
        default=GRACE_S,
        help="seconds that a difference has to last before people are told (default: %(default)g)",
    )


@dataclass(frozen=True, slots=True)
class Door:
    """Where routers come in: a listening socket, where they may come from beside peers, and the patience."""

    bound: socket.socket
    networks: tuple[IPNetwork, ...]
    grace_s: float


class Monitoring:
    """Station and verifier over one store. `start` and `stop` once each."""

    def __init__(self, store: Store, parts: Parts, door: Door) -> None:
        self._knowledge = Knowledge(store)
        self._networks = door.networks
        self._station = Station(door.bound, self._admits, parts.metrics)
        self._verifier = Verifier(
            store,
            self._knowledge.now,
            self._station,
            parts.events,
            parts.metrics,
            parts.identity,
            parts.clock,
            grace_s=door.grace_s,
        )

    def start(self) -> None:
        """Begin to listen and to compare."""
        self._knowledge.start()
        self._station.start()
        self._verifier.start()

    def stop(self) -> None:
        """Let go of the routers, and of what was said of them. Blocking, for a moment."""
        self._verifier.stop()
        self._station.stop()
        self._knowledge.stop()

    def _admits(self, address: IPAddress) -> bool:
        return any(address in network for network in self._networks) or self._knowledge.is_peer(address)


def opened(options: argparse.Namespace) -> Door | None:
    """The way in for routers; None when nobody wants one. Raises `OptionError`, `ListenError`."""
    if options.bmp_listen is None:
        if options.bmp_from:
            raise OptionError(f"{FROM} says who may send BMP; give {LISTEN} too")
        return None
    networks = _networks(options.bmp_from)
    if not 0 < options.bmp_grace_s <= MAX_GRACE_S:
        raise OptionError(f"{GRACE}: expected more than 0 and at most {MAX_GRACE_S} seconds")
    host, port = where(options.bmp_listen, LISTEN)
    bound = listen(host, port, option=LISTEN)
    log.info("event=bmp-listening address=%s:%d", *bound.getsockname()[:2])
    if not is_loopback(host):
        log.warning(
            "event=insecure address=%s BMP can be read and changed on the way, and it has no secret: "
            "let nobody but routers reach this port",
            host,
        )
    return Door(bound, networks, options.bmp_grace_s)


def _networks(given: str) -> tuple[IPNetwork, ...]:
    try:
        return tuple(ip_network(text) for text in given.split(",") if text)
    except ValueError as fault:
        raise OptionError(f"{FROM}: expected CIDRs such as 10.0.0.0/24,fd00::1/128; {fault}") from fault
