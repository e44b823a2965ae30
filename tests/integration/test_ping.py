"""What the lab calls lost: an answer that never came, not one that came late."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from threading import Event, Thread, Timer

import pytest

from lab import netns
from lab.host import Host
from lab.lab import Lab
from lab.wait import wait_until

pytestmark = pytest.mark.needs("root", "ovs-vswitchd", "bgpd", "zebra", "sysctl")

LATE_S = 0.3
"""More than ping waits by itself for the last answer: twice the longest it has waited, or its interval."""
ADDRESS = "127.0.0.1"
QUIET = "net.ipv4.icmp_echo_ignore_all"
_HEADER = struct.Struct("!BBHHH")
"""Type, code, checksum, identifier, sequence number (RFC 792)."""
ECHO, REPLY = 8, 0
IP_BYTES = 20

Slow = Callable[[Callable[[int], float | None]], Host]
"""Makes a host that answers a request after so many seconds, by its sequence number; never for None."""


@pytest.fixture
def slow(fabric: Lab) -> Iterator[Slow]:
    host, running = fabric.container("slow"), ExitStack()

    def make(delay_s: Callable[[int], float | None]) -> Host:
        host.run("sysctl", "-qw", f"{QUIET}=1")
        running.enter_context(answering(host, delay_s))
        return host

    with running:
        yield make
    fabric.fabric.remove_container("slow")


@contextmanager
def answering(host: Host, delay_s: Callable[[int], float | None]) -> Iterator[None]:
    raw, ending = netns.within(host.netns, _opened), Event()
    due: list[Timer] = []

    def answer() -> None:
        while not ending.is_set():
            with suppress(TimeoutError):
                number, reply = _reply_to(raw.recv(2048)[IP_BYTES:])
                wait_s = delay_s(number) if number else None
                if wait_s == 0.0:
                    raw.send(reply)
                elif wait_s:
                    due.append(Timer(wait_s, raw.send, [reply]))
                    due[-1].start()

    thread = Thread(target=answer)
    thread.start()
    yield
    ending.set()
    for each in (thread, *due):
        each.join()
    raw.close()


def _opened() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    made.connect((ADDRESS, 0))
    made.settimeout(0.1)
    return made


def _reply_to(message: bytes) -> tuple[int, bytes]:
    """The sequence number of an echo request, and its answer; 0 of another message."""
    kind, _, checksum, identifier, number = _HEADER.unpack_from(message)
    # RFC 1624: what the type is less by, the checksum is more by
    total = checksum + ((ECHO - REPLY) << 8)
    head = _HEADER.pack(REPLY, 0, (total & 0xFFFF) + (total >> 16), identifier, number)
    return (number if kind == ECHO else 0), head + message[_HEADER.size :]


def test_an_answer_to_the_last_request_may_be_late(slow: Slow) -> None:
    report = slow(lambda number: LATE_S if number > 18 else 0.0).ping(ADDRESS, 20)
    assert (report.sent, report.lost) == (20, ())


@pytest.mark.parametrize("lost", [7, 20])
def test_one_that_never_comes_is_lost(slow: Slow, lost: int) -> None:
    report = slow(lambda number: None if number == lost else 0.0).ping(ADDRESS, 20)
    assert (report.sent, report.lost) == (20, (lost,))


def test_answers_that_are_on_their_way_as_it_is_stopped_are_waited_for(slow: Slow) -> None:
    """Several requests are sent before the first of them is answered."""
    host = slow(lambda number: None if number == 3 else LATE_S)
    ping = host.ping_background(ADDRESS)
    ping.wait_answers(5)
    report = ping.stop()
    assert report.lost == (3,)
    assert report.sent > 5 + LATE_S / 0.02 / 2
    assert ping.stop() == report


def test_the_silence_that_it_is_stopped_in_counts(slow: Slow) -> None:
    silent: list[int] = []

    def delay_s(number: int) -> float | None:
        if number <= 5:
            return 0.0
        silent.append(number)
        return None

    ping = slow(delay_s).ping_background(ADDRESS)
    wait_until(lambda: len(silent), 5, "some that are not answered", good=(5).__le__)
    report = ping.stop()
    assert report.lost == tuple(range(6, report.sent + 1))
    assert report.sent >= 9
