"""What stays for a while after it is the node's no more: as long as packets may still come for it."""

from __future__ import annotations

from ipaddress import ip_network

from agents.node.leaving import Leaving
from agents.node.plan import SETTLE_S, WITHDRAW_WAIT_S
from intent.snapshot import Snapshot
from store.model import Announces
from tests.support.cluster import advertised, peer, snapshot

P = ip_network("10.64.0.0/26")
NOBODY, TOLD = snapshot(), snapshot(advertised(str(P)))


def left(known: Snapshot, *, told: bool, at: float) -> list[float]:
    """The looks, in seconds after it was gone from the node, at which it stays."""
    leaving: Leaving[str] = Leaving()
    before = {P} if told else set()
    assert leaving.look({P: "it"}, TOLD if told else NOBODY, before, at) == {}
    looks = (0.0, SETTLE_S / 2, SETTLE_S, WITHDRAW_WAIT_S - 0.01, WITHDRAW_WAIT_S)
    found = []
    for number, after_s in enumerate(looks):
        stays = leaving.look({}, known, before if not number else known.advertised, at + after_s)
        assert stays in ({}, {P: "it"})
        found += [after_s] * bool(stays)
    return found


def test_what_nobody_was_told_of_goes_at_once() -> None:
    assert left(NOBODY, told=False, at=100.0) == []


def test_what_was_withdrawn_before_anybody_looked_is_delivered_for_a_moment() -> None:
    assert left(NOBODY, told=True, at=100.0) == [0.0, SETTLE_S / 2]


def test_a_withdrawal_is_not_waited_for_for_ever() -> None:
    assert left(TOLD, told=True, at=100.0) == [0.0, SETTLE_S / 2, SETTLE_S, WITHDRAW_WAIT_S - 0.01]


def test_edges_have_the_whole_time_to_withdraw_what_this_node_cannot_see() -> None:
    edge = peer("spine", "10.0.1.9", node=None).model_copy(update={"announces": Announces.ALL})
    stays = [0.0, SETTLE_S / 2, SETTLE_S, WITHDRAW_WAIT_S - 0.01]
    assert left(snapshot(edge), told=False, at=100.0) == stays


def test_what_comes_back_is_the_nodes_own_again() -> None:
    leaving: Leaving[str] = Leaving()
    leaving.look({P: "it"}, TOLD, {P}, 100.0)
    assert leaving.look({}, TOLD, {P}, 100.1) == {P: "it"}
    assert leaving.look({P: "it"}, TOLD, {P}, 100.2) == {}
    assert leaving.look({P: "it"}, TOLD, {P}, 100.0 + WITHDRAW_WAIT_S) == {}
    assert leaving.look({}, TOLD, {P}, 101.0 + WITHDRAW_WAIT_S) == {P: "it"}, "counted anew"
