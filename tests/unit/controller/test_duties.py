"""One replica ends what nodes have taken down, and another goes on when it is gone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from controller.election import TTL_S, Election
from controller.finalising import AT_ONCE, Finaliser
from controller.ipam.request import Request
from controller.prompted import Outlook, Prompted
from controller.reading import put, read
from lab.wait import wait_until
from store import keys
from store.client import Delete, Put, Range
from store.errors import Restored
from store.memory import MemoryStore, MemoryWatch
from store.model import Attachment, Endpoint, Node, Pool
from tests.support.ipam import Controller, FlakyStore, check
from tests.unit.controller.conftest import Clock

SOON_S = 10
MOVED_S = 5


class Sleeper:
    """A duty that only waits."""

    def __init__(self) -> None:
        self.running = threading.Event()
        self._stopped = threading.Event()

    def run(self) -> None:
        self.running.set()
        self._stopped.wait()
        self.running.clear()

    def stop(self) -> None:
        self._stopped.set()


def campaign(store: MemoryStore, name: str) -> tuple[Election, list[Sleeper]]:
    terms: list[Sleeper] = []

    def take_up() -> Sleeper:
        terms.append(Sleeper())
        return terms[-1]

    election = Election(store, name, {"work": take_up}, pause_s=0.01)
    election.start()
    return election, terms


def leads(terms: list[Sleeper]) -> bool:
    return bool(terms) and terms[-1].running.is_set()


def test_one_of_two_is_elected_and_the_other_follows_at_once_when_it_stops() -> None:
    store = MemoryStore()
    one, ones = campaign(store, "one")
    wait_until(lambda: leads(ones), SOON_S, "the first to lead")
    other, others = campaign(store, "other")
    assert not others
    held = store.get(keys.leader("work"))
    assert held is not None
    assert held.value == b"one"
    one.stop()
    assert not leads(ones)
    wait_until(lambda: leads(others), SOON_S, "the second to lead")
    other.stop()
    assert store.get(keys.leader("work")) is None


class DeafStore(MemoryStore):
    """A store whose watches tell nothing, as those on a member that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.listens = threading.Event()

    def watch(self, prefixes: Sequence[str], *, start_revision: int, **_: object) -> MemoryWatch:
        self.listens.set()
        return super().watch(["/nothing/"], start_revision=start_revision)


def test_who_stands_by_does_not_rely_on_being_told() -> None:
    store = DeafStore()
    store.txn([], [Put(keys.leader("work"), b"other")])
    election, terms = campaign(store, "one")
    wait_until(store.listens.is_set, SOON_S, "it to know who leads")
    store.txn([], [Delete(keys.leader("work"))])
    wait_until(lambda: leads(terms), MOVED_S, "it to lead")
    election.stop()


def test_a_term_ends_with_its_lease() -> None:
    store = MemoryStore()
    election, terms = campaign(store, "one")
    wait_until(lambda: leads(terms), SOON_S, "a term")
    held = store.get(keys.leader("work"))
    assert held is not None
    store.revoke(held.lease_id)
    wait_until(lambda: len(terms) == 2 and leads(terms), SOON_S, "another term")
    election.stop()


def test_duties_share_a_lease_and_one_that_ends_is_stood_for_again_while_the_other_goes_on() -> None:
    store = MemoryStore()
    terms: dict[str, list[Sleeper]] = {"one": [], "other": []}

    def take_up(name: str) -> Sleeper:
        terms[name].append(Sleeper())
        return terms[name][-1]

    election = Election(store, "me", {name: partial(take_up, name) for name in terms}, pause_s=0.01)
    election.start()
    wait_until(lambda: all(map(leads, terms.values())), SOON_S, "both terms")
    one, other = (store.get(keys.leader(name)) for name in terms)
    assert one is not None
    assert other is not None
    assert one.lease_id == other.lease_id
    terms["one"][0].stop()
    wait_until(lambda: len(terms["one"]) == 2 and leads(terms["one"]), SOON_S, "another term of the one")
    again = store.get(keys.leader("one"))
    assert again is not None
    assert again.mod_revision > one.mod_revision
    assert store.get(keys.leader("other")) == other
    assert len(terms["other"]) == 1
    election.stop()
    assert store.range(keys.LEADERS).items == ()


def test_a_term_ends_when_the_store_is_another() -> None:
    store = MemoryStore()
    election, terms = campaign(store, "one")
    wait_until(lambda: leads(terms), SOON_S, "a term")
    store.set_cluster_id("2")
    wait_until(lambda: len(terms) == 2 and leads(terms), SOON_S, "another term")
    election.stop()


