"""The one place that talks to a netlink socket.

pyroute2 encodes what is sent (`agents.kernel.message`). The socket is our own, because pyroute2 0.9 drives
its sockets with an event loop for each thread, which costs more than the calls themselves, and hides the
sequence numbers by which many requests in one buffer are told apart.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import struct
import threading
from collections.abc import Container, Iterator, Sequence

from pyroute2.netlink import (
    NETLINK_EXT_ACK,
    NETLINK_GET_STRICT_CHK,
    NETLINK_ROUTE,
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_DUMP_INTR,
    NLMSG_DONE,
    NLMSG_ERROR,
    SOL_NETLINK,
)

from agents.kernel import own
from agents.kernel.message import HEADER, Message, attributes, messages

NETLINK_CAP_ACK = 10
"""An acknowledgement without a copy of the request."""


_FLAGS_AND_SEQUENCE = struct.Struct("=HI")
_FLAGS_AT = 6
_ERROR = struct.Struct("=i")
_NLMSGERR_ATTR_MSG = 1

BUFFER_BYTES = 1 << 17
"""More than the kernel puts into one datagram, a dump's parts included."""

BATCH = 128
"""Requests in one buffer: their refusals fit the smallest receive buffer a host may have."""

DUMP_ATTEMPTS = 8

TRANSIENT = frozenset(
    {
        errno.EAGAIN,
        errno.EBUSY,
        errno.EINTR,
        errno.ENETDOWN,
        errno.ENOBUFS,
        errno.ENODEV,
        errno.ENOMEM,
    }
)
"""Refusals that a later attempt may not meet: the device is away or down, the kernel is short of memory."""


class KernelError(Exception):
    """The kernel refused a request, in its own words.

    With an `errno` in `TRANSIENT` the caller may try again later; else the request has to change.
    """

    def __init__(self, code: int, words: str = "") -> None:
        super().__init__(f"{errno.errorcode.get(code, code)}: {words or os.strerror(code)}")
        self.errno = code


def open_socket(groups: Sequence[int] = (), *, receive_bytes: int = 1 << 20) -> socket.socket:
    """Open a route socket in the calling thread's namespace, a member of the multicast `groups`.

    `receive_bytes` of notifications may wait before some are lost; the host's limit may make it fewer.
    """
    try:
        opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
    except OSError as fault:
        raise _translated(fault) from fault
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK):
            opened.setsockopt(SOL_NETLINK, option, 1)
        opened.bind((0, sum(1 << (group - 1) for group in groups)))
    except OSError as fault:
        opened.close()
        raise _translated(fault) from fault
    return opened


class Netlink:
    """A route socket that waits for each answer. It stays in the namespace of the thread that makes it.

    Any thread may use it; requests of several threads follow one another. Every method raises
    `KernelError` with what the kernel said.
    """

    def __init__(self) -> None:
        self._socket = open_socket()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._port: int = self._socket.getsockname()[0]
        own.opened(self._port)

    def close(self) -> None:
        """Close the socket. Idempotent."""
        own.closed(self._port)
        self._socket.close()

    def __del__(self) -> None:
        # A driver lives as long as the program, and has no end of its own; its socket goes with it.
        if hasattr(self, "_port"):
            self.close()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def request(self, *requests: bytes, tolerate: Container[int] = ()) -> None:
        """Have requests done, in order, all of them; then raise the first refusal not in `tolerate`."""
        for fault in self.batch(requests):
            if fault is not None and fault.errno not in tolerate:
                raise fault

    def batch(self, requests: Sequence[bytes]) -> list[KernelError | None]:
        """Have requests done, in order; returns what each was answered: None is done.

        A refusal does not stop those that follow.
        """
        with self._lock:
            return [
                answer
                for start in range(0, len(requests), BATCH)
                for answer in self._acknowledged(requests[start : start + BATCH])
            ]

    def get(self, request: bytes) -> bytes:
        """Read one object; returns its message's body."""
        with self._lock:
            (number,) = self._send([request])
            message = next(one for one in self._answers() if one.sequence == number)
        if fault := _fault(message):
            raise fault
        return message.body

    def dump(self, request: bytes) -> list[bytes]:
        """Read all objects that the request describes; returns their messages' bodies.

        What changed while it was read is read again, a few times; then the error is EINTR.
        """
        for _attempt in range(DUMP_ATTEMPTS):
            with self._lock:
                found = self._dumped(request)
            if found is not None:
                return found
        raise KernelError(errno.EINTR, f"what was read changed meanwhile, {DUMP_ATTEMPTS} times")

    def _acknowledged(self, requests: Sequence[bytes]) -> list[KernelError | None]:
        """The kernel works them off in order and tells every refusal, asked or not: the last one's
        acknowledgement says that all are done."""
        numbers = self._send(requests, acknowledge_last=True)
        answered: dict[int, KernelError | None] = {}
        for message in self._answers():
            if message.type == NLMSG_ERROR:
                answered[message.sequence] = _fault(message)
                if message.sequence == numbers[-1]:
                    break
        return [answered.get(number) for number in numbers]

    def _dumped(self, request: bytes) -> list[bytes] | None:
        (number,) = self._send([request])
        found: list[bytes] = []
        interrupted = False
        for message in self._answers():
            if message.sequence != number:
                continue
            interrupted = interrupted or bool(message.flags & NLM_F_DUMP_INTR)
            if fault := _fault(message):
                raise fault
            if message.type == NLMSG_DONE:
                break
            found.append(message.body)
        return None if interrupted else found

    def _send(self, requests: Sequence[bytes], *, acknowledge_last: bool = False) -> list[int]:
        buffer = bytearray()
        numbers = []
        for left, request in enumerate(requests, start=1 - len(requests)):
            number = next(self._numbers) & 0xFFFFFFFF
            at = len(buffer) + _FLAGS_AT
            buffer += request + bytes(-len(request) % 4)
            flags, _ = _FLAGS_AND_SEQUENCE.unpack_from(buffer, at)
            if acknowledge_last and left < 0:
                flags &= ~NLM_F_ACK
            _FLAGS_AND_SEQUENCE.pack_into(buffer, at, flags, number)
            numbers.append(number)
        try:
            self._socket.send(buffer)
        except OSError as fault:
            raise _translated(fault) from fault
        return numbers

    def _answers(self) -> Iterator[Message]:
        while True:
            try:
                datagram = self._socket.recv(BUFFER_BYTES)
            except OSError as fault:
                raise _translated(fault) from fault
            yield from messages(datagram)


def _translated(fault: OSError) -> KernelError:
    return KernelError(fault.errno or errno.EIO, f"netlink: {fault.strerror}")


def _fault(message: Message) -> KernelError | None:
    if message.type not in {NLMSG_ERROR, NLMSG_DONE} or len(message.body) < _ERROR.size:
        return None
    code = -_ERROR.unpack_from(message.body)[0]
    if code == 0:
        return None
    # Behind the error comes the request's header, or nothing but attributes at the end of a dump.
    start = _ERROR.size + (HEADER.size if message.type == NLMSG_ERROR else 0)
    said = attributes(message.body, start) if message.flags & NLM_F_ACK_TLVS else {}
    words = said.get(_NLMSGERR_ATTR_MSG, b"").rstrip(b"\0").decode(errors="replace")
    return KernelError(code, words and f"{words} ({os.strerror(code)})")
