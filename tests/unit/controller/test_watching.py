"""Watches of the API, over a store in memory."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from controller.app import NOUNS
from controller.reading import put
from controller.watching import hubs as watching_hubs
from controller.watching.answer import AT_ONCE
from controller.watching.asked import PATHS
from controller.watching.change import WHOLE, Change, Place, Side, parse_place
from controller.watching.hub import Hub
from controller.watching.hubs import THREADS, Hubs
from controller.watching.subscription import MAX_QUEUED, End, Subscription
from controller.watching.topic import Topic
from lab.wait import wait_until
from store import keys
from store.client import Delete, Put, Store
from store.errors import Unavailable
from store.memory import MemoryStore
from store.model import Alive, Attachment, Pool, Program, Ready, Severity, Value
from tests.unit.controller.conftest import NOW, Api

Told = tuple[str, str, Any]


class Stream:
    """The events of a stream, one by one: id, type and data."""

    def __init__(self, api: Api, path: str, **headers: str) -> None:
        self.answer = api.client.get(path, headers=headers, buffered=False)
        assert self.answer.status_code == 200, self.answer.text
        self._pieces = iter(self.answer.iter_encoded())
        self._blocks: list[str] = []

    def next(self) -> Told:
        while True:
            while not self._blocks:
                self._blocks = [each for each in next(self._pieces).decode().split("\n\n") if each]
            fields = dict(line.split(": ", 1) for line in self._blocks.pop(0).splitlines())
            if "data" in fields:
                return fields.get("id", ""), fields["event"], json.loads(fields["data"])

    def take(self, count: int) -> list[Told]:
        return [self.next() for _ in range(count)]


@contextmanager
def stream(api: Api, path: str, **headers: str) -> Iterator[Stream]:
    opened = Stream(api, path, **headers)
    yield opened
    opened.answer.close()


def poll(api: Api, path: str, since: object, wait_s: int = 20) -> Any:
    mark = "&" if "?" in path else "?"
    return api.get(f"{path}{mark}watch=poll&since={since}&wait_s={wait_s}")


@pytest.mark.parametrize("text", ["12", "12.3", "0", "9223372036854775807"])
def test_a_place_is_its_text(text: str) -> None:
    assert str(parse_place(text)) == text


@pytest.mark.parametrize("text", ["", "x", "-1", "1.", ".1", "1.2.3", "9223372036854775808", "1e3", "\u0661"])
def test_what_is_no_place(text: str) -> None:
    assert parse_place(text) is None


def test_places_are_in_order() -> None:
    assert Place(5, 1) < Place(5, 2) < Place(5) < Place(6, 1)
    assert (Place(5, 1).next_revision, Place(5).next_revision, Place(5).count) == (5, 6, WHOLE)


def test_a_stream_begins_with_the_list_and_goes_on_with_each_change(plant: Api) -> None:
    listed = plant.get("/v1/nodes")
    with stream(plant, "/v1/nodes?watch=sse") as events:
        assert [(kind, item) for _, kind, item in events.take(3)] == [
            ("put", each) for each in listed["items"]
        ]
        revision = listed["revision"]
        assert events.next() == (str(revision), "sync", {"revision": revision})
        plant.send("PATCH", "/v1/nodes/node-1", {"mtu_bytes": 1400})
        (name, kind, item), shown = events.next(), plant.get("/v1/nodes/node-1")
        assert (kind, item) == ("put", shown)
        assert int(name) > revision
        plant.send("DELETE", "/v1/nodes/node-3")
        _, kind, item = events.next()
        assert (kind, item["name"]) == ("delete", "node-3")


def test_a_watch_of_addresses_tells_from_assignment_to_the_end_of_the_cooldown(plant: Api) -> None:
    with stream(plant, "/v1/addresses?watch=sse&node=node-1") as events:
        assert events.next()[1] == "sync"
        plant.made("/v1/endpoints", {"id": "b", "node": "node-2"})
        plant.made("/v1/endpoints", {"id": "a", "node": "node-1"})
        plant.send("DELETE", "/v1/endpoints/a")
        plant.wait(7)
        plant.get("/v1/addresses")
        told = [(kind, item["endpoint"], item["state"]) for _, kind, item in events.take(3)]
    assert told == [("put", "a", "assigned"), ("put", "a", "cooldown"), ("delete", "a", "cooldown")]


def test_a_watch_of_tokens_tells_what_the_list_does(plant: Api) -> None:
    with stream(plant, "/v1/tokens?watch=sse") as events:
        assert events.next()[1] == "sync"
        plant.made("/v1/tokens", {"name": "ci", "role": "read-only"})
        _, kind, item = events.next()
        assert (kind, item) == ("put", plant.get("/v1/tokens")["items"][0])
        plant.send("DELETE", "/v1/tokens/ci")
        assert events.next()[1:] == ("delete", item)


def test_the_accept_header_asks_for_a_stream_too(plant: Api) -> None:
    with stream(plant, "/v1/pools", Accept="text/event-stream") as events:
        assert [kind for _, kind, _ in events.take(2)] == ["put", "sync"]


@pytest.mark.parametrize("accept", ["text/event-stream;q=0", "text/event-stream;q=0.1, application/json"])
def test_an_accept_header_that_likes_a_list_better_gets_one(plant: Api, accept: str) -> None:
    answer = plant.client.get("/v1/pools", headers={"Accept": accept})
    assert (answer.status_code, answer.content_type) == (200, "application/json")


def test_every_path_that_declares_a_topic_is_known_to_be_watched() -> None:
    declared = [each.path for noun in NOUNS for each in noun.operations if each.topic is not None]
    assert sorted(declared) == sorted(PATHS)


def test_one_who_comes_back_misses_nothing_and_gets_nothing_twice(plant: Api) -> None:
    """Also from the middle of a transaction that changed several things."""
    with stream(plant, "/v1/endpoints?watch=sse") as events:
        start, kind, _ = events.next()
        assert kind == "sync"
        for number in range(3):
            plant.made("/v1/endpoints", {"id": f"a{number}", "node": "node-1"})
        whole = plant.store.range(keys.ENDPOINTS.prefix()).items
        # One transaction that changes three: what group commit does.
        plant.store.txn([], [Put(item.key, item.value) for item in whole])
        first = events.take(6)
    assert [item["id"] for _, _, item in first] == ["a0", "a1", "a2"] * 2
    for seen in range(6):
        last = first[seen - 1][0] if seen else start
        with stream(plant, "/v1/endpoints?watch=sse", **{"Last-Event-ID": last}) as events:
            assert events.take(6 - seen) == first[seen:]


def test_an_older_place_than_what_is_kept_is_read_from_the_store(plant: Api) -> None:
    since = plant.get("/v1/nodes")["revision"]
    plant.send("PATCH", "/v1/nodes/node-1", {"mtu_bytes": 1400})
    plant.send("PATCH", "/v1/nodes/node-1", {"mtu_bytes": 1401})
    later = plant.get("/v1/nodes")["revision"]
    with stream(plant, f"/v1/nodes?watch=sse&since={later}") as young:
        with stream(plant, f"/v1/nodes?watch=sse&since={since}") as old:
            assert [item["mtu_bytes"] for _, _, item in old.take(2)] == [1400, 1401]
        plant.send("PATCH", "/v1/nodes/node-1", {"mtu_bytes": 1402})
        assert young.next()[2]["mtu_bytes"] == 1402


def test_an_older_place_that_is_asked_for_while_a_change_is_read_misses_nothing() -> None:
    """What the watch of the store had brought by then is not what follows that place."""
    store = MemoryStore()
    reads, go_on = threading.Event(), threading.Event()

    def write(cooldown_s: int) -> Place:
        pool = Pool(name="p", cidr="10.0.0.0/16", cooldown_s=cooldown_s)
        return Place(store.txn([], [put(keys.POOLS, pool, "p")]).revision)

    def show(store: Store, values: Sequence[Value], settled: bool) -> list[str]:
        if any(isinstance(value, Pool) and value.cooldown_s == 9 for value in values):
            reads.set()
            assert go_on.wait(10)
        return [each.model_dump_json() for each in values]

    places = [write(number) for number in range(4)]
    hub = Hub(store, Topic(keys.POOLS, show), closed=False)
    hub.subscribe(places[-1], lambda value: True)
    last = write(9)
    assert reads.wait(10)
    old = hub.subscribe(places[0], lambda value: True)
    go_on.set()
    told: list[Place] = []
    while last not in told:
        told += [each.place for each in old.take(10)]
    hub.close()
    assert told == [*places[1:], last]


def test_a_poll_answers_as_soon_as_something_changes(plant: Api) -> None:
    revision = plant.get("/v1/pools")["revision"]
    later = threading.Timer(0.1, plant.send, ("PATCH", "/v1/pools/default", {"cooldown_s": 7}))
    later.start()
    told = poll(plant, "/v1/pools", revision)
    later.join()
    assert told["revision"] > revision
    assert told["items"] == [
        {"type": "put", "revision": told["revision"], "item": plant.get("/v1/pools/default")}
    ]
    assert poll(plant, "/v1/pools", told["revision"], 0) == {"items": [], "revision": told["revision"]}


def test_a_poll_that_does_not_wait_tells_what_is_past(plant: Api) -> None:
    """Also the first one, for which the store has to be asked."""
    since = plant.get("/v1/pools")["revision"]
    for number in (3, 4):
        plant.send("PATCH", "/v1/pools/default", {"cooldown_s": number})
    told = poll(plant, "/v1/pools", since, 0)
    assert told["items"][0]["item"]["cooldown_s"] == 3
    assert told["revision"] > since


def test_filters_hold_for_watches_and_what_leaves_them_is_told_as_deleted(plant: Api) -> None:
    with stream(plant, "/v1/endpoints?watch=sse&node=node-1") as events:
        events.next()
        plant.made("/v1/endpoints", {"id": "other", "node": "node-2"})
        plant.made("/v1/endpoints", {"id": "mine", "node": "node-1"})
        assert [(kind, item["id"]) for _, kind, item in events.take(1)] == [("put", "mine")]
        plant.send("PATCH", "/v1/endpoints/mine", {"node": "node-2"})
        assert [(kind, item["id"], item["node"]) for _, kind, item in events.take(1)] == [
            ("delete", "mine", "node-1")
        ]
        plant.send("PATCH", "/v1/endpoints/other", {"node": "node-1"})
        assert [(kind, item["id"]) for _, kind, item in events.take(1)] == [("put", "other")]


def says(api: Api, name: str, node: str = "node-1", boot_id: str = "b") -> dict[str, Put]:
    """What a node's agent writes of an endpoint once it holds it, and once it delivers its address."""
    address = api.get(f"/v1/endpoints/{name}")["addresses"][0]
    held = Attachment(
        endpoint=name, node=node, addresses=(address,), netns="/n", ifname="eth0", boot_id=boot_id
    )
    ready = Ready(prefix=f"{address}/32", node=node, boot_id=boot_id, endpoint=name)
    return {
        "attached": put(keys.ATTACHMENTS, held, node, name),
        "ready": put(keys.READY, ready, node, ready.prefix),
    }


