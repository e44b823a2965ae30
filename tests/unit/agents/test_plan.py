"""Which endpoints are up, draining or down: states and the order between them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agents.node.plan import SETTLE_S, WITHDRAW_WAIT_S, Memory, Plan, plan
from agents.node.wants import Stage, Want
from intent.snapshot import Snapshot
from store.model import Announces, EndpointState, Value
from tests.support.cluster import advertised, block, endpoint, moving, peer, pool, snapshot

WANT = Want("web", "/run/netns/web", "1", "eth0")
REMEMBERED = Memory(endpoints={"web": endpoint()})


def sort(
    *values: Value, want: Want = WANT, alive: bool = True, memory: Memory = REMEMBERED, now: float = 100.0
) -> tuple[str, Memory]:
    """Where the one want is put, and what is remembered."""
    made, remembered = plan(snapshot(pool(), *values), {"web": want}, lambda _want: alive, memory, now)
    places = {"up": made.up, "draining": made.draining, "down": made.down}
    return next((place for place, names in places.items() if "web" in names), "left alone"), remembered


@pytest.mark.parametrize(
    ("place", "values", "want", "alive"),
    [
        ("up", [endpoint()], WANT, True),
        ("left alone", [endpoint()], Want("web", "/run/netns/web", "1", "eth0", Stage.HOLDING), True),
        ("down", [endpoint()], Want("web", "/run/netns/web", "1", "eth0", Stage.DETACHING), True),
        ("down", [endpoint()], WANT, False),
        ("down", [], WANT, True),
        ("up", [moving(endpoint(), "node-2")], WANT, True),
        ("down", [moving(endpoint(node="node-2"), "node-1")], WANT, True),
        ("down", [moving(endpoint(), "node-2")], WANT, False),
        ("down", [endpoint(state=EndpointState.RELEASING)], WANT, True),
        ("draining", [endpoint(state=EndpointState.RELEASING), advertised("10.64.0.1/32")], WANT, True),
        ("draining", [advertised("10.64.0.1/32")], WANT, True),
        ("draining", [endpoint(), advertised("10.64.0.1/32")], WANT, False),
        ("down", [advertised("10.64.0.9/32")], WANT, True),
    ],
)
def test_where_a_want_is_put(place: str, values: list[Value], want: Want, alive: bool) -> None:
    assert sort(*values, want=want, alive=alive)[0] == place


def test_what_was_up_is_asked_again_when_anything_of_it_is_another() -> None:
    asked: list[Want] = []

    def alive(want: Want) -> bool:
        asked.append(want)
        return True

    def look(at: Snapshot, want: Want, memory: Memory) -> tuple[Plan, Memory]:
        return plan(at, {"web": want}, alive, memory, 9)

    here = snapshot(pool(), endpoint())
    _, memory = look(here, WANT, Memory())
    made, memory = look(here, WANT, memory)
    assert (list(made.up), len(asked)) == (["web"], 1), "nothing was asked again"
    assert look(here, replace(WANT, stage=Stage.DETACHING), memory)[0].down
    assert look(snapshot(pool()), WANT, memory)[0].down
    assert look(snapshot(pool(), endpoint(state=EndpointState.RELEASING)), WANT, memory)[0].down
    assert len(asked) == 1
    look(here, WANT, replace(memory, up={}))
    assert len(asked) == 2, "a look at all asks again"


def test_a_withdrawal_is_waited_for_but_not_for_ever() -> None:
    gone_but_told = advertised("10.64.0.1/32")
    place, memory = sort(gone_but_told, now=100.0)
    assert place == "draining"
    place, memory = sort(gone_but_told, memory=memory, now=100.0 + WITHDRAW_WAIT_S - 0.1)
    assert place == "draining"
    assert sort(gone_but_told, memory=memory, now=100.0 + WITHDRAW_WAIT_S)[0] == "down"


def test_after_the_withdrawal_packets_on_their_way_are_still_delivered() -> None:
    _, memory = sort(endpoint(), advertised("10.64.0.1/32"), now=99.0)
    _, memory = sort(advertised("10.64.0.1/32"), memory=memory, now=100.0)
    place, memory = sort(memory=memory, now=100.0 + SETTLE_S / 2)
    assert place == "draining"
    assert sort(memory=memory, now=100.0 + SETTLE_S)[0] == "down"


def test_a_withdrawal_that_was_faster_than_this_program_settles_too() -> None:
    _, memory = sort(endpoint(), advertised("10.64.0.1/32"), now=70.0)
    place, memory = sort(memory=memory, now=100.0)
    assert place == "draining"
    assert sort(memory=memory, now=100.0 + SETTLE_S)[0] == "down"


def test_an_address_that_no_peer_was_told_of_goes_at_once() -> None:
    _, memory = sort(endpoint(), memory=Memory(), now=99.0)
    assert sort(memory=memory, now=100.0)[0] == "down"


def test_what_edges_may_have_announced_is_delivered_until_they_had_the_time_to_withdraw_it() -> None:
    edged = peer("spine", "10.0.1.9", node=None).model_copy(update={"announces": Announces.ALL})
    place, memory = sort(edged, now=100.0)
    assert place == "draining"
    place, memory = sort(edged, memory=memory, now=100.0 + WITHDRAW_WAIT_S - 0.1)
    assert place == "draining"
    assert sort(edged, memory=memory, now=100.0 + WITHDRAW_WAIT_S)[0] == "down"
    assert sort(edged, block(), now=100.0)[0] == "down", "its block is announced, not the address"


def test_a_restart_in_the_middle_does_not_wait_for_what_it_cannot_know() -> None:
    assert sort(advertised("10.64.0.1/32"), memory=Memory())[0] == "down"