def test_a_term_ends_when_the_store_goes_away_and_another_begins_when_it_is_back() -> None:
    clock = Clock()
    store = MemoryStore(clock)
    election, terms = campaign(store, "one")
    wait_until(lambda: leads(terms), SOON_S, "a term")
    store.set_available(False)
    wait_until(lambda: not leads(terms), SOON_S, "its end")
    clock.now_s += TTL_S + 1
    store.set_available(True)
    wait_until(lambda: leads(terms), SOON_S, "another term")
    election.stop()


class Looker:
    """Looks at what is below `seen/`; the first look is slow, and something changes meanwhile."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.looks = 0
        self.again_s = 3600.0

    def look(self) -> Outlook:
        revision = self.store.range("seen/").revision
        self.looks += 1
        if self.looks == 1:
            self.store.txn((), (Put("seen/meanwhile", b""),))
        return Outlook(revision, ("seen/", "also/"), self.again_s)


def test_why_a_duty_is_put_off_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    said = ["waits"] * 50 + ["", "waits", "waits", "away"]
    left = list(said)

    def look() -> Outlook:
        if why := left.pop(0) if left else "":
            raise Restored(why)
        return Outlook(1, (), 0.0)

    duty = Prompted("work", MemoryStore(), look, 0.0001)
    thread = threading.Thread(target=duty.run)
    thread.start()
    wait_until(lambda: not left, SOON_S, "all looks")
    duty.stop()
    thread.join(SOON_S)
    assert [record.getMessage() for record in caplog.records if "put-off" in record.getMessage()] == [
        f"event=put-off duty=work why={why!r}" for why in ("waits", "waits", "away")
    ]


def test_who_is_prompted_looks_when_something_changes_and_not_before() -> None:
    store = MemoryStore()
    looker = Looker(store)
    duty = Prompted("work", store, looker.look, 0.001)
    thread = threading.Thread(target=duty.run)
    thread.start()
    wait_until(lambda: looker.looks == 2, SOON_S, "what came during the first look to be seen")
    for _ in range(5):
        store.txn((), (Put("other/key", b""),))
    store.txn((), (Put("also/key", b""),))
    wait_until(lambda: looker.looks > 2, SOON_S, "another look")
    assert looker.looks == 3, "nothing else prompts one"
    store.set_available(False)
    store.set_available(True)
    looker.again_s = 0.002
    store.txn((), (Delete("also/key"),))
    wait_until(lambda: looker.looks > 5, SOON_S, "more, by time alone")
    looker.again_s = 3600.0
    duty.stop()
    thread.join(SOON_S)
    assert not thread.is_alive()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def controller(store: MemoryStore) -> Iterator[Controller]:
    made = Controller.over(store)
    made.registry.create_pool(Pool(name="p", cidr="10.0.0.0/24", cooldown_s=0))
    made.registry.create_node(Node(name="n1", asn=64512))
    yield made
    made.committer.close()


@pytest.fixture
def finaliser(store: MemoryStore, controller: Controller) -> Iterator[Finaliser]:
    made = Finaliser(store, controller.releaser)
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join(SOON_S)
    assert not thread.is_alive()


def attached(store: MemoryStore, controller: Controller, endpoint_id: str) -> Endpoint:
    """An endpoint that its node holds."""
    endpoint, _ = controller.allocator.assign(Request("n1", endpoint_id))
    attachment = Attachment(
        endpoint=endpoint_id,
        node="n1",
        addresses=endpoint.addresses,
        netns="/run/netns/x",
        ifname="eth0",
        boot_id="b",
    )
    store.txn([], [put(keys.ATTACHMENTS, attachment, "n1", endpoint_id)])
    return endpoint


def is_gone(store: MemoryStore, endpoint_id: str) -> bool:
    return read(store, keys.ENDPOINTS, endpoint_id) is None


def test_an_endpoint_ends_when_its_attachment_goes(
    store: MemoryStore, controller: Controller, finaliser: Finaliser
) -> None:
    for endpoint_id in ("a", "b"):
        attached(store, controller, endpoint_id)
    assert controller.releaser.release("a") is not None
    store.txn([], [Delete(keys.ATTACHMENTS.key("n1", "b"))])
    store.txn([], [Delete(keys.ATTACHMENTS.key("n1", "a"))])
    wait_until(lambda: is_gone(store, "a"), SOON_S, "the end of a")
    assert not is_gone(store, "b"), "it was detached, not deleted"
    check(store)


def test_what_happened_before_the_term_is_made_good(
    store: MemoryStore, controller: Controller, request: pytest.FixtureRequest
) -> None:
    attached(store, controller, "a")
    controller.releaser.release("a")
    store.txn([], [Delete(keys.ATTACHMENTS.key("n1", "a"))])
    request.getfixturevalue("finaliser")
    wait_until(lambda: is_gone(store, "a"), SOON_S, "the end of a")


def test_the_end_of_the_node_is_the_end_of_what_it_held(
    store: MemoryStore, controller: Controller, request: pytest.FixtureRequest
) -> None:
    attached(store, controller, "a")
    controller.releaser.release("a")
    store.txn([], [Delete(keys.NODES.key("n1"))])
    request.getfixturevalue("finaliser")
    wait_until(lambda: is_gone(store, "a"), SOON_S, "the end of a")


def test_what_cannot_be_read_keeps_no_other_from_its_end(
    store: MemoryStore,
    controller: Controller,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = [f"e{number:02}" for number in range(AT_ONCE + 2)]
    bad, *_ = [attached(store, controller, each) for each in ids]
    for endpoint_id in ids:
        controller.releaser.release(endpoint_id)
    first, *listed, last = ids
    ranges: list[str] = []

    def ranged(prefix: str, **options: Any) -> Range:
        ranges.append(prefix)
        return MemoryStore.range(store, prefix, **options)

    monkeypatch.setattr(store, "range", ranged)
    key = keys.ADDRESSES.key("p", "10.0.0.0/26", bad.addresses[0])
    item = store.get(key)
    assert item is not None
    store.txn([], [Put(key, b"?"), *(Delete(keys.ATTACHMENTS.key("n1", each)) for each in (first, *listed))])
    request.getfixturevalue("finaliser")
    wait_until(lambda: all(is_gone(store, each) for each in listed), SOON_S, "the end of what is listed")
    store.txn([], [Delete(keys.ATTACHMENTS.key("n1", last))])
    wait_until(lambda: is_gone(store, last), SOON_S, "the end of what is watched")
    assert not is_gone(store, first)
    assert ranges.count(keys.ENDPOINTS.prefix()) == 1, "all are listed once in a while"
    store.txn([], [Put(key, item.value)])
    assert controller.releaser.release(first) is None
    check(store)


@pytest.mark.parametrize("what", ["the record", "leases"])
def test_what_comes_in_between_delays_an_end_and_does_not_put_it_off(
    store: MemoryStore, controller: Controller, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """The lists, of which it would be made good, are minutes apart."""
    flaky = FlakyStore(store)
    between = Controller.over(flaky)
    controller.registry.change(keys.POOLS, "p", lambda pool: pool.model_copy(update={"cooldown_s": 60}))
    attached(store, controller, "a")
    controller.releaser.release("a")
    store.txn([], [Delete(keys.ATTACHMENTS.key("n1", "a"))])

    def relabel() -> None:
        found = read(store, keys.ENDPOINTS, "a")
        assert found is not None
        changed = found.value.model_copy(update={"labels": {"app": "web"}})
        ops = [put(keys.ENDPOINTS, changed, "a"), put(keys.NODE_ENDPOINTS, changed, "n1", "a")]
        assert store.txn([found.unchanged()], ops).succeeded

    granted: list[int] = []

    def grant(ttl_s: int) -> int:
        granted.append(store.grant(ttl_s))
        return granted[-1]

    monkeypatch.setattr(flaky, "grant", grant)
    late = [lambda: store.revoke(granted[-1])] * 3
    flaky.meets.extend([relabel] if what == "the record" else late)
    finaliser = Finaliser(flaky, between.releaser)
    thread = threading.Thread(target=finaliser.run)
    thread.start()
    try:
        wait_until(lambda: is_gone(store, "a"), SOON_S, "the end of a")
    finally:
        finaliser.stop()
        thread.join(SOON_S)
        between.committer.close()
    check(store)


@pytest.mark.parametrize("loss", ["outage", "compaction"])
def test_nothing_is_missed_while_the_watch_is_lost(
    store: MemoryStore, controller: Controller, finaliser: Finaliser, loss: str
) -> None:
    attached(store, controller, "a")
    controller.releaser.release("a")
    if loss == "outage":
        store.set_available(False)
        store.set_available(True)
    else:
        store.compact(store.range("").revision)
    store.txn([], [Delete(keys.ATTACHMENTS.key("n1", "a"))])
    wait_until(lambda: is_gone(store, "a"), SOON_S, "the end of a")


def test_a_lost_event_is_made_good_by_the_next_list(store: MemoryStore, controller: Controller) -> None:
    """A finaliser that lists again all the time finds what no event tells: the node is gone."""
    attached(store, controller, "a")
    controller.releaser.release("a")
    finaliser = Finaliser(store, controller.releaser, relist_s=0.05)
    thread = threading.Thread(target=finaliser.run)
    thread.start()
    store.txn([], [Delete(keys.NODES.key("n1"))])
    wait_until(lambda: is_gone(store, "a"), SOON_S, "the end of a")
    finaliser.stop()
    thread.join(SOON_S)
    assert not thread.is_alive()
