"""Draining: asked for once or twice, moved on by the duty, and ended by people or by time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_network

import pytest

from controller.app import create_app
from controller.draining import Drains
from controller.epoch import asked_anew, fresh_cluster
from controller.parts import Parts
from controller.pulse import STILL_S
from controller.reading import put
from store import keys
from store.client import Delete, Put
from store.memory import MemoryStore
from store.model import Advertised
from tests.support.client import client_of
from tests.unit.controller.conftest import NOW, Api, Clock

PREFIX = ip_network("10.64.0.0/26")
ROUTE = Advertised(prefix=PREFIX, node="node-1", peers=("tor-a",))


ILLEGIBLE = (b"{rubbish", b"\xff\n", b'{"v":1,"noun":"node"}')


@dataclass(frozen=True)
class Site(Api):
    """A controller whose time of day tests move, and the duty of draining."""

    now: list[datetime] = field(default_factory=lambda: [NOW])

    def look(self, after_s: float = 0) -> None:
        """Let time pass; then the duty looks once."""
        self.now[0] += timedelta(seconds=after_s)
        Drains(self.store, lambda: self.now[0], self.parts.events).look()

    def drains(self) -> dict[str, tuple[str, int]]:
        """Stage and announced routes of each."""
        return {
            f"{each['noun']}/{each['name']}": (each["stage"], each["announced"])
            for each in self.get("/v1/drains")["items"]
        }

    def events(self) -> list[str]:
        """What was told."""
        return [each["reason"] for each in self.get("/v1/events")["items"]]


@pytest.fixture
def site() -> Iterator[Site]:
    clock, store, now = Clock(), MemoryStore(), [NOW]
    parts = Parts.build(store, lambda: now[0])
    made = Site(client_of(create_app(store, parts=parts)), store, parts, clock, now)
    made.made("/v1/nodes", {"name": "node-1", "asn": 64511})
    made.made("/v1/peers", {"name": "tor-a", "address": "192.0.2.1", "asn": 64501})
    store.txn((), (put(keys.ADVERTISED, ROUTE, "node-1", PREFIX),))
    yield made
    parts.close()


def test_a_node_goes_from_stage_to_stage(site: Site) -> None:
    site.made("/v1/nodes/node-1:drain", {"wait_s": 30})
    assert site.drains() == {"node/node-1": ("graceful", 1)}
    site.look(after_s=29)
    assert site.drains() == {"node/node-1": ("graceful", 1)}
    site.look(after_s=1)
    assert site.drains() == {"node/node-1": ("withdrawing", 1)}
    site.look(after_s=600)
    assert site.drains() == {"node/node-1": ("withdrawing", 1)}, "its speaker has not withdrawn yet"
    site.store.txn((), (Delete(keys.ADVERTISED.key("node-1", PREFIX)),))
    for _ in range(2):
        site.look()
        assert site.drains() == {"node/node-1": ("drained", 0)}
    assert sorted(site.events()) == ["drain-begun", "drain-drained", "drain-withdrawing"]
    for _ in range(2):
        assert site.send("POST", "/v1/nodes/node-1:undrain").status_code == 204
    assert site.drains() == {}
    assert site.events().count("drain-over") == 1


def test_asked_again_it_stays_at_its_stage_and_ends_when_the_last_says(site: Site) -> None:
    site.made("/v1/peers/tor-a:drain", {"wait_s": 0})
    site.look()
    again = site.send("POST", "/v1/peers/tor-a:drain", {"wait_s": 60, "for_s": 100})
    assert (again.status_code, again.json["stage"]) == (200, "withdrawing")
    site.look(after_s=99)
    assert site.drains() == {"peer/tor-a": ("drained", 0)}
    site.look(after_s=1)
    assert site.drains() == {}
    assert site.events().count("drain-over") == 1


@pytest.mark.parametrize(
    ("path", "body", "status", "pointer"),
    [
        ("/v1/nodes/nobody:drain", {}, 404, None),
        ("/v1/peers/nobody:undrain", None, 404, None),
        ("/v1/nodes/node-1:drain", {"wait_s": -1}, 422, "/wait_s"),
        ("/v1/nodes/node-1:drain", {"for_s": 0}, 422, "/for_s"),
        ("/v1/nodes/node-1:drain", {"wait": 1}, 422, "/wait"),
    ],
)
def test_bad_input_changes_nothing(
    site: Site, path: str, body: dict[str, int] | None, status: int, pointer: str | None
) -> None:
    before = site.stored()
    answer = site.send("POST", path, body)
    assert answer.status_code == status, answer.text
    assert [each.get("pointer") for each in answer.json.get("errors", [])] == ([pointer] if pointer else [])
    assert site.stored() == before


def test_a_drain_goes_with_what_is_drained(site: Site) -> None:
    site.made("/v1/nodes/node-1:drain", {})
    site.made("/v1/peers/tor-a:drain", {})
    assert site.send("DELETE", "/v1/peers/tor-a").status_code == 204
    assert site.send("DELETE", "/v1/nodes/node-1").status_code == 204
    assert site.drains() == {}


@pytest.mark.parametrize("stored", ILLEGIBLE)
@pytest.mark.parametrize("request_line", ["POST {}:undrain", "DELETE {}"])
@pytest.mark.parametrize(("noun", "path"), [("node", "/v1/nodes/node-1"), ("peer", "/v1/peers/tor-a")])
def test_a_drain_that_cannot_be_read_can_be_removed(
    site: Site, noun: str, path: str, request_line: str, stored: bytes
) -> None:
    key = keys.DRAINS.key(noun, path.rpartition("/")[2])
    site.store.txn((), (Put(key, stored),))
    answer = site.send(*request_line.format(path).split())
    assert answer.status_code == 204, answer.text
    assert site.store.get(key) is None


@pytest.mark.parametrize("stored", ILLEGIBLE)
def test_a_node_goes_with_a_join_token_that_cannot_be_read(site: Site, stored: bytes) -> None:
    site.store.txn((), (Put(keys.JOINS.key("node-1"), stored),))
    assert site.send("DELETE", "/v1/nodes/node-1").status_code == 204
    assert site.store.get(keys.JOINS.key("node-1")) is None


@pytest.mark.parametrize("action", ["drain", "undrain"])
def test_a_controller_that_stood_still_does_not_drain_what_it_was_asked_to_before(
    site: Site, action: str
) -> None:
    """Whoever asked has given up, and may have had another controller do the opposite."""
    if action == "undrain":
        site.made("/v1/nodes/node-1:drain", {})
    before, pulse = site.drains(), site.parts.pulse
    pulse.beat()
    now_s = pulse._clock()
    pulse._clock = lambda: now_s + STILL_S + 1
    answer = site.send("POST", f"/v1/nodes/node-1:{action}", {})
    assert (answer.status_code, site.drains()) == (503, before)


def test_while_a_backup_is_completed_a_drain_that_it_has_can_end_and_none_begins(site: Site) -> None:
    """Speakers heed the store when it is completed: what is drained for long by then they withdraw."""
    site.made("/v1/nodes/node-1:drain", {})
    site.store.txn((), (put(keys.CLUSTER, asked_anew(fresh_cluster(site.store))),))
    site.parts.epoch._looked = float("-inf")
    begun = site.send("POST", "/v1/peers/tor-a:drain", {})
    assert (begun.status_code, begun.json["type"]) == (503, "/problems/restoring")
    assert site.send("POST", "/v1/nodes/node-1:undrain").status_code == 204
    assert site.drains() == {}
