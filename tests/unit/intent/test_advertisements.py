"""What a peer is told: a list of states, each with the prefixes it amounts to."""

from __future__ import annotations

import pytest

from intent.advertisements import Entries, advertisements, announced_alike
from intent.snapshot import View
from store.model import Advertise, Drained, DrainStage, EndpointState, Pool, Value
from tests.support.cluster import (
    BOOT,
    NODE,
    advertised,
    block,
    drain,
    endpoint,
    key_of,
    moving,
    peer,
    pool,
    ready,
    service,
    snapshot,
)

HOSTS = pool(advertise=Advertise.HOST)

STATES: dict[str, tuple[list[Value], set[str]]] = {
    "nothing": ([], set()),
    "a block that is ready": ([pool(), block(), ready("10.64.0.0/26")], {"10.64.0.0/26"}),
    "a block without its blackhole": ([pool(), block()], set()),
    "a block that was ready before the boot": (
        [pool(), block(), ready("10.64.0.0/26", "boot-before")],
        set(),
    ),
    "a block whose pool is gone": ([block(), ready("10.64.0.0/26")], set()),
    "an endpoint whose pool is gone": ([endpoint(address="10.64.9.1"), ready("10.64.9.1/32")], set()),
    "another node's block": ([pool(), block(node="node-2"), ready("10.64.0.0/26")], set()),
    "an endpoint inside the own block": (
        [pool(), block(), ready("10.64.0.0/26"), endpoint(), ready("10.64.0.1/32")],
        {"10.64.0.0/26"},
    ),
    "an endpoint inside another node's block": (
        [pool(), block(), ready("10.64.0.0/26"), endpoint(address="10.64.9.1"), ready("10.64.9.1/32")],
        {"10.64.0.0/26", "10.64.9.1/32"},
    ),
    "a /32 without route and flow": ([pool(), endpoint(address="10.64.9.1")], set()),
    "a pool that advertises hosts": (
        [HOSTS, block(), ready("10.64.0.0/26"), endpoint(), ready("10.64.0.1/32")],
        {"10.64.0.1/32"},
    ),
    "an endpoint that is being released": (
        [HOSTS, endpoint(state=EndpointState.RELEASING), ready("10.64.0.1/32"), advertised("10.64.0.1/32")],
        set(),
    ),
    "a service that a healthy endpoint here takes packets of": (
        [pool(), service(), ready("10.64.255.1/32")],
        {"10.64.255.1/32"},
    ),
    "a service that none takes packets of": ([pool(), service()], set()),
    "a service whose node was ready before the boot": (
        [pool(), service(), ready("10.64.255.1/32", "boot-before")],
        set(),
    ),
    "a service that is deleted": ([pool(), ready("10.64.255.1/32")], set()),
    "a service of a pool that advertises nothing": (
        [pool(advertise=Advertise.NONE), service(), ready("10.64.255.1/32")],
        set(),
    ),
    "an endpoint on its way to another node": (
        [HOSTS, moving(endpoint(), "node-2"), ready("10.64.0.1/32")],
        {"10.64.0.1/32"},
    ),
    "an endpoint on its way here": (
        [HOSTS, moving(endpoint(node="node-2"), NODE), ready("10.64.0.1/32")],
        set(),
    ),
    "an endpoint that moved away": ([HOSTS, endpoint(node="node-2"), ready("10.64.0.1/32")], set()),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("order", [1, -1])
def test_what_a_peer_is_told(state: str, order: int) -> None:
    values, expected = STATES[state]
    made = advertisements(snapshot(*values[::order]), peer(), BOOT)
    assert {str(prefix) for prefix in made} == expected
    assert all(one.reason and one.prefix == prefix for prefix, one in made.items())


def test_what_is_kept_from_one_time_to_the_next_is_what_is_found_anew() -> None:
    view, entries, told = View(NODE), Entries(), []
    for values, _ in STATES.values():
        for value in values:
            view.put(key_of(value), value)
            made = advertisements(view.snapshot, peer(), BOOT, entries=entries)
            assert made == advertisements(view.snapshot, peer(), BOOT)
            told.append(made)
    for values, _ in STATES.values():
        for value in values:
            view.delete(key_of(value))
            made = advertisements(view.snapshot, peer(), BOOT, entries=entries)
            assert made == advertisements(view.snapshot, peer(), BOOT)
    assert any(told), "otherwise this compares nothing"


def test_what_becomes_ready_makes_no_other_look_at_all_endpoints() -> None:
    view, entries = View(NODE), Entries()
    for value in (pool(), block(), endpoint()):
        view.put(key_of(value), value)
    before = entries.of(view.snapshot)
    view.put(key_of(ready("10.64.0.1/32")), ready("10.64.0.1/32"))
    assert entries.of(view.snapshot) is before


def test_a_service_has_communities_of_its_own() -> None:
    marked = pool().model_copy(update={"communities": ("64500:1",)})
    values = [marked, block(), ready("10.64.0.0/26"), ready("10.64.255.1/32")]
    www = service(communities=("64500:2", "64500:1:2"))
    told = advertisements(snapshot(*values, www), peer(), BOOT)
    seen = {str(prefix): (one.communities, one.large_communities) for prefix, one in told.items()}
    assert seen == {
        "10.64.0.0/26": (((64500, 1),), ()),
        "10.64.255.1/32": (((64500, 1), (64500, 2)), ((64500, 1, 2),)),
    }


def test_a_peer_is_told_prefixes_of_its_own_family() -> None:
    values = [pool(), block(), ready("10.64.0.0/26")]
    assert advertisements(snapshot(*values), peer(address="fd00::1"), BOOT) == {}


GRACEFUL, WITHDRAWN = DrainStage.GRACEFUL, DrainStage.WITHDRAWING


@pytest.mark.parametrize(
    ("drains", "expected"),
    [
        ([], ()),
        ([drain(Drained.NODE, NODE, GRACEFUL)], ((65535, 0),)),
        ([drain(Drained.PEER, "tor-a", GRACEFUL)], ((65535, 0),)),
        ([drain(Drained.NODE, NODE, WITHDRAWN)], None),
        ([drain(Drained.NODE, NODE, DrainStage.DRAINED)], None),
        ([drain(Drained.NODE, NODE, GRACEFUL), drain(Drained.PEER, "tor-a", WITHDRAWN)], None),
        ([drain(Drained.NODE, "node-2", WITHDRAWN), drain(Drained.PEER, "tor-b", WITHDRAWN)], ()),
        # A node and a peer may have one name.
        ([drain(Drained.PEER, NODE, WITHDRAWN), drain(Drained.NODE, "tor-a", WITHDRAWN)], ()),
    ],
)
def test_what_a_drain_does(drains: list[Value], expected: tuple[tuple[int, int], ...] | None) -> None:
    told = snapshot(pool(), block(), ready("10.64.0.0/26"), *drains)
    made = advertisements(told, peer(), BOOT)
    assert [one.communities for one in made.values()] == ([] if expected is None else [expected])


POOL_CHANGES: dict[str, tuple[object, bool]] = {
    "name": ("other", False),
    "cidr": ("10.64.0.0/15", False),
    "block_prefixlen": (25, False),
    "advertise": ("host", False),
    "node_selector": ({"rack": "7"}, False),
    "communities": (["64500:1"], False),
    "cooldown_s": (5, True),
    "reserved": (["10.64.0.0/28"], True),
    "disabled": (True, True),
    "priority": (7, True),
    "tenant": ("shop", True),
    "borrow": (True, True),
}
"""Another value of each field of a pool, and whether routers see no difference."""


def test_each_field_of_a_pool_is_known_to_be_announced_or_not() -> None:
    of_segments = {"segment", "gateway"}  # nothing of such a pool is announced: advertise is none
    assert POOL_CHANGES.keys() | of_segments == Pool.model_fields.keys()
    for field, (value, alike) in POOL_CHANGES.items():
        other = Pool.model_validate(pool().model_dump() | {field: value})
        assert announced_alike(pool(), other) is alike, field