def seen(told: list[Told]) -> list[tuple[str, bool, bool]]:
    return [(item["id"], item["attached"], item["ready"]) for _, kind, item in told if kind == "put"]


def test_what_a_node_says_of_an_endpoint_is_told(plant: Api) -> None:
    plant.made("/v1/endpoints", {"id": "a", "node": "node-1"})
    with stream(plant, "/v1/endpoints?watch=sse") as events:
        assert seen(events.take(2)) == [("a", False, False)]
        for told, ops in (
            ((True, False), [says(plant, "a")["attached"]]),
            ((True, True), [says(plant, "a")["ready"]]),
            ((True, False), [says(plant, "a", boot_id="next")["attached"]]),
            ((True, True), [says(plant, "a", boot_id="next")["ready"]]),
            ((True, False), [Delete(says(plant, "a")["ready"].key)]),
            ((False, False), [Delete(says(plant, "a")["attached"].key)]),
        ):
            plant.store.txn([], ops)
            assert seen(events.take(1)) == [("a", *told)]


def test_what_changes_nothing_that_is_shown_is_not_told(plant: Api) -> None:
    for name in ("a", "b"):
        plant.made("/v1/endpoints", {"id": name, "node": "node-1"})
    said = says(plant, "a")
    plant.store.txn([], list(said.values()))
    block = Ready(prefix="10.64.0.0/30", node="node-1", boot_id="b")
    moved_from = says(plant, "a", node="node-2")
    with stream(plant, "/v1/endpoints?watch=sse") as events:
        events.take(3)
        for one in (*said.values(), put(keys.READY, block, "node-1", block.prefix), *moved_from.values()):
            plant.store.txn([], [one])
        plant.store.txn([], [Put(keys.ATTACHMENTS.key("node-1", "nobody"), b"?")])
        plant.store.txn([], [says(plant, "b")["attached"]])
        assert seen(events.take(1)) == [("b", True, False)]


