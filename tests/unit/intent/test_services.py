"""Who takes which part of a service's packets: everybody about as much, and nobody another's."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from intent.services import SLOTS, Serving, elsewhere, service_flows_of, servings, slots
from openflow.flow import ChoosePort
from store.model import Endpoint, Service
from tests.support.cluster import block, endpoint, hold, peer, pool, service, snapshot

NAMES = st.lists(st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True), min_size=1, max_size=8, unique=True)


@given(NAMES, st.data())
def test_when_one_goes_the_others_keep_what_they_take(names: list[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(names))
    before = slots(tuple(names))
    after = slots(tuple(name for name in names if name != gone))
    assert len(before) == SLOTS
    for was, now in zip(before, after or before, strict=True):
        assert was in (now, gone)


@given(NAMES, st.randoms())
def test_the_order_does_not_matter(names: list[str], shuffle: Random) -> None:
    other = list(names)
    shuffle.shuffle(other)
    assert slots(tuple(names)) == slots(tuple(other))


def test_each_takes_about_as_much() -> None:
    for count in (2, 4, 8):
        taken = Counter(slots(tuple(f"web-{number}" for number in range(count))))
        assert len(taken) == count
        assert max(taken.values()) <= 2 * SLOTS / count


def healthy(_service: Service, one: Endpoint) -> bool:
    return one.id != "sick"


def test_what_has_not_changed_is_the_same_object() -> None:
    held = hold([endpoint("a", "10.64.0.1"), endpoint("sick", "10.64.0.2")])
    first = servings([service()], {"www": held}, healthy, {})
    assert [one.endpoint.id for one in first["www"].holders] == ["a", "sick"]
    assert [one.endpoint.id for one in first["www"].takers] == ["a"]
    again = servings([service()], {"www": held[::-1]}, healthy, first)
    assert again["www"] is first["www"]
    assert service_flows_of(again["www"]) is service_flows_of(first["www"])
    fewer = servings([service()], {"www": held[:1]}, healthy, first)
    assert fewer["www"] is not first["www"]
    assert servings([service()], {}, healthy, first) == {}


def test_only_takers_are_given_packets() -> None:
    (one,) = hold([endpoint("a", "10.64.0.1")])
    served = service_flows_of(Serving(service(), (one,), (one,))).values()
    chosen = [each for flow in served for each in flow.actions if isinstance(each, ChoosePort)]
    assert {port for each in chosen for port in each.ports} == {1}
    idle = service_flows_of(Serving(service(), (one,), ())).values()
    assert not [each for flow in idle for each in flow.actions if isinstance(each, ChoosePort)]


def test_what_is_served_elsewhere_goes_by_the_routers_where_it_would_not_by_itself() -> None:
    (one,) = hold([endpoint("a", "10.64.0.1")])
    far, near = service("far", "10.64.255.1"), service("near", "10.64.0.9")
    known = snapshot(pool(), block(), peer(), far, near)
    assert {str(key.destination) for key in elsewhere(known, {})} == {"10.64.0.9/32"}
    taken = {"far": Serving(far, (one,), (one,)), "near": Serving(near, (one,), (one,))}
    assert elsewhere(known, taken) == {}
    sick = {"far": Serving(far, (one,), ())}
    made = {(str(key.destination), route.kind.value) for key, route in elsewhere(known, sick).items()}
    assert made == {
        ("10.64.255.1/32", "blackhole"),
        ("10.64.255.1/32", "unicast"),
        ("10.64.0.9/32", "unicast"),
    }
