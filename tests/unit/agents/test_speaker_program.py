"""The speaker program over a store and speakers in memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from agents.boot import boot_id
from agents.speaker.program import AlreadyRunning, Settings, SpeakerProgram
from bgp.adj_rib_in import Path as ImportedPath
from bgp.fsm import State
from bgp.speaker import SessionReport
from intent.routes import Route, RouteKey
from lab.wait import NotInTime, wait_until
from store import keys
from store.client import Delete, Put
from store.codec import decode, encode
from store.memory import MemoryStore
from store.model import Advertised, Imported, Node, Peer, Ready, Session, Value
from tests.support.cluster import BLOCK, NODE, advertised, block, peer, pool, ready
from tests.support.drivers import DictDriver
from tests.support.speakers import SINCE, UP, MemorySpeaker, Speakers

SOON_S = 5.0
QUIET_S = 0.2
"""Long enough for a report that must not come."""
LOCAL = {"local_address": "10.0.1.1"}


class Running:
    """A program that runs, its store, and the speakers that it made."""

    def __init__(self, run_dir: Path) -> None:
        self.store = MemoryStore()
        self.speakers = Speakers()
        self.routes = DictDriver[RouteKey, Route]()
        self._settings = Settings(NODE, run_dir)
        self._program: SpeakerProgram | None = None
        self._thread = threading.Thread()

    def put(self, *values: Value) -> None:
        self.store.txn((), [Put(key_of(value), encode(value)) for value in values])

    def delete(self, value: Value) -> None:
        self.store.txn((), [Delete(key_of(value))])

    def start(self) -> None:
        self._program = SpeakerProgram(self._settings, self.store, self.speakers, self.routes)
        self._program.start()
        self._thread = threading.Thread(target=self._program.run)
        self._thread.start()

    def stop(self) -> None:
        if self._program is not None:
            self._program.stop()
            self._thread.join(SOON_S)
        self._program = None

    def speaker(self, name: str = "tor-a") -> MemorySpeaker:
        return wait_until(lambda: self.speakers.of.get(name), SOON_S, f"a speaker of {name}")

    def announced(self) -> dict[str, tuple[str, ...]]:
        items = self.store.range(keys.ADVERTISED.prefix(NODE)).items
        made = [decode(Advertised, item.value) for item in items]
        return {str(one.prefix): one.peers for one in made}

    def announced_are(self, **expected: tuple[str, ...]) -> None:
        wanted = {name.strip("_"): peers for name, peers in expected.items()}
        wait_until(self.announced, SOON_S, "the reports", good=wanted.__eq__)

    def sessions(self) -> dict[str, Session]:
        items = self.store.range(keys.SESSIONS.prefix(NODE)).items
        made = [decode(Session, item.value) for item in items]
        return {one.peer: one for one in made}


def key_of(value: Value) -> str:
    match value:
        case Node():
            return keys.NODES.key(value.name)
        case Peer():
            return keys.PEERS.key(value.name)
        case Advertised():
            return keys.ADVERTISED.key(NODE, value.prefix)
    name = type(value).__name__
    kind = {"Pool": keys.POOLS, "Block": keys.NODE_BLOCKS, "Ready": keys.READY}[name]
    parts = {"Pool": ("name",), "Block": ("node", "cidr"), "Ready": ("node", "prefix")}[name]
    return kind.key(*(getattr(value, part) for part in parts))


def tor(name: str = "tor-a", address: str = "10.0.1.0") -> Peer:
    return Peer.model_validate({**peer(name, address).model_dump(), **LOCAL})


NODE_RECORD = Node(name=NODE, asn=64511)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Running]:
    made = Running(tmp_path)
    yield made
    made.stop()


def usual(program: Running) -> None:
    """A node with one peer and one block that is ready, all reported."""
    program.put(NODE_RECORD, pool(), tor(), block(), ready(str(BLOCK), boot_id()))
    program.start()
    program.announced_are(**{str(BLOCK): ("tor-a",)})
    wait_until(program.sessions, SOON_S, "the session")


def test_what_is_ready_is_announced_and_reported(program: Running) -> None:
    usual(program)
    session = wait_until(
        lambda: program.sessions().get("tor-a"), SOON_S, "its count", good=lambda now: now.advertised == 1
    )
    assert (session.state, session.since) == ("ESTABLISHED", SINCE)


def test_a_report_goes_only_when_the_withdrawal_was_acknowledged(program: Running) -> None:
    usual(program)
    speaker = program.speaker()
    speaker.slow = True
    program.delete(ready(str(BLOCK)))
    program.put(tor("tor-b", "10.0.2.0"))
    wait_until(lambda: "tor-b" in program.sessions(), SOON_S, "a pass behind the deletion")
    assert program.announced() == {str(BLOCK): ("tor-a",)}
    speaker.acknowledge(())
    program.announced_are()


def test_another_boots_readiness_is_none(program: Running) -> None:
    usual(program)
    program.put(ready(str(BLOCK), "before"))
    program.announced_are()


def test_a_node_that_is_not_registered_is_waited_for(
    program: Running, caplog: pytest.LogCaptureFixture
) -> None:
    program.put(pool(), tor(), block(), ready(str(BLOCK), boot_id()))
    program.start()
    wait_until(lambda: f"polder node create {NODE} --asn ASN" in caplog.text, SOON_S, "the warning")
    assert program.speakers.journal == []
    program.put(NODE_RECORD)
    program.announced_are(**{str(BLOCK): ("tor-a",)})


def test_a_lost_node_record_withdraws_nothing(program: Running, caplog: pytest.LogCaptureFixture) -> None:
    usual(program)
    program.store.txn((), [Delete(key_of(NODE_RECORD)), Delete(key_of(tor()))])
    wait_until(lambda: "not registered" in caplog.text, SOON_S, "the warning")
    assert program.announced() == {str(BLOCK): ("tor-a",)}
    assert program.speakers.journal == ["start tor-a"]


def test_a_restart_that_finds_everything_right_writes_nothing(program: Running) -> None:
    usual(program)
    program.stop()
    before = program.store.range(keys.node_prefix(NODE)).items, program.sessions()
    program.start()
    wait_until(
        lambda: program.speakers.journal.count("start tor-a"), SOON_S, "the second life", good=(2).__eq__
    )
    program.stop()
    assert (program.store.range(keys.node_prefix(NODE)).items, program.sessions()) == before


def test_nothing_is_reported_while_nothing_is_known(program: Running) -> None:
    program.put(NODE_RECORD, pool(), tor(), block(), ready(str(BLOCK), boot_id()), advertised("10.9.9.9/32"))
    made, silent = program.speakers, []

    class Silent(Speakers):
        def __call__(self, *args: object, **options: object) -> MemorySpeaker:
            speaker = made(*args, **options)
            speaker.state = None
            silent.append(speaker)
            return speaker

    program.speakers = Silent()
    program.start()
    wait_until(lambda: silent, SOON_S, "the speaker")
    [speaker] = silent
    wait_until(speaker.advertised, SOON_S, "the wish", good={BLOCK}.__eq__)
    with pytest.raises(NotInTime):
        wait_until(lambda: set(program.announced()) != {"10.9.9.9/32"}, QUIET_S, "nothing to be reported")
    speaker.become(UP)
    program.announced_are(**{str(BLOCK): ("tor-a",)})


def test_a_peer_that_leaves_holds_its_prefixes_until_it_has_left(program: Running) -> None:
    usual(program)
    speaker = program.speaker()
    speaker.leave.clear()
    program.delete(tor())
    wait_until(lambda: program.sessions() == {}, SOON_S, "the session to go")
    assert program.announced() == {str(BLOCK): ("tor-a",)}
    speaker.leave.set()
    program.announced_are()


def test_a_changed_peer_is_taken_over_with_what_it_holds(program: Running) -> None:
    usual(program)
    program.put(tor().model_copy(update={"hold_time_s": 30}))
    expected = ["start tor-a", "detach tor-a", "start tor-a"]
    wait_until(lambda: program.speakers.journal, SOON_S, "the new speaker", good=expected.__eq__)
    assert program.speaker().peer.hold_time_s == 30
    assert program.announced() == {str(BLOCK): ("tor-a",)}


def test_a_session_that_cannot_be_configured_says_why(program: Running) -> None:
    program.put(NODE_RECORD, pool(), tor().model_copy(update={"local_address": tor().address}))
    program.start()
    session = wait_until(lambda: program.sessions().get("tor-a"), SOON_S, "the report")
    assert session.state == "IDLE"
    assert "own address" in session.reason


def test_a_session_that_loses_its_configuration_is_left_as_it_is(program: Running) -> None:
    usual(program)
    program.put(tor().model_copy(update={"local_address": tor().address}))
    program.put(tor("tor-b", "10.0.2.0"))
    wait_until(lambda: "tor-b" in program.sessions(), SOON_S, "a pass behind the change")
    assert "decommission tor-a" not in program.speakers.journal
    assert str(BLOCK) in program.announced()
    session = program.sessions()["tor-a"]
    assert (session.state, session.reason[:35]) == ("ESTABLISHED", "goes on as it was configured before")
    assert "own address" in session.reason
    program.put(tor())
    wait_until(lambda: program.sessions()["tor-a"].reason, SOON_S, "all to be well", good="".__eq__)


def test_a_change_of_state_is_reported_and_that_the_host_lacks_the_local_address(program: Running) -> None:
    usual(program)
    program.speaker().become(SessionReport(State.IDLE, SINCE, "why"))
    expected = f"why; this node has no address {LOCAL['local_address']} to speak from"
    wait_until(lambda: program.sessions()["tor-a"].reason, SOON_S, "the reason", good=expected.__eq__)


def test_the_history_of_a_session_outlives_the_program_and_a_change_of_the_peer(program: Running) -> None:
    usual(program)
    program.speaker().become(SessionReport(State.IDLE, SINCE + timedelta(seconds=9), "why"))
    wait_until(lambda: program.sessions()["tor-a"].flaps, SOON_S, "the flap")
    program.stop()
    del program.speakers.of["tor-a"]
    program.start()
    again = SessionReport(State.ESTABLISHED, SINCE + timedelta(seconds=20))
    program.speaker().become(again)
    wait_until(lambda: program.sessions()["tor-a"].since, SOON_S, "the session", good=again.since.__eq__)
    program.put(tor().model_copy(update={"hold_time_s": 30}))
    expected = ["detach tor-a", "start tor-a"]
    wait_until(lambda: program.speakers.journal[-2:], SOON_S, "the new speaker", good=expected.__eq__)
    program.speaker().become(SessionReport(State.IDLE, SINCE + timedelta(seconds=30), "why else"))
    session = wait_until(
        lambda: program.sessions()["tor-a"], SOON_S, "two flaps", good=lambda now: now.flaps == 2
    )
    assert [each.reason for each in session.transitions if each.state == "IDLE"] == ["why", "why else"]


def test_a_session_that_cannot_be_configured_is_no_other_one_after_a_restart(program: Running) -> None:
    program.put(NODE_RECORD, pool(), tor().model_copy(update={"local_address": tor().address}))
    program.start()
    before = wait_until(lambda: program.sessions().get("tor-a"), SOON_S, "the report")
    program.stop()
    program.start()
    program.put(tor("tor-b", "10.0.2.0"))
    wait_until(lambda: "tor-b" in program.sessions(), SOON_S, "a pass behind the restart")
    assert program.sessions()["tor-a"] == before


def test_what_no_pool_has_is_never_announced_and_is_told(program: Running) -> None:
    usual(program)
    program.put(block("10.0.0.0/8"), ready("10.0.0.0/8", boot_id()), block("10.64.1.0/26"))
    program.put(ready("10.64.1.0/26", boot_id()))
    both = {str(BLOCK): ("tor-a",), "10.64.1.0/26": ("tor-a",)}
    wait_until(program.announced, SOON_S, "the other block", good=both.__eq__)
    session = wait_until(
        lambda: program.sessions()["tor-a"], SOON_S, "the count", good=lambda now: now.guarded == 1
    )
    assert session.guarded_why == "10.0.0.0/8: shorter than pool default"
    assert session.guarded_since is not None
    program.stop()
    program.start()
    program.put(tor("tor-b", "10.0.2.0"))
    wait_until(lambda: "tor-b" in program.sessions(), SOON_S, "the second life")
    assert program.sessions()["tor-a"].guarded_since == session.guarded_since
    program.delete(block("10.0.0.0/8"))
    wait_until(lambda: program.sessions()["tor-a"].guarded_why, SOON_S, "the end", good="".__eq__)
    over = program.sessions()["tor-a"].guarded_since
    assert over is not None
    assert over > session.guarded_since


def test_a_limit_that_is_reached_takes_nothing_away(program: Running) -> None:
    program.put(NODE_RECORD, pool(), tor().model_copy(update={"max_prefixes": 1}))
    program.put(block("10.64.9.0/26"), ready("10.64.9.0/26", boot_id()))
    program.start()
    held = {"10.64.9.0/26": ("tor-a",)}
    wait_until(program.announced, SOON_S, "the block", good=held.__eq__)
    program.put(block(), ready(str(BLOCK), boot_id()))
    wait_until(lambda: program.sessions()["tor-a"].guarded, SOON_S, "the other to be kept", good=(1).__eq__)
    assert program.announced() == held
    program.stop()
    program.start()
    program.put(tor("tor-b", "10.0.2.0"))
    more = {"10.64.9.0/26": ("tor-a", "tor-b"), str(BLOCK): ("tor-b",)}
    wait_until(program.announced, SOON_S, "the second life", good=more.__eq__)


DEFAULT = ip_network("0.0.0.0/0")
TOR_A, TOR_B = ip_address("10.0.1.0"), ip_address("10.0.2.0")


def importing(name: str = "tor-a", address: str = "10.0.1.0") -> Peer:
    return Peer.model_validate({**tor(name, address).model_dump(), "imports": ["default-route"]})


def via(program: Running, *gateways: object) -> None:
    """Wait until the kernel's default route is by way of these; there is none without any."""
    expected = {route.key: route for route in [Route(DEFAULT, gateways=gateways)] if gateways}
    wait_until(lambda: dict(program.routes.held), SOON_S, "the routes", good=expected.__eq__)