def test_a_program_of_a_node_that_begins_or_ends_is_told(plant: Api) -> None:
    alive = Alive(node="node-1", program=Program.AGENT, boot_id="b", started=NOW)
    with stream(plant, "/v1/nodes?watch=sse") as events:
        events.take(4)
        lease = plant.store.grant(60)
        plant.store.txn([], [put(keys.ALIVE, alive, "node-1", alive.program, lease_id=lease)])
        plant.store.revoke(lease)
        told = [item["programs"]["agent"]["alive"] for _, _, item in events.take(2)]
        assert told[-1] is False
        plant.store.txn([], [put(keys.ALIVE, alive, "node-2", alive.program)])
        assert events.next()[2] == plant.get("/v1/nodes/node-2")


def test_one_who_comes_back_is_told_what_nodes_said_meanwhile(plant: Api) -> None:
    """In the middle of a transaction too; filters hold."""
    for name, node in (("a", "node-1"), ("b", "node-1"), ("c", "node-2")):
        plant.made("/v1/endpoints", {"id": name, "node": node})
    since = plant.get("/v1/endpoints")["revision"]
    both = [*says(plant, "a").values(), *says(plant, "b").values()]
    plant.store.txn([], both)
    plant.store.txn([], list(says(plant, "c", "node-2").values()))
    plant.send("PATCH", "/v1/endpoints/a", {"labels": {"x": "y"}})
    with stream(plant, f"/v1/endpoints?watch=sse&since={since}&node=node-1") as events:
        first = events.take(5)
    assert [item["id"] for _, _, item in first] == ["a", "a", "b", "b", "a"]
    for number, (last, _, _) in enumerate(first[:-1], start=1):
        with stream(plant, "/v1/endpoints?watch=sse&node=node-1", **{"Last-Event-ID": last}) as events:
            assert events.take(5 - number) == first[number:]


