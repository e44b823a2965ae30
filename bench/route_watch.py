"""Tells when a kernel's routes change: rtnetlink's own word, without a process in between."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network

from lab import netns
from lab.errors import LabError

NETLINK_ROUTE = 0
GROUP_IPV4_ROUTE = 0x40
NEW_ROUTE, DEL_ROUTE = 24, 25
RTA_DST = 1
HEADER, ROUTE, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=8BI"), struct.Struct("=HH")
BUFFER_BYTES = 64 * 1024 * 1024
SO_RCVBUFFORCE = 33


@dataclass(frozen=True, slots=True)
class Change:
    """One route was written or deleted; `at` is of the monotonic clock, when it was read."""

    prefix: IPv4Network
    deleted: bool
    at: float


class RouteWatch:
    """Listens to the IPv4 routes of one namespace. Not thread-safe; to be closed."""

    def __init__(self, namespace: str) -> None:
        self._socket = netns.within(
            namespace, lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_ROUTE)
        )
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        self._socket.bind((0, GROUP_IPV4_ROUTE))

    def wait(self, prefix: IPv4Network, deadline_s: float, *, deleted: bool = False) -> float:
        """When this route was written, of the monotonic clock. Blocking. Raises LabError when it was not."""
        until = time.monotonic() + deadline_s
        while (left := until - time.monotonic()) > 0:
            for change in self.read(left):
                if change.prefix == prefix and change.deleted is deleted:
                    return change.at
        raise LabError(f"waited {deadline_s:g} s for {prefix} in the router's kernel")

    def read(self, timeout_s: float) -> list[Change]:
        """What changed, as soon as something has; empty after the time. Blocking."""
        self._socket.settimeout(max(timeout_s, 0.0001))
        try:
            data = self._socket.recv(1 << 20)
        except TimeoutError:
            return []
        at = time.monotonic()
        return [Change(prefix, deleted, at) for prefix, deleted in _changes(data)]

    def close(self) -> None:
        """Close the socket. Idempotent."""
        self._socket.close()


def _changes(data: bytes) -> Iterator[tuple[IPv4Network, bool]]:
    at = 0
    while at + HEADER.size <= len(data):
        length, kind, *_ = HEADER.unpack_from(data, at)
        if kind in (NEW_ROUTE, DEL_ROUTE):
            prefix = _prefix(data[at + HEADER.size : at + length])
            if prefix is not None:
                yield prefix, kind == DEL_ROUTE
        at += (length + 3) & ~3


def _prefix(body: bytes) -> IPv4Network | None:
    _, prefixlen, *_ = ROUTE.unpack_from(body)
    at = ROUTE.size
    while at + ATTRIBUTE.size <= len(body):
        length, kind = ATTRIBUTE.unpack_from(body, at)
        if kind == RTA_DST:
            return IPv4Network((body[at + ATTRIBUTE.size : at + length], prefixlen))
        at += (length + 3) & ~3
    return None
