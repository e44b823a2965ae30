"""The duty of policies: nodes are told what they need, whoever has the duty and whatever was there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import Mock

import pytest

from controller.compiling import Compiling
from controller.reading import put, read
from lab.wait import wait_until
from store import keys
from store.client import Delete, Put
from store.feed import Feed
from store.memory import MemoryStore
from store.model import Endpoint, Move, Policy, Tenant
from tests.support.ipam import FAULTS, FlakyStore
from tests.unit.controller.conftest import NOW, Api

DUTY = "policies"


@contextmanager
def doing(duty: Compiling) -> Iterator[threading.Thread]:
    """A term."""
    thread = threading.Thread(target=duty.run, daemon=True)
    thread.start()
    yield thread
    duty.stop()
    thread.join(5)
    assert not thread.is_alive()


def endpoint(name: str, address: str, node: str = "node-1", **fields: Any) -> Put:
    given = {"id": name, "uid": "0" * 32, "node": node, "pools": ["default"], "addresses": [address]}
    return put(keys.ENDPOINTS, Endpoint(**given, mac="02:00:00:00:00:01", **fields), name)


def policy(name: str, **fields: Any) -> Put:
    return put(keys.POLICIES, Policy(name=name, **fields), name)


def told(store: MemoryStore) -> dict[str, bytes]:
    """What the nodes are told, by key without its beginning; sets, which all are told, below `sets/`."""
    sets = store.range(keys.SETS.prefix()).items
    return {item.key.removeprefix(keys.COMPILED): item.value for item in store.range(keys.COMPILED).items} | {
        item.key.replace(keys.SETS.prefix(), "sets/"): item.value for item in sets
    }


def listening() -> int:
    """How many feeds are followed."""
    return [each.name for each in threading.enumerate()].count("policies-feed")


def names(store: MemoryStore) -> set[str]:
    """Likewise, without the ids of sets, and without that it was told."""
    found = {key if not key.startswith("sets/") else "sets" for key in told(store)}
    return {key for key in found if "/told/" not in key}


def of_endpoints(store: MemoryStore) -> set[str]:
    """The endpoints of which nodes were told, with their nodes."""
    return {key.replace("/told/", " ") for key in told(store) if "/told/" in key}


WEB = {"selector": {"app": "web"}, "ingress": [{"action": "allow", "peers": [{"selector": {"app": "db"}}]}]}


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    ops = [
        endpoint("web", "10.0.0.1", labels={"app": "web"}),
        endpoint("db", "10.0.0.2", "node-2", labels={"app": "db"}),
    ]
    made.txn([], ops)
    return made


def test_a_node_is_told_of_the_policies_of_its_endpoints_alone(store: MemoryStore) -> None:
    store.txn([], [policy("web", **WEB)])
    with doing(Compiling(store, DUTY)):
        wait_until(lambda: names(store) == {"node-1/rules/web", "sets"}, 5, "the policy at its node")
        store.txn([], [endpoint("web", "10.0.0.1", "node-2", labels={"app": "web"})])
        wait_until(lambda: names(store) == {"node-2/rules/web", "sets"}, 5, "the policy to follow")
        store.txn([], [Delete(keys.POLICIES.key("web"))])
        wait_until(lambda: not names(store), 5, "nothing to be left")


def test_the_node_that_an_endpoint_leaves_keeps_its_policies_while_it_delivers_it(store: MemoryStore) -> None:
    store.txn([], [policy("web", **WEB)])
    here, there = {"node-1/rules/web", "sets"}, {"node-2/rules/web", "sets"}
    with doing(Compiling(store, DUTY)):
        wait_until(lambda: names(store) == here, 5, "the policy at its node")
        begun = store.range("").revision
        found = read(store, keys.ENDPOINTS, "web")
        assert found is not None
        move = Move(endpoint=found.value, target="node-2", since=NOW, overlap_s=30)
        gone = endpoint("web", "10.0.0.1", "node-2", labels={"app": "web"})
        store.txn([], [gone, put(keys.MOVES, move, "web")])
        wait_until(lambda: names(store) == here | there, 5, "the policy at both nodes")
        kept = store.get(keys.RULES.key("node-1", "web"))
        assert kept is not None
        assert kept.mod_revision <= begun, "never without it between"
        store.txn([], [Delete(keys.MOVES.key("web"))])
        wait_until(lambda: names(store) == there, 5, "the policy to go from the first")


def test_a_node_is_told_last_that_it_was_told_of_an_endpoint_and_expects_it(store: MemoryStore) -> None:
    both, telling = {"node-1 web", "node-2 db"}, keys.TELLING.key()
    store.txn([], [policy("web", **WEB)])
    with doing(Compiling(store, DUTY)):
        wait_until(lambda: store.get(telling), 5, "nodes to expect it")
        assert of_endpoints(store) == both
        store.txn([], [endpoint("new", "10.0.0.3", "node-3", labels={"app": "db"}), policy("new", **WEB)])
        wait_until(lambda: "node-3 new" in of_endpoints(store), 5, "the new one to be told of")
        (of_others,) = (value for key, value in told(store).items() if key.startswith("sets/"))
        assert b"10.0.0.3" in of_others, "other nodes have its address then"
    store.txn([], [Delete(keys.POLICIES.key(name)) for name in ("web", "new")])
    with doing(Compiling(store, DUTY)):
        wait_until(lambda: not told(store), 5, "nothing to be left where there is no policy")
        assert store.get(telling) is None


def test_with_the_last_policy_nodes_expect_nothing_any_more_and_with_the_next_they_do(
    store: MemoryStore,
) -> None:
    def left() -> bool:
        return bool(told(store)) or store.get(keys.TELLING.key()) is not None

    with doing(Compiling(store, DUTY)):
        for _ in range(2):
            store.txn([], [policy("web", **WEB)])
            wait_until(lambda: names(store) == {"node-1/rules/web", "sets"}, 5, "the policy at its node")
            wait_until(lambda: store.get(keys.TELLING.key()) is not None, 5, "nodes to expect it")
            store.txn([], [Delete(keys.POLICIES.key("web"))])
            wait_until(lambda: not left(), 5, "nothing to be left")


def test_nothing_is_watched_before_there_is_a_policy_and_then_all_is(store: MemoryStore) -> None:
    with doing(Compiling(store, DUTY)):
        store.txn([], [policy("web", **WEB)])
        wait_until(lambda: names(store) == {"node-1/rules/web", "sets"}, 5, "the first policy")
        store.txn([], [put(keys.TENANTS, Tenant(name="shop"), "shop")])
        group = {"node-1/groups/-", "node-2/groups/-", "sets"}
        wait_until(lambda: group < names(store), 5, "the endpoints without tenant to be a group")


def test_what_is_wrong_at_first_is_put_right(store: MemoryStore) -> None:
    store.txn([], [policy("web", **WEB)])
    with doing(Compiling(store, DUTY)):
        wait_until(lambda: names(store) == {"node-1/rules/web", "sets"}, 5, "the policy at its node")
    right = told(store)
    lacking = [store.range(prefix).items[0].key for prefix in (keys.COMPILED, keys.SETS.prefix())]
    strays = (
        keys.RULES.key("node-9", "gone"),
        keys.SETS.key("0" * 16, 0),
        keys.FORMER_SETS.key("node-1", "0" * 16, 0),
    )
    store.txn([], [*map(Delete, lacking), *(Put(stray, b"{}") for stray in strays)])
    with doing(Compiling(store, DUTY)):
        wait_until(lambda: told(store) == right, 5, "the values of before")
        assert not store.get_many(strays)


def test_what_is_lost_or_comes_late_does_no_harm(store: MemoryStore) -> None:
    store.txn([], [policy("web", **WEB)])
    flaky = FlakyStore(store)
    db = keys.ENDPOINTS.key("db")
    with doing(Compiling(flaky, DUTY)):
        wait_until(lambda: names(store) == {"node-1/rules/web", "sets"}, 5, "the policy at its node")
        for number, fault in enumerate(FAULTS, 3):
            flaky.meets.append(fault)
            address = f"10.0.0.{number}".encode()
            store.txn([], [endpoint("db", address.decode(), "node-2", labels={"app": "db"})])
            wait_until(
                lambda address=address: any(b'["%s"]' % address in value for value in told(store).values()),
                10,
                f"{address!r} to be told after {fault}",
            )
        wait_until(lambda: listening() == 1, 5, "the end of what was begun before")
        flaky.arrive()
        assert any(b'["%s"]' % address in value for value in told(store).values()), "nothing late counts"
        store.txn([], [Delete(db)])
        left = lambda: [value for key, value in told(store).items() if key.startswith("sets/")]  # noqa: E731
        wait_until(lambda: [b'"addresses":[]' in each for each in left()] == [True], 5, "an empty set")


def test_who_has_lost_the_duty_writes_nothing_more(store: MemoryStore) -> None:
    leader = keys.leader(DUTY)
    store.txn([], [policy("web", **WEB), Put(leader, b"us")])
    with doing(Compiling(store, DUTY, "us")) as term:
        wait_until(lambda: names(store) == {"node-1/rules/web", "sets"}, 5, "the policy at its node")
        store.txn([], [Put(leader, b"others")])
        before = told(store)
        store.txn([], [Delete(keys.POLICIES.key("web"))])
        wait_until(lambda: not term.is_alive(), 5, "the term to end")
        assert told(store) == before


def test_who_never_had_the_duty_does_nothing(store: MemoryStore) -> None:
    store.txn([], [policy("web", **WEB), Put(keys.leader(DUTY), b"others")])
    Compiling(store, DUTY, "us").run()
    assert not told(store)


def test_a_deleted_node_is_told_nothing(plant: Api) -> None:
    plant.store.txn([], [Put(keys.RULES.key("node-1", "web"), b"{}")])
    assert plant.send("DELETE", "/v1/nodes/node-1").status_code == 204
    assert not told(plant.store)


def test_a_policy_that_nobody_can_read_has_the_duty_go_on_and_not_begin_anew(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.txn([], [policy("web", **WEB), Put(keys.POLICIES.key("odd"), b"{")])
    with doing(Compiling(store, DUTY)):
        wait_until(lambda: store.get(keys.TELLING.key()) is not None, 5, "nodes to expect it")
        feeds = Mock(wraps=Feed)
        monkeypatch.setattr("controller.compiling.Feed", feeds)
        store.txn([], [Delete(keys.POLICIES.key("web"))])
        wait_until(lambda: not names(store), 5, "nothing to be left")
        assert store.get(keys.TELLING.key()) is not None, "whom it selects is not known"
        assert not feeds.called
        store.txn([], [Delete(keys.POLICIES.key("odd")), endpoint("more", "10.0.0.3")])
        wait_until(lambda: store.get(keys.TELLING.key()) is None, 5, "nodes to expect nothing")
