"""Make before break: what is written with a move, and when the duty tells the old node to go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from controller.app import create_app
from controller.ipam.arrival import Stage
from controller.moves import DIRECT_SETTLE_S, SETTLE_S, Moves
from controller.parts import Parts
from controller.reading import put, read
from store import keys
from store.client import Delete
from store.memory import MemoryStore
from store.model import (
    Advertised,
    Alive,
    Attachment,
    Endpoint,
    HeldEndpoint,
    Holding,
    Move,
    Program,
    Ready,
    host_prefix,
)
from tests.support.client import client_of
from tests.support.ipam import check
from tests.unit.controller.conftest import NOW, Api, Clock

NODES = ("node-1", "node-2", "node-3")


@dataclass(frozen=True)
class Site(Api):
    """Three nodes that live, an endpoint that node-1 holds, a clock, and the duty of moves."""

    now: list[float] = field(default_factory=lambda: [0.0])
    off_s: list[float] = field(default_factory=lambda: [0.0])
    """By how much the time of day of the controller that is asked is off."""
    duty: list[Moves] = field(default_factory=list)

    def take_up(self) -> None:
        """Another controller gets the duty."""
        self.duty[:] = [Moves(self.store, self.parts.events, lambda: self.now[0])]

    def look(self, after_s: float = 0) -> str:
        """Let time pass, and the duty look once; the stage then, `over` when nothing is under way."""
        self.now[0] += after_s
        self.duty[0].look()
        check(self.store)
        return self.stage()

    def stage(self) -> str:
        answer = self.client.get("/v1/endpoints/web/move")
        return answer.json["stage"] if answer.status_code == 200 else "over"

    def move(self, node: str, **query: int) -> None:
        asked = "&".join(f"{name}={value}" for name, value in query.items())
        answer = self.send("PATCH", f"/v1/endpoints/web?{asked}", {"node": node})
        assert answer.status_code == 200, answer.text

    def record(self) -> Endpoint:
        found = read(self.store, keys.ENDPOINTS, "web")
        assert found is not None
        return found.value

    def attach(self, node: str, boot_id: str = "boot") -> None:
        held = Attachment(
            endpoint="web",
            node=node,
            addresses=self.record().addresses,
            netns="/run/netns/web",
            ifname="eth0",
            boot_id=boot_id,
        )
        self.store.txn((), (put(keys.ATTACHMENTS, held, node, "web"),))

    def let_go(self, node: str) -> None:
        self.store.txn((), (Delete(keys.ATTACHMENTS.key(node, "web")),))

    def say(self, kind: keys.Kind[Ready] | keys.Kind[Advertised], node: str, **fields: object) -> None:
        for address in self.record().addresses:
            value = kind.model.model_validate({"prefix": host_prefix(address), "node": node, **fields})
            self.store.txn((), (put(kind, value, node, value.prefix),))

    def ready(self, node: str, boot_id: str = "boot") -> None:
        self.say(keys.READY, node, boot_id=boot_id)

    def announce(self, node: str) -> None:
        self.say(keys.ADVERTISED, node, peers=["tor"])

    def told(self) -> dict[str, Move]:
        """What each node is told of moves."""
        found = {node: read(self.store, keys.NODE_MOVES, node, "web") for node in NODES}
        return {node: each.value for node, each in found.items() if each is not None}

    def events(self) -> list[str]:
        return [each["reason"] for each in self.get("/v1/events")["items"]]


@pytest.fixture
def site() -> Iterator[Site]:
    clock, store, now, off_s = Clock(), MemoryStore(), [0.0], [0.0]
    parts = Parts.build(store, lambda: NOW + timedelta(seconds=now[0] + off_s[0]))
    made = Site(client_of(create_app(store, parts=parts)), store, parts, clock, now, off_s)
    made.made("/v1/pools", {"name": "default", "cidr": "10.64.0.0/24", "block_prefixlen": 26})
    for number, name in enumerate(NODES, start=1):
        made.made("/v1/nodes", {"name": name, "asn": 64510 + number})
        live(made, name)
    made.made("/v1/peers", {"name": "tor", "address": "192.0.2.1", "asn": 64501})
    made.made("/v1/endpoints", {"id": "web", "node": "node-1"})
    made.attach("node-1")
    made.take_up()
    yield made
    parts.close()


def live(site: Site, node: str) -> None:
    alive = Alive(node=node, program=Program.AGENT, boot_id="boot", started=NOW)
    site.store.txn((), (put(keys.ALIVE, alive, node, Program.AGENT),))


def test_the_old_node_goes_when_the_new_one_announces(site: Site) -> None:
    site.move("node-2")
    assert set(site.told()) == {"node-1", "node-2"}
    assert site.told()["node-1"].source == "node-1"
    assert site.look() == Stage.WAITING
    site.attach("node-2")
    assert site.look(1) == Stage.ATTACHED
    site.ready("node-2", boot_id="before")
    assert site.look(1) == Stage.ATTACHED, "what was ready before the last boot does not count"
    site.ready("node-2")
    assert site.look(1) == Stage.READY
    site.announce("node-2")
    assert site.look(1) == Stage.ANNOUNCED
    site.take_up()
    assert site.look(1) == Stage.ANNOUNCED, "a controller that takes it over looks anew"
    assert site.look(SETTLE_S[Stage.ANNOUNCED]) == "over"
    assert site.told() == {}
    assert site.events() == []


def test_what_becomes_of_an_endpoint_on_its_way_is_told_to_the_node_that_it_leaves(site: Site) -> None:
    site.move("node-2")
    begun = site.told()["node-1"]
    assert site.send("PATCH", "/v1/endpoints/web", {"labels": {"app": "db"}}).status_code == 200
    told = site.told()
    assert told["node-1"] == told["node-2"]
    assert told["node-1"].endpoint == begun.endpoint.model_copy(update={"labels": {"app": "db"}})
    assert site.look() == Stage.WAITING
    site.let_go("node-1")
    assert site.look() == "over"
    assert site.send("PATCH", "/v1/endpoints/web", {"labels": {}}).status_code == 200
    assert site.told() == {}


@pytest.mark.parametrize("arrived", [True, False])
def test_what_is_changed_by_the_very_move_is_told_as_well(site: Site, arrived: bool) -> None:
    """Also where the endpoint moves on: before it has arrived the first node delivers it still."""
    site.move("node-3")
    if arrived:
        site.attach("node-3")
    changed = {"labels": {"app": "db"}, "qos": {"egress_rate_kbps": 1000}}
    assert site.send("PATCH", "/v1/endpoints/web", {"node": "node-2", **changed}).status_code == 200
    leaves = "node-3" if arrived else "node-1"
    assert set(site.told()) == {leaves, "node-2"}
    assert site.told()[leaves].endpoint == site.record().model_copy(update={"node": leaves})
    assert site.record().labels == {"app": "db"}


@pytest.mark.parametrize(
    ("advertise", "home", "away"),
    [
        ("block", Stage.ANNOUNCED, Stage.READY),
        ("host", Stage.READY, Stage.READY),
        ("none", Stage.ANNOUNCED, Stage.ANNOUNCED),
    ],
)
def test_what_needs_no_announcement_of_its_own(site: Site, advertise: str, home: Stage, away: Stage) -> None:
    """In a pool of blocks what comes home to its block needs none."""
    assert site.send("PATCH", "/v1/pools/default", {"advertise": advertise}).status_code == 200
    site.move("node-2")
    site.attach("node-2")
    site.ready("node-2")
    assert site.look() == away
    site.let_go("node-1")
    site.look()
    site.move("node-1")
    site.attach("node-1")
    site.ready("node-1")
    assert site.look() == home


@pytest.mark.parametrize("how", ["edge", "no peer"])
def test_where_it_is_not_known_what_is_announced_it_takes_longer(site: Site, how: str) -> None:
    if how == "edge":
        site.made("/v1/peers", {"name": "spine", "address": "192.0.2.9", "asn": 64502, "announces": "all"})
    else:
        site.send("DELETE", "/v1/peers/tor")
    site.move("node-2")
    site.attach("node-2")
    site.ready("node-2")
    assert site.look() == Stage.PRESUMED
    assert site.look(SETTLE_S[Stage.ANNOUNCED]) == Stage.PRESUMED
    assert site.look(SETTLE_S[Stage.PRESUMED]) == "over"


def test_where_others_send_to_it_directly_it_takes_longer(site: Site) -> None:
    site.send("PATCH", "/v1/nodes/node-1", {"direct": "rack", "next_hops": ["192.0.2.1"]})
    site.move("node-2")
    site.attach("node-2")
    site.ready("node-2")
    site.announce("node-2")
    assert site.look() == Stage.ANNOUNCED
    assert site.look(SETTLE_S[Stage.ANNOUNCED]) == Stage.ANNOUNCED
    assert site.look(DIRECT_SETTLE_S) == "over"


def test_it_does_not_wait_for_ever(site: Site) -> None:
    site.move("node-2", overlap_s=20)
    assert site.look() == Stage.WAITING
    assert site.send("PATCH", "/v1/endpoints/web", {"labels": {"app": "db"}}).status_code == 200
    assert site.look(19) == Stage.WAITING
    assert site.look(1) == "over"
    assert site.events() == ["move-late"]


@pytest.mark.parametrize("off_s", [-3600, 3600])
def test_the_clock_of_who_began_it_may_be_off(site: Site, off_s: int) -> None:
    """A move that was over at once would cut off what the new node does not deliver yet."""
    site.off_s[0] = off_s
    site.move("node-2", overlap_s=20)
    assert site.look() == Stage.WAITING
    assert site.look(19) == Stage.WAITING
    assert site.look(1) == "over"


@pytest.mark.parametrize("why", ["break first", "not held", "old node is down", "new node is down"])
def test_it_breaks_first_where_not_both_are_up(site: Site, why: str) -> None:
    match why:
        case "not held":
            site.let_go("node-1")
        case "old node is down" | "new node is down":
            down = "node-1" if "old" in why else "node-2"
            site.store.txn((), (Delete(keys.ALIVE.key(down, Program.AGENT)),))
    site.move("node-2", **({"overlap_s": 0} if why == "break first" else {}))
    assert site.told() == {}
    assert site.stage() == "over"
    check(site.store)


def test_the_old_node_may_let_go_by_itself(site: Site) -> None:
    site.move("node-2")
    site.let_go("node-1")
    assert site.look() == "over"


def test_a_move_on_keeps_who_delivers(site: Site) -> None:
    site.move("node-2")
    site.move("node-3")
    assert set(site.told()) == {"node-1", "node-3"}, "it never arrived at node-2"
    site.attach("node-3")
    site.move("node-2")
    assert set(site.told()) == {"node-3", "node-2"}
    assert site.told()["node-2"].source == "node-3"
    check(site.store)


def test_back_before_it_has_arrived_nothing_happens_at_all(site: Site) -> None:
    site.move("node-2")
    site.move("node-1")
    assert site.told() == {}
    check(site.store)


def test_what_is_deleted_on_the_way_is_taken_down_by_both(site: Site) -> None:
    site.move("node-2")
    site.attach("node-2")
    assert site.send("DELETE", "/v1/endpoints/web").status_code == 202
    assert site.look() == "over"
    for node in ("node-1", "node-2"):
        site.let_go(node)
    assert site.send("DELETE", "/v1/endpoints/web").status_code == 204
    check(site.store)


def test_a_move_of_an_assignment_before_is_forgotten(site: Site) -> None:
    site.move("node-2")
    site.let_go("node-1")
    assert site.send("DELETE", "/v1/endpoints/web").status_code == 204
    site.made("/v1/endpoints", {"id": "web", "node": "node-1"})
    assert site.stage() == "over"
    assert site.look() == "over"
    assert site.told() == {}


def test_a_check_of_the_addresses_does_not_complain_of_a_move(site: Site) -> None:
    record = site.record()
    held = HeldEndpoint(
        endpoint="web",
        uid=record.uid,
        mac=record.mac,
        addresses=record.addresses,
        netns="/run/netns/web",
        ifname="eth0",
    )
    holding = Holding(node="node-1", boot_id="boot", endpoints=(held,))
    site.store.txn((), (put(keys.HOLDING, holding, "node-1"),))
    site.move("node-2")
    assert site.get("/v1/addresses:check")["findings"] == []
    site.send("PATCH", "/v1/endpoints/web", {"node": "node-1"})
    site.move("node-2", overlap_s=0)
    assert [each["kind"] for each in site.get("/v1/addresses:check")["findings"]] == ["held-twice"]


def test_bad_input_is_refused_and_says_what_is_expected(site: Site) -> None:
    before = site.stored()
    for given in ("-1", "3601", "1.5", "soon", ""):
        answer = site.send("PATCH", f"/v1/endpoints/web?overlap_s={given}", {"node": "node-2"})
        assert answer.status_code == 422, given
        assert answer.json["errors"][0]["parameter"] == "overlap_s"
    assert site.send("GET", "/v1/endpoints/nobody/move").status_code == 404
    assert "is on node-1 alone" in site.send("GET", "/v1/endpoints/web/move").json["detail"]
    assert site.stored() == before
