"""Framing and matching of requests with replies, over a socket pair."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from openflow import channel as module
from openflow.channel import ECHO_REPLY, ECHO_REQUEST, ERROR, HEADER, MULTIPART_REPLY, Channel, Message
from openflow.errors import Disconnected

VERSION = 5
BARRIER_REQUEST, BARRIER_REPLY = 20, 21


def message(kind: int, xid: int, payload: bytes = b"") -> bytes:
    return HEADER.pack(VERSION, kind, HEADER.size + len(payload), xid) + payload


def part(xid: int, *, more: bool) -> bytes:
    return message(MULTIPART_REPLY, xid, bytes([0, 1, 0, int(more), 0, 0, 0, 0]))


class Peer:
    """The other end, which the test plays."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.stream = connection.makefile("rb")

    def read(self) -> Message:
        header = self.stream.read(HEADER.size)
        version, kind, length, xid = HEADER.unpack(header)
        return Message(version, kind, xid, header + self.stream.read(length - HEADER.size))

    def say(self, *data: bytes) -> None:
        self.connection.sendall(b"".join(data))


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Peer]]:
    """A channel that is being served, and its peer."""
    ours, theirs = _connected()
    channel, peer = Channel(ours, VERSION), Peer(theirs)
    thread = threading.Thread(target=channel.serve)
    thread.start()
    yield channel, peer
    channel.close()
    thread.join()
    channel.release()
    peer.stream.close()
    theirs.close()


def _connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    theirs.settimeout(5)
    return ours, theirs


def requests(count: int) -> Callable[[int], list[bytes]]:
    return lambda xid: [message(BARRIER_REQUEST, xid + place) for place in range(count)]


def play(peer: Peer, count: int, *answers: Callable[[int], bytes]) -> None:
    """Read some requests, then give the answers, each made from the last request's xid."""
    last = [peer.read() for _ in range(count)][-1].xid
    for answer in answers:
        peer.say(answer(last))


def test_the_reply_to_the_last_request_ends_an_exchange(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    with ThreadPoolExecutor() as other:
        other.submit(
            play,
            peer,
            3,
            lambda xid: message(ERROR, xid - 1, b"\0\0\0\0"),
            lambda xid: message(BARRIER_REPLY, 999_999),
            lambda xid: message(BARRIER_REPLY, xid),
        )
        replies = channel.exchange(requests(3), timeout_s=5)
    assert [reply.type for reply in replies] == [ERROR, BARRIER_REPLY]


def test_parts_are_collected_until_the_last(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    with ThreadPoolExecutor() as other:
        other.submit(
            play,
            peer,
            1,
            lambda x: part(x, more=True),
            lambda x: part(x, more=True),
            lambda x: part(x, more=False),
        )
        assert len(channel.exchange(requests(1), timeout_s=5)) == 3


def test_messages_may_arrive_in_any_pieces(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair

    def drip(xid: int) -> bytes:
        for byte in message(BARRIER_REPLY, xid, b"payload")[:-1]:
            peer.say(bytes([byte]))
        return b"d"

    with ThreadPoolExecutor() as other:
        other.submit(play, peer, 1, drip)
        (reply,) = channel.exchange(requests(1), timeout_s=5)
    assert reply.data.endswith(b"payload")


def test_exchanges_of_several_threads_do_not_mix(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    callers = 8

    def answer_all() -> None:
        for _ in range(callers):
            play(
                peer, 2, lambda xid: message(BARRIER_REPLY, xid - 1), lambda xid: message(BARRIER_REPLY, xid)
            )

    with ThreadPoolExecutor() as other:
        playing = other.submit(answer_all)
        asked = [other.submit(channel.exchange, requests(2), timeout_s=5) for _ in range(callers)]
        seen = [reply.xid for each in asked for reply in each.result()]
        playing.result()
    assert sorted(seen) == list(range(1, 2 * callers + 1))


def test_an_echo_is_answered_with_its_payload(pair: tuple[Channel, Peer]) -> None:
    _, peer = pair
    peer.say(message(ECHO_REQUEST, 7, b"ping"))
    assert peer.read() == Message(VERSION, ECHO_REPLY, 7, message(ECHO_REPLY, 7, b"ping"))


def test_a_lost_connection_ends_the_exchange(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    with ThreadPoolExecutor() as other:
        asked = other.submit(channel.exchange, requests(1), timeout_s=5)
        peer.read()
        peer.connection.shutdown(socket.SHUT_RDWR)
        with pytest.raises(Disconnected):
            asked.result()
    with pytest.raises(Disconnected):
        channel.exchange(requests(1), timeout_s=5)


def test_no_reply_ends_the_connection(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    with pytest.raises(Disconnected, match=r"no reply within 0\.05 s"):
        channel.exchange(requests(1), timeout_s=0.05)
    peer.read()
    assert peer.stream.read() == b"", "the connection was closed"


def test_a_message_shorter_than_its_header_ends_the_connection(pair: tuple[Channel, Peer]) -> None:
    _, peer = pair
    peer.say(HEADER.pack(VERSION, 0, 3, 1))
    assert peer.stream.read() == b""


def test_a_silent_peer_is_asked_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ECHO_INTERVAL_S", 0.01)
    ours, theirs = _connected()
    channel, peer = Channel(ours, VERSION), Peer(theirs)
    channel.serve()
    channel.release()
    heard = [peer.read().type for _ in range(module.MAX_UNREPLIED_ECHOS + 1)]
    assert heard == [ECHO_REQUEST] * (module.MAX_UNREPLIED_ECHOS + 1)
    assert peer.stream.read() == b""
    peer.stream.close()
    theirs.close()


def test_xids_wrap_and_are_never_those_of_unasked_messages(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    channel._next_xid = module.LAST_XID
    with ThreadPoolExecutor() as other:
        for wanted in (module.LAST_XID + 1, 2):
            other.submit(play, peer, 2, lambda xid: message(BARRIER_REPLY, xid))
            (reply,) = channel.exchange(requests(2), timeout_s=5)
            assert reply.xid == wanted
