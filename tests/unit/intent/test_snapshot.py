"""The view: in whatever order it is told, the same snapshot; what has not changed keeps its identity."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from intent.snapshot import Snapshot, View
from store import keys
from store.model import AddressSet, Group, Node, Told, Value
from tests.support.cluster import (
    NODE,
    advertised,
    block,
    displaced,
    endpoint,
    health,
    key_of,
    peer,
    pool,
    ready,
    service,
)

VALUES: list[Value] = [
    pool(),
    peer(),
    peer("everybody", "10.0.9.0", node=None),
    peer("others", "10.0.8.0", node="node-2"),
    Node(name=NODE, asn=64511),
    Node(name="node-10", asn=64520),
    block(),
    endpoint(),
    displaced("10.64.0.5"),
    ready("10.64.0.0/26"),
    advertised("10.64.0.0/26"),
    service(),
    health("www", web=True),
]


def told(values: list[Value]) -> View:
    view = View(NODE)
    for value in values:
        view.put(key_of(value), value)
    return view


@given(st.permutations(VALUES), st.lists(st.sampled_from(VALUES)))
def test_order_and_repetition_do_not_matter(values: list[Value], again: list[Value]) -> None:
    assert told([*values, *again]).snapshot == told(VALUES).snapshot


@given(st.sets(st.sampled_from(range(len(VALUES)))))
def test_deleting_is_never_having_heard_of_it(gone: set[int]) -> None:
    view = told(VALUES)
    assert view.snapshot.node is not None
    for place in gone:
        view.delete(key_of(VALUES[place]))
    assert view.snapshot == told([value for place, value in enumerate(VALUES) if place not in gone]).snapshot


def test_what_belongs_to_this_node() -> None:
    snapshot = told(VALUES).snapshot
    assert snapshot.node == Node(name=NODE, asn=64511)
    assert set(snapshot.peers) == {"tor-a", "everybody"}
    assert set(snapshot.endpoints) == {"web"}


def test_what_a_node_holds_does_not_depend_on_the_pool() -> None:
    """A pool that cannot be read, say by an older program, must not take a container off the network."""
    view = told([value for value in VALUES if value != pool()])
    assert set(view.snapshot.endpoints) == {"web"}
    assert len(view.snapshot.blocks) == 1


def test_what_has_not_changed_is_the_very_same_object() -> None:
    view = told(VALUES)
    before = view.snapshot
    assert view.snapshot is before
    view.put(key_of(endpoint()), endpoint())
    assert view.snapshot is before, "an equal value is no change"
    view.put(key_of(ready("10.64.0.1/32")), ready("10.64.0.1/32"))
    after: Snapshot = view.snapshot
    assert after.endpoints is before.endpoints
    assert after.blocks is before.blocks
    assert after.ready is not before.ready


def test_a_set_is_joined_of_its_shards_and_the_very_same_object_while_another_changes() -> None:
    view, first, other = View(NODE), "1" * 16, "2" * 16

    def tell(name: str, shard: int, *hosts: int) -> None:
        addresses = tuple(IPv4Address("10.64.0.0") + host for host in hosts)
        told = AddressSet(set=name, shard=shard, addresses=addresses)
        view.put(keys.SETS.key(name, shard), told)

    for name in (first, other):
        view.put(keys.GROUPS.key(NODE, name), Group(tenant=f"t{name[0]}", members=name))
    tell(first, 0, 1, 2)
    tell(first, 1, 3)
    tell(other, 0, 1)
    before = view.snapshot.sets
    assert before[first] == {IPv4Address(f"10.64.0.{host}") for host in (1, 2, 3)}
    tell(other, 0, 1, 2)
    assert view.snapshot.sets[first] is before[first]
    assert view.snapshot.sets[other] == {IPv4Address(f"10.64.0.{host}") for host in (1, 2)}
    tell(first, 1)
    assert view.snapshot.sets[first] == {IPv4Address(f"10.64.0.{host}") for host in (1, 2)}


def test_what_is_told_of_policies_counts_when_the_sets_that_are_named_are_there() -> None:
    view, name = View(NODE), "1" * 16
    group = Group(tenant="shop", members=name)
    view.put(keys.GROUPS.key(NODE, "shop"), group)
    view.put(keys.TOLD.key(NODE, "web"), Told(endpoint="web", uid="0" * 32))
    view.put(key_of(endpoint()), endpoint())
    view.put(keys.SETS.key(name, 1), AddressSet(set=name, shard=1, addresses=(IPv4Address("10.64.0.1"),)))
    assert view.snapshot.endpoints, "the rest does not wait"
    assert not view.snapshot.groups
    assert not view.snapshot.told
    view.put(keys.SETS.key(name, 0), AddressSet(set=name, shard=0, addresses=()))
    assert view.snapshot.groups == {"shop": group}
    assert view.snapshot.told == {"web": "0" * 32}
    assert view.snapshot.sets == {name: {IPv4Address("10.64.0.1")}}
    view.delete(keys.SETS.key(name, 0))
    view.delete(keys.SETS.key(name, 1))
    assert view.snapshot.sets, "while it is named it is as it was"
    view.delete(keys.GROUPS.key(NODE, "shop"))
    assert not view.snapshot.groups
    assert not view.snapshot.sets


def test_sets_that_nothing_names_change_nothing() -> None:
    view = told(VALUES)
    before = view.snapshot.sets
    view.put(keys.SETS.key("1" * 16, 0), AddressSet(set="1" * 16, shard=0, addresses=()))
    assert view.snapshot.sets is before


def test_what_a_former_controller_tells_counts_as_well() -> None:
    view, name = View(NODE), "1" * 16
    view.put(keys.GROUPS.key(NODE, "shop"), Group(tenant="shop", members=name))
    there = AddressSet(set=name, shard=3, addresses=(IPv4Address("10.64.0.1"),))
    view.put(keys.FORMER_SETS.key(NODE, name, 3), there)
    assert view.snapshot.sets == {name: {IPv4Address("10.64.0.1")}}