def imported(program: Running) -> list[Imported]:
    items = program.store.range(keys.IMPORTED.prefix(NODE)).items
    return [decode(Imported, item.value) for item in items]


def two_defaults(program: Running) -> None:
    """A node that has taken a default route from both of its ToRs."""
    program.put(NODE_RECORD, importing(), importing("tor-b", "10.0.2.0"))
    program.start()
    program.speaker("tor-a").take({DEFAULT: ImportedPath(TOR_A, (64501,))})
    program.speaker("tor-b").take({DEFAULT: ImportedPath(TOR_B, (64502,))})
    via(program, TOR_A, TOR_B)


def test_what_is_taken_is_one_route_over_both_routers(program: Running) -> None:
    two_defaults(program)
    assert program.speaker().peer.imports == (DEFAULT,)
    [made] = wait_until(
        lambda: imported(program), SOON_S, "the report", good=lambda now: now and len(now[0].paths) == 2
    )
    assert [(path.peer, path.next_hop, path.used) for path in made.paths] == [
        ("tor-a", TOR_A, True),
        ("tor-b", TOR_B, True),
    ]
    program.speaker("tor-a").take({})
    via(program, TOR_B)
    program.speaker("tor-b").take({})
    via(program)
    wait_until(lambda: imported(program), SOON_S, "the report to go", good=[].__eq__)