def test_a_place_that_is_compacted_expires(plant: Api) -> None:
    since = plant.get("/v1/pools")["revision"]
    for number in range(3):
        plant.send("PATCH", "/v1/pools/default", {"cooldown_s": 10 + number})
    plant.store.compact(plant.get("/v1/pools")["revision"])
    answer = plant.client.get(f"/v1/pools?watch=poll&since={since - 1}&wait_s=20")
    assert (answer.status_code, answer.json["type"]) == (410, "/problems/expired")
    with stream(plant, f"/v1/pools?watch=sse&since={since - 1}") as events:
        assert events.next()[1] == "expired"


def test_a_place_that_the_store_has_not_reached_expires(plant: Api) -> None:
    answer = plant.client.get("/v1/pools?watch=poll&since=999999&wait_s=20")
    assert (answer.status_code, answer.json["type"]) == (410, "/problems/expired")


def test_a_lost_store_ends_no_stream(plant: Api) -> None:
    with stream(plant, "/v1/pools?watch=sse") as events:
        events.take(2)
        plant.store.set_available(False)
        plant.store.set_available(True)
        plant.send("PATCH", "/v1/pools/default", {"cooldown_s": 9})
        assert events.next()[2]["cooldown_s"] == 9


def test_a_restored_store_expires_what_is_open(plant: Api) -> None:
    """What the restore undid is in no event."""
    with stream(plant, "/v1/pools?watch=sse") as events:
        events.take(2)
        plant.send("PATCH", "/v1/pools/default", {"cooldown_s": 9})
        assert events.next()[1] == "put"
        plant.store.set_cluster_id("2")
        assert events.next()[:2] == ("", "expired")


def test_the_end_of_the_controller_ends_streams_with_a_word(plant: Api) -> None:
    with stream(plant, "/v1/pools?watch=sse") as events:
        events.take(2)
        plant.parts.hubs.close()
        assert events.next()[1] == "closing"
    assert plant.client.get("/v1/pools?watch=sse").status_code == 503


def test_one_who_takes_nothing_is_cut_off_and_can_go_on_from_what_he_took() -> None:
    subscription = Subscription(Place(1), lambda value: True)
    pool = Side(Pool(name="p", cidr="10.0.0.0/16"), lambda: "{}")
    changes = [Change(Place(revision), None, pool) for revision in range(2, MAX_QUEUED + 10)]
    subscription.tell(changes)
    told = subscription.take(0)
    assert (len(told), subscription.ended, subscription.taken) == (MAX_QUEUED, End.SLOW, told[-1].place)
    again = Subscription(told[-1].place, lambda value: True)
    again.tell(changes)
    assert [each.place for each in again.take(0)] == [each.place for each in changes[MAX_QUEUED:]]


def test_what_is_gone_and_unknown_expires_a_watch() -> None:
    subscription = Subscription(Place(1), lambda value: True)
    subscription.tell([Change(Place(2), None, None, lost=True)])
    assert (subscription.take(0), subscription.ended) == ([], End.EXPIRED)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("watch=yes", "watch"),
        ("watch=poll", "since"),
        ("watch=poll&since=x", "since"),
        ("watch=poll&since=1&wait_s=61", "wait_s"),
        ("watch=sse&limit=5", "limit"),
        ("since=1", "since"),
        ("wait_s=1&limit=5", "wait_s"),
    ],
)
def test_what_cannot_be_watched_so(plant: Api, query: str, parameter: str) -> None:
    answer = plant.client.get(f"/v1/nodes?{query}")
    assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, parameter)


