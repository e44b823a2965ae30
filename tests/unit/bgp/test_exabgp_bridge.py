"""The bridge between real pipes and real sockets; the test plays ExaBGP and its clients."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgp.exabgp import bridge
from bgp.exabgp.bridge import Bridge, listen

PATIENCE_S = 5.0
UP = b'{ "type": "state", "state": "up" }'
DOWN = b'{ "type": "state", "state": "down" }'
OPENED = b'{ "type": "open" }'
ENDED = [
    b'{ "type": "update", "message": { "eor": { "afi" : "%s", "safi" : "unicast" } } }' % family
    for family in (b"ipv4", b"ipv6")
]
UPDATE = b'{ "type": "update", "message": { "update": { } } }'
AGREED = b'{ "type": "negotiated" }'


class ExaBgp:
    """ExaBGP's ends of the pipes, with a bridge running between them and a socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._source, self._says = os.pipe()
        self._hears, self._sink = os.pipe()
        for descriptor in (self._source, self._sink):
            os.set_blocking(descriptor, False)
        self._listener = listen(str(path))
        self._heard = os.fdopen(self._hears, "rb")
        self.bridge = threading.Thread(target=Bridge(self._listener, self._source, self._sink).run)
        self.bridge.start()

    def say(self, *lines: bytes) -> None:
        for line in lines:
            os.write(self._says, line + b"\n")

    def hear(self) -> bytes:
        return self._heard.readline().rstrip(b"\n")

    def end(self) -> None:
        os.close(self._says)
        self.bridge.join(PATIENCE_S)
        self._heard.close()
        self._listener.close()
        for descriptor in (self._source, self._sink):
            os.close(descriptor)


class Client:
    """A client of the bridge."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))
        self._file = self.socket.makefile("rb")

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def hear(self) -> bytes:
        return self._file.readline().rstrip(b"\n")

    def close(self) -> None:
        self._file.close()
        self.socket.close()


@pytest.fixture
def exabgp(tmp_path: Path) -> Iterator[ExaBgp]:
    made = ExaBgp(tmp_path / "bridge.sock")
    yield made
    made.end()
    assert not made.bridge.is_alive()


@pytest.fixture
def client(exabgp: ExaBgp) -> Iterator[Client]:
    made = Client(exabgp.path)
    assert made.hear() == b"ready"
    yield made
    made.close()


def greeting(exabgp: ExaBgp) -> list[bytes]:
    """What a new client hears until `ready`."""
    made, heard = Client(exabgp.path), []
    while (line := made.hear()) not in {b"ready", b""}:
        heard.append(line)
    made.close()
    return heard


def say_unheard(exabgp: ExaBgp, *lines: bytes) -> None:
    """Say lines, and return when the bridge has read them."""
    exabgp.say(*lines)
    witness = Client(exabgp.path)
    while witness.hear() != b"ready":
        pass
    witness.say(b"witness\n")
    assert exabgp.hear() == b"witness"
    exabgp.say(b"done")
    assert witness.hear() == b"done"
    witness.close()


def test_lines_go_both_ways(exabgp: ExaBgp, client: Client) -> None:
    client.say(b"announce a\nann")
    assert exabgp.hear() == b"announce a"
    client.say(b"ounce b\n")
    assert exabgp.hear() == b"announce b"
    exabgp.say(b"done", UP, b"done")
    assert [client.hear() for _ in range(3)] == [b"done", UP, b"done"]


def test_the_socket_is_for_its_owner_only(exabgp: ExaBgp) -> None:
    assert stat.S_IMODE(exabgp.path.stat().st_mode) == 0o600


def test_a_socket_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "bridge.sock"
    listen(str(path)).close()
    left = path.stat().st_ctime_ns
    with contextlib.closing(listen(str(path))), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(path))
    assert path.stat().st_ctime_ns > left


@pytest.mark.parametrize(
    ("said", "remembered"),
    [
        ([], []),
        ([AGREED, UP], [AGREED, UP]),
        ([AGREED, UP, DOWN], [DOWN]),
        ([DOWN, AGREED, UP], [AGREED, UP]),
        ([OPENED, AGREED, UP, UPDATE, *reversed(ENDED)], [OPENED, AGREED, UP, *ENDED]),
        ([OPENED, AGREED, UP, *ENDED, DOWN], [OPENED, DOWN]),
    ],
)
def test_a_new_client_hears_the_state(exabgp: ExaBgp, said: list[bytes], remembered: list[bytes]) -> None:
    say_unheard(exabgp, *said)
    assert greeting(exabgp) == remembered


def test_end_of_rib_is_remembered_until_the_session_changes(exabgp: ExaBgp, client: Client) -> None:
    exabgp.say(UP)
    assert client.hear() == UP
    client.say(b"announce eor ipv4 unicast\n")
    assert exabgp.hear() == b"announce eor ipv4 unicast"
    exabgp.say(b"done")
    assert client.hear() == b"done"
    client.close()
    assert greeting(exabgp) == [UP, b"marked"]
    say_unheard(exabgp, DOWN)
    assert greeting(exabgp) == [DOWN]


def test_half_a_command_of_a_client_that_went_is_dropped(exabgp: ExaBgp, client: Client) -> None:
    client.say(b"announce a\nannounce half")
    assert exabgp.hear() == b"announce a"
    client.close()
    exabgp.say(b"done")
    second = Client(exabgp.path)
    assert second.hear() == b"ready"
    second.say(b"withdraw b\n")
    assert exabgp.hear() == b"withdraw b"
    second.close()


def test_answers_to_a_client_that_went_are_not_the_next_ones(exabgp: ExaBgp, client: Client) -> None:
    client.say(b"one\ntwo\n")
    assert (exabgp.hear(), exabgp.hear()) == (b"one", b"two")
    client.close()
    second = Client(exabgp.path)
    second.say(b"three\n")
    exabgp.say(b"shown for one", b"done", b"error")
    assert second.hear() == b"ready"
    assert exabgp.hear() == b"three"
    exabgp.say(b"done")
    assert second.hear() == b"done"
    second.close()


def test_a_second_client_is_told_busy_and_the_first_goes_on(exabgp: ExaBgp, client: Client) -> None:
    second = Client(exabgp.path)
    assert (second.hear(), second.hear()) == (b"busy", b"")
    second.close()
    client.say(b"one\n")
    assert exabgp.hear() == b"one"


def test_exabgp_is_read_although_the_client_does_not_read(
    exabgp: ExaBgp, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "TO_CLIENT_BYTES", 100_000)
    line = b"x" * 1000
    exabgp.say(*[line] * 2000)  # far more than pipe and socket hold: it blocks if nobody reads
    while heard := client.hear():  # what was sent before the bridge let go of this client, if anything was
        assert heard == line


def test_a_client_that_never_ends_its_line_is_dropped(
    exabgp: ExaBgp, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "LINE_BYTES", 1000)
    client.say(b"x" * 2000)
    assert client.hear() == b""
    assert greeting(exabgp) == []


def test_many_commands_arrive_whole(exabgp: ExaBgp, client: Client) -> None:
    lines = [b"announce %d " % number + b"y" * 1000 for number in range(1000)]
    sender = threading.Thread(target=client.say, args=(b"\n".join(lines) + b"\n",))
    sender.start()
    assert [exabgp.hear() for _ in lines] == lines
    sender.join(PATIENCE_S)


def test_what_a_client_did_not_read_is_not_for_the_next_one(exabgp: ExaBgp, client: Client) -> None:
    for _ in range(1000):  # more than the socket takes
        exabgp.say(UPDATE + b" " * 500)
    client.close()
    assert greeting(exabgp) == []