def test_with_the_store_away_a_router_is_left_all_the_same(program: Running) -> None:
    two_defaults(program)
    program.store.set_available(False)
    program.speaker("tor-a").take({})
    via(program, TOR_B)
    program.store.set_available(True)


def test_a_restart_touches_no_imported_route(program: Running) -> None:
    two_defaults(program)
    wait_until(lambda: [len(one.paths) for one in imported(program)], SOON_S, "the report", good=[2].__eq__)
    before = list(program.routes.journal)
    program.stop()
    program.speakers.of.clear()
    program.start()
    assert program.speaker("tor-a").imported() == {DEFAULT: ImportedPath(TOR_A, (64501,))}
    program.put(tor("tor-c", "10.0.3.0"))
    wait_until(lambda: "tor-c" in program.sessions(), SOON_S, "a pass behind the change")
    assert program.routes.journal == before


def test_a_peer_that_leaves_takes_its_route_along(program: Running) -> None:
    two_defaults(program)
    program.delete(importing())
    via(program, TOR_B)


def test_a_refused_route_is_told_and_stops_nothing(program: Running) -> None:
    program.routes.refuse.add(RouteKey(DEFAULT))
    program.put(NODE_RECORD, importing())
    program.start()
    program.speaker().take({DEFAULT: ImportedPath(TOR_A, (64501,))})
    [made] = wait_until(lambda: imported(program), SOON_S, "the report")
    assert made.reason == f"the kernel does not reach {TOR_A}: is it on a link of the node?"
    assert not made.paths[0].used
    program.speaker().become(replace(UP, reason="next pass"))
    wait_until(lambda: program.sessions()["tor-a"].reason, SOON_S, "the reason", good="next pass".__eq__)