def test_a_wrong_last_id_is_named_as_it_was_sent(plant: Api) -> None:
    answer = plant.client.get("/v1/nodes?watch=sse", headers={"Last-Event-ID": "x"})
    assert (answer.status_code, answer.json["errors"][0]["parameter"]) == (422, "Last-Event-ID")


def test_places_are_given_back_when_a_watch_ends(plant: Api) -> None:
    for _ in range(3):
        with stream(plant, "/v1/pools?watch=sse") as events:
            events.take(2)
    poll(plant, "/v1/pools", plant.get("/v1/pools")["revision"], 0)
    hub = plant.parts.hubs.of(next(iter(plant.parts.hubs._hubs.values()))._topic)
    assert hub._subscriptions == set()
    assert plant.parts.hubs.places._value == 2000


class Busy:
    """What keeps every thread that reads lists busy until it may go on."""

    def __init__(self) -> None:
        self.go_on, self.begun = threading.Event(), threading.Event()
        self._all = threading.Barrier(THREADS, action=self.begun.set)

    def __call__(self, store: Store) -> bool:
        self._all.wait(10)
        return self.go_on.wait(10)


def test_a_list_that_takes_long_has_its_time_and_one_whose_turn_does_not_come_is_not_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, busy, made = Hubs(MemoryStore()), Busy(), []

    def wait(reading: Future[object], patience_s: float | None = None) -> object:
        """The time is up when all threads are busy, whatever the clock says."""
        assert busy.begun.wait(10)
        if patience_s is not None:
            raise TimeoutError
        return reading.result(10)

    monkeypatch.setattr(watching_hubs, "wait", wait)
    with ThreadPoolExecutor(THREADS) as callers:
        under_way = [callers.submit(read.read, busy) for _ in range(THREADS)]
        assert busy.begun.wait(10)
        with pytest.raises(Unavailable, match="others wait"):
            read.read(lambda store: made.append(store))
        busy.go_on.set()
        assert all(each.result() for each in under_way)
    read.close()
    assert made == []


def test_a_list_that_waits_for_its_turn_when_the_controller_stops_is_refused() -> None:
    read, busy = Hubs(MemoryStore()), Busy()
    with ThreadPoolExecutor(THREADS + 1) as callers:
        for _ in range(THREADS):
            callers.submit(read.read, busy)
        assert busy.begun.wait(10)
        last = callers.submit(read.read, lambda store: None)
        wait_until(lambda: read._threads._work_queue.qsize() == 1, 10, "one to wait")
        read.close()
        with pytest.raises(Unavailable, match="stopping"):
            last.result(10)
        busy.go_on.set()


def test_what_a_client_does_not_take_is_not_made_ready_for_him(plant: Api) -> None:
    """A list, and what happened meanwhile, in pieces: only those that he takes are put together."""
    for number in range(AT_ONCE + 10):
        plant.made("/v1/tenants", {"name": f"t-{number:03}"})
    opened = plant.client.get("/v1/tenants?watch=sse", buffered=False)
    pieces = (each.decode().count("event: put") for each in opened.iter_encoded())
    assert (next(pieces), next(pieces)) == (AT_ONCE - 1, 11)
    opened.close()


def test_events_are_listed_filtered_and_watched(plant: Api) -> None:
    record = plant.parts.events.record
    with stream(plant, "/v1/events?watch=sse&noun=node") as events:
        assert events.next()[1] == "sync"
        record(Severity.WARNING, "pool-full", "pool", "default", "no address is left")
        record(Severity.ALARM, "node-lost", "node", "node-1", "it is gone", node="node-1")
        assert events.next()[2]["reason"] == "node-lost"
    reasons = lambda query: [each["reason"] for each in plant.get(f"/v1/events{query}")["items"]]  # noqa: E731
    assert sorted(reasons("")) == ["node-lost", "pool-full"]
    assert reasons("?severity=warning") == ["pool-full"]
    assert reasons("?noun=node&name=node-1") == ["node-lost"]
    assert reasons("?name=nobody") == []
    assert sorted(reasons("?max_age_s=60")) == ["node-lost", "pool-full"]
    assert plant.client.get("/v1/events?max_age_s=x").status_code == 422
