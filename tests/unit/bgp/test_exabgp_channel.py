"""The channel against a scripted bridge: answers, what comes in between, and silence."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from ipaddress import ip_address, ip_network
from itertools import count
from pathlib import Path

import pytest

from bgp.adj_rib_out import Attributes
from bgp.exabgp.channel import WINDOW, Busy, Channel, ChannelLost, Hung, Reply
from bgp.exabgp.events import Marked, Neighbor, Route, SessionEvent
from bgp.exabgp.watchdog import Patience
from bgp.fsm import Heard
from lab.wait import wait_until
from tests.unit.bgp.test_exabgp_events import AT, HEAD, NEIGHBOR, ROUTE

PATIENCE_S = 5.0
UP = HEAD % ("state", '"state": "up"')
DOWN = HEAD % ("state", '"state": "down", "reason": "notification sent (4,0)"')

Script = Callable[["Bridge"], None]


class Bridge:
    """The far end of a channel, which does what a script says in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread()

    def play(self, script: Script) -> None:
        def run() -> None:
            self._client, _ = self._listener.accept()
            self._client.settimeout(PATIENCE_S)
            self._file = self._client.makefile("rb")
            script(self)

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def say(self, *lines: str) -> None:
        """Say lines in one piece."""
        self._client.sendall("".join(f"{line}\n" for line in lines).encode())

    def hear(self) -> str:
        return self._file.readline().decode().rstrip("\n")

    def hang_up(self) -> None:
        self._file.close()
        self._client.close()

    def end(self) -> None:
        self._thread.join(PATIENCE_S)
        if hasattr(self, "_client"):
            self.hang_up()
        self._listener.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bridge.sock"


@pytest.fixture
def bridge(path: Path) -> Iterator[Bridge]:
    made = Bridge(path)
    yield made
    made.end()


def connect(path: Path, answer_s: float = PATIENCE_S) -> Channel:
    return Channel(path, Patience(answer_s, answer_s))


def test_a_session_that_changed_before_an_answer_is_told(bridge: Bridge, path: Path) -> None:
    def script(far: Bridge) -> None:
        far.say("ready")
        far.hear()
        far.say("done")
        far.hear()
        far.say(UP, "done", DOWN)

    bridge.play(script)
    with closing(connect(path)) as channel:
        channel.ask(["one"])
        assert not channel.session_changed
        channel.ask(["two"])
        assert channel.session_changed
        channel.events()
        assert not channel.session_changed


def test_the_greeting_is_what_happened_before(bridge: Bridge, path: Path) -> None:
    bridge.play(lambda far: far.say(UP, "marked", "ready"))
    channel = connect(path)
    assert channel.pending
    assert channel.events() == [SessionEvent(Heard.UP, AT), Marked()]
    assert not channel.pending
    channel.close()


def test_each_command_has_its_answer_and_what_was_shown(bridge: Bridge, path: Path) -> None:
    def script(far: Bridge) -> None:
        far.say("ready")
        assert [far.hear() for _ in range(3)] == ["one", "two", "three"]
        far.say("done", ROUTE % "{}", ROUTE % "{}", "done", "error")

    bridge.play(script)
    channel = connect(path)
    route = Route(ip_network("10.64.0.0/26"), Attributes(ip_address("10.9.0.1")))
    assert channel.ask(["one", "two", "three"]) == [Reply(True), Reply(True, (route, route)), Reply(False)]
    assert channel.ask([]) == []
    channel.close()


@pytest.mark.parametrize("place", [0, 1, 2])
def test_an_event_between_answers_is_kept_and_known_to_be_there(
    bridge: Bridge, path: Path, place: int
) -> None:
    """It was read with the answers: nobody would ever be woken for it by the descriptor."""
    lines = [NEIGHBOR % ("down", "IDLE"), "done"]
    lines.insert(place, UP)

    def script(far: Bridge) -> None:
        far.say("ready")
        far.hear()
        far.say(*lines)

    bridge.play(script)
    channel = connect(path)
    assert channel.ask(["show"]) == [Reply(True, (Neighbor(False, 7, 4),))]
    assert channel.pending
    assert channel.events() == [SessionEvent(Heard.UP, AT)]
    channel.close()


def test_only_so_many_commands_are_under_way(bridge: Bridge, path: Path) -> None:
    def script(far: Bridge) -> None:
        far.say("ready")
        for number in range(3 * WINDOW):
            assert far.hear() == str(number)
            if number >= WINDOW - 1:
                far.say("done")
        far.say(*["done"] * (WINDOW - 1))

    bridge.play(script)
    channel = connect(path)
    assert len(channel.ask([str(number) for number in range(3 * WINDOW)])) == 3 * WINDOW
    channel.close()


def test_events_come_in_their_order(bridge: Bridge, path: Path) -> None:
    bridge.play(lambda far: far.say("ready", DOWN, UP, "a line of text"))
    channel = connect(path)
    heard = channel.events()
    assert [event.heard for event in heard if isinstance(event, SessionEvent)] == [Heard.DOWN, Heard.UP]
    channel.close()


def test_nobody_listens(path: Path) -> None:
    with pytest.raises(ChannelLost, match="No such file"):
        connect(path)


def test_somebody_else_is_served(bridge: Bridge, path: Path) -> None:
    bridge.play(lambda far: far.say("busy"))
    with pytest.raises(Busy):
        connect(path)


def test_no_greeting_is_a_hung_exabgp(bridge: Bridge, path: Path) -> None:
    bridge.play(lambda _far: None)
    with pytest.raises(Hung):
        connect(path, answer_s=0.05)


def test_no_answer_is_a_hung_exabgp(bridge: Bridge, path: Path) -> None:
    bridge.play(lambda far: far.say("ready"))
    channel = connect(path, answer_s=0.05)
    with pytest.raises(Hung, match="no answer"):
        channel.ask(["one"])
    channel.close()


def test_a_process_that_computes_may_take_its_time(bridge: Bridge, path: Path) -> None:
    computed_s = count(1.0)

    def script(far: Bridge) -> None:
        far.say("ready")
        far.hear()
        wait_until(lambda: next(computed_s) > 30, PATIENCE_S, "a silence of many times 0.05 s")
        far.say("done")

    bridge.play(script)
    channel = Channel(path, Patience(0.05, PATIENCE_S, lambda: next(computed_s)))
    assert channel.ask(["one"]) == [Reply(True)]
    channel.close()


def test_a_bridge_that_goes_is_a_lost_channel(bridge: Bridge, path: Path) -> None:
    def script(far: Bridge) -> None:
        far.say("ready")
        far.hear()
        far.hang_up()

    bridge.play(script)
    channel = connect(path)
    with pytest.raises(ChannelLost):
        channel.ask(["one"])
    with pytest.raises(ChannelLost):
        channel.events()
    channel.close()