def test_with_the_store_away_everything_stays(program: Running) -> None:
    usual(program)
    program.store.set_available(False)
    program.speaker().become(replace(UP, reason="still up"))
    program.store.set_available(True)
    wait_until(lambda: program.sessions()["tor-a"].reason, SOON_S, "the reason", good="still up".__eq__)
    assert program.speakers.journal == ["start tor-a"]
    assert program.speaker().advertised() == {ip_network(str(BLOCK))}


def test_a_second_program_on_the_same_directory_is_refused(program: Running, tmp_path: Path) -> None:
    usual(program)
    second = SpeakerProgram(Settings(NODE, tmp_path), MemoryStore(), Speakers(), program.routes)
    with pytest.raises(AlreadyRunning, match="stop it first"):
        second.start()


def test_it_lives_under_a_lease(program: Running) -> None:
    usual(program)
    [alive] = wait_until(lambda: program.store.range(keys.ALIVE.prefix(NODE)).items, SOON_S, "the lease")
    assert alive.lease_id
    program.stop()
    assert program.store.range(keys.ALIVE.prefix(NODE)).items == ()


def test_an_edge_announces_for_all_nodes(program: Running) -> None:
    """First it is no edge, which its session says; then it is, and again it is not."""
    spine = Peer.model_validate({**tor("spine", "10.0.1.9").model_dump(), "announces": "all"})
    other = ip_network("10.64.1.0/26")
    usual(program)
    program.put(
        spine,
        Node.model_validate({"name": "node-2", "asn": 64512, "next_hops": ["10.0.2.2"]}),
        block(str(other), "node-2"),
        Ready(prefix=other, node="node-2", boot_id="theirs"),
    )
    refused = wait_until(lambda: program.sessions().get("spine"), SOON_S, "its session")
    assert "node node-1 is no edge: polder node set node-1 --edge" in refused.reason
    program.put(NODE_RECORD.model_copy(update={"edge": True}))
    program.announced_are(**{str(BLOCK): ("spine", "tor-a"), str(other): ("spine",)})
    program.put(NODE_RECORD)
    program.announced_are(**{str(BLOCK): ("tor-a",)})
