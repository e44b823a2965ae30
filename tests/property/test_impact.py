"""A change that is made is as it was predicted, whatever there is and whatever is changed."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgp.advertisement import Advertisement
from controller.impact import foresee, withdraws_nothing
from controller.rehearsal import Rehearsal
from intent.cluster import Member
from intent.edge import Edge, wanted
from intent.guard import guard
from intent.impact import Fate, Impact, impact
from intent.session import NoSession, Terms, changes, terms
from store.client import Delete, Put
from store.codec import encode
from store.memory import MemoryStore
from store.model import Advertise, Advertised, Block, Endpoint, IPNetwork, Node, Value
from tests.support.cluster import endpoint, key_of, pool
from tests.support.fleet import block, fed, node, ready, tor

NOW_S = 1_800_000_000.0
NODES = ("node-1", "node-2")
Session = tuple[str, str, object]
Held = Mapping[Session, tuple[Terms, Mapping[IPNetwork, Advertisement]]]

pools = st.builds(
    lambda name, cidr, advertise, community: pool(name, cidr, advertise).model_copy(
        update={"communities": community}
    ),
    st.just("default"),
    st.sampled_from(["10.64.0.0/16", "10.64.0.0/24"]),
    st.sampled_from(Advertise),
    st.sampled_from([(), ("64500:1",)]),
)
nodes = st.builds(
    lambda name, rack, edge: node(name, labels={"rack": rack}, edge=edge, next_hops=["192.0.2.1"]),
    st.sampled_from(NODES),
    st.sampled_from("ab"),
    st.booleans(),
)
peers = st.builds(
    lambda number, address, fields: tor(f"tor-{number}", f"10.0.{address}.0", **fields),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from(
        [
            {},
            {"med": 5},
            {"hold_time_s": 9},
            {"max_prefixes": 1},
            {"max_prefixes": 2, "asn": 64511},
            {"node": "node-1"},
            {"node_selector": {"rack": "a"}},
            {"announces": "all"},
            {"local_pref": 7},
        ]
    ),
)
cidrs = st.integers(0, 3).map(lambda number: f"10.64.{number}.0/26")
addresses = st.integers(0, 3).map(lambda number: f"10.64.{number}.1")


def delivered(value: Block | Endpoint) -> list[Value]:
    """A block or an endpoint, and that its node can deliver it."""
    prefix = value.cidr if isinstance(value, Block) else f"{value.addresses[0]}/32"
    return [value, ready(str(prefix), value.node)]


blocks = st.builds(block, cidrs, st.sampled_from(NODES)).map(delivered)
endpoints = st.builds(
    lambda address, where: endpoint(f"at-{address}", address, where), addresses, st.sampled_from(NODES)
).map(delivered)
values = pools | nodes | peers
states = st.builds(
    lambda *parts: [each for part in parts for each in part],
    st.tuples(nodes, nodes, peers, peers),
    st.lists(values, max_size=3),
    st.lists(blocks | endpoints, min_size=2, max_size=6).map(lambda lists: list(chain(*lists))),
)


@given(states, st.lists(values, max_size=3), st.lists(values, max_size=2))
def test_what_is_predicted_is_what_happens(
    state: list[Value], puts: list[Value], deletes: list[Value]
) -> None:
    stored = {key_of(value): value for value in [pool(), *state]}
    becomes = stored | {key_of(value): value for value in puts}
    for value in deletes:
        becomes.pop(key_of(value), None)
    view = fed(stored.values())
    before = view.members
    for value in puts:
        view.put(key_of(value), value)
    for value in deletes:
        view.delete(key_of(value))
    predicted = impact(before, view.members, NOW_S)

    held = speak(before, {})
    after = speak(fed([*becomes.values(), *reported(held)]).members, held)
    assert applied(held, predicted) == {place: routes for place, (_, routes) in after.items() if routes}
    resets = {place for place in held.keys() & after.keys() if changes(held[place][0], after[place][0])}
    fates = {(each.node, each.peer, each.address): each.fate for each in predicted.peers}
    assert {place for place, fate in fates.items() if fate is Fate.RESETS} == resets
    assert {place for place, fate in fates.items() if fate is Fate.CLOSES} == held.keys() - after.keys()
    assert {place for place, fate in fates.items() if fate is Fate.OPENS} == after.keys() - held.keys()
    assert predicted.advertised == sum(len(routes) for _, routes in held.values())


def speak(members: Mapping[str, Member], sessions: Held) -> Held:
    """What speakers do: a session that cannot be configured stays, one that there was not does not begin."""
    made = {}
    for name, member in members.items():
        for peer in member.snapshot.peers.values():
            place = name, peer.name, peer.address
            try:
                agreed = terms(known(member.snapshot.node), peer)
            except NoSession:
                if place not in sessions:
                    continue
                agreed = sessions[place][0]
            routes = wanted(member.snapshot, peer, member.boot_id, Edge(), members, NOW_S)
            told = {each.prefix for each in member.snapshot.advertised.values() if peer.name in each.peers}
            made[place] = (
                agreed,
                guard(routes or {}, member.snapshot.pools.values(), peer, told).through,
            )
    return made


def known(record: Node | None) -> Node:
    assert record is not None
    return record


def reported(held: Held) -> list[Advertised]:
    """What the speakers of these sessions say that they announce."""
    peers: dict[tuple[str, IPNetwork], list[str]] = {}
    for (name, peer, _), (_, routes) in held.items():
        for prefix in routes:
            peers.setdefault((name, prefix), []).append(peer)
    return [
        Advertised(prefix=prefix, node=name, peers=tuple(names)) for (name, prefix), names in peers.items()
    ]


def applied(held: Held, predicted: Impact) -> dict[Session, dict[IPNetwork, Advertisement]]:
    """What was announced, with what was predicted done to it."""
    routes = {place: dict(each) for place, (_, each) in held.items()}
    for each in predicted.peers:
        place = each.node, each.peer, each.address
        there = routes.setdefault(place, {})
        for made in each.vanish:
            assert there.pop(made.prefix) == made
        for was, becomes in each.change:
            assert there[was.prefix] == was != becomes
            there[was.prefix] = becomes
        for made in each.appear:
            assert there.setdefault(made.prefix, made) is made
    return {place: each for place, each in routes.items() if each}


def test_it_can_fail() -> None:
    values = [pool(), node(), tor(), block("10.64.0.0/26"), ready("10.64.0.0/26")]
    before = fed(values).members
    nothing = impact(before, before, NOW_S)
    assert applied(speak(before, {}), nothing) != {}
    gone = impact(before, fed(values[:-1]).members, NOW_S)
    assert [str(each.prefix) for each in gone.peers[0].vanish] == [str(ip_network("10.64.0.0/26"))]


@given(states, st.lists(values, max_size=2), st.lists(values, max_size=1))
def test_what_is_said_without_a_look_at_all_nodes_is_so(
    state: list[Value], puts: list[Value], deletes: list[Value]
) -> None:
    store = MemoryStore()
    for value in [pool(), *state]:
        store.txn((), (Put(key_of(value), encode(value)),))
    rehearsal = Rehearsal(store)
    rehearsal.txn((), [Put(key_of(value), encode(value)) for value in puts])
    rehearsal.txn((), [Delete(key_of(value)) for value in deletes])
    found, _ = foresee(store, rehearsal)
    if withdraws_nothing(store, rehearsal):
        assert found.withdrawn == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (tor(node="node-1", med=5), True),
        (tor(node="node-1", families=["ipv6"]), False),
        (node(mtu_bytes=9000), True),
        (node("node-3"), True),
        (pool(advertise=Advertise.HOST), False),
        (pool().model_copy(update={"cooldown_s": 5}), True),
        (pool("other", "10.70.0.0/16"), False),
        (tor("tor-b", "10.0.2.0", med=5), False),
    ],
)
def test_a_change_of_one_node_is_looked_at_there(change: Value, said: bool) -> None:
    store = MemoryStore()
    site: list[Value] = [
        pool(),
        node(),
        node("node-2"),
        tor(node="node-1"),
        tor("tor-b", "10.0.2.0"),
        *delivered(block("10.64.0.0/26")),
    ]
    store.txn((), [Put(key_of(value), encode(value)) for value in site])
    rehearsal = Rehearsal(store)
    rehearsal.txn((), [Put(key_of(change), encode(change))])
    assert withdraws_nothing(store, rehearsal) is said
