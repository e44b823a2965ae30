"""The Adj-RIB-In of one peer: what is taken, what is kept and for how long."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from bgp.adj_rib_in import AdjRibIn, Path
from bgp.peer import Family

DEFAULT, MORE, DEFAULT_6 = ip_network("0.0.0.0/0"), ip_network("192.0.2.0/24"), ip_network("::/0")
SELF = ip_address("10.9.0.1")
PATH = Path(ip_address("10.9.0.0"), (64501,))
PATH_6 = Path(ip_address("fd09::"), (64501,))
STALE, STALE_6 = Path(PATH.next_hop, (64501,), stale=True), Path(PATH_6.next_hop, (64501,), stale=True)
ALL = frozenset(Family)
V4 = frozenset({Family.IPV4_UNICAST})


@pytest.fixture
def rib() -> AdjRibIn:
    return AdjRibIn([DEFAULT, MORE, DEFAULT_6], 64511, SELF)


@pytest.fixture
def full(rib: AdjRibIn) -> AdjRibIn:
    """Of a session that is up."""
    rib.session_began(frozenset(), 0)
    rib.found({DEFAULT: PATH, DEFAULT_6: PATH_6})
    return rib


def test_only_what_is_asked_for_is_taken(rib: AdjRibIn) -> None:
    rib.found({DEFAULT: PATH, ip_network("192.0.2.0/25"): PATH, ip_network("192.0.0.0/16"): PATH})
    assert rib.taken == {DEFAULT: PATH}


@pytest.mark.parametrize(
    "path",
    [
        Path(PATH.next_hop, (64501, 64511, 64502)),
        Path(SELF, (64501,)),
        Path(ip_address("fd09::"), (64501,)),
    ],
    ids=["own AS", "own address", "other family"],
)
def test_a_path_that_leads_nowhere_is_none(full: AdjRibIn, path: Path) -> None:
    full.found({DEFAULT: path, MORE: PATH})
    assert full.taken == {MORE: PATH}


def test_a_withdrawn_prefix_is_gone(full: AdjRibIn) -> None:
    full.found({DEFAULT_6: PATH_6})
    assert full.taken == {DEFAULT_6: PATH_6}


def test_a_peer_that_does_not_go_on_forwarding_is_left_at_once(full: AdjRibIn) -> None:
    full.session_ended(frozenset(), 120)
    assert full.taken == {}


def test_a_peer_that_restarts_is_kept_until_its_time_is_over(full: AdjRibIn) -> None:
    full.session_ended(V4, 120)
    assert full.taken == {DEFAULT: STALE}
    assert full.due == 120
    full.expire(119)
    assert full.taken == {DEFAULT: STALE}
    full.expire(120)
    assert full.taken == {}
    assert full.due == float("inf")


def test_end_of_rib_sweeps_what_was_not_announced_again(full: AdjRibIn) -> None:
    full.found({DEFAULT: PATH, MORE: PATH, DEFAULT_6: PATH_6})
    full.session_ended(ALL, 120)
    full.session_began(ALL, 200)
    assert full.due == 200
    full.found({DEFAULT: PATH})
    assert full.taken == {DEFAULT: PATH, MORE: STALE, DEFAULT_6: STALE_6}
    full.swept(Family.IPV4_UNICAST)
    assert full.taken == {DEFAULT: PATH, DEFAULT_6: STALE_6}


def test_a_peer_that_did_not_go_on_forwarding_after_all_is_believed(full: AdjRibIn) -> None:
    """RFC 4724 §4.2: the forwarding state bit of the new OPEN decides."""
    full.session_ended(ALL, 120)
    full.session_began(V4, 200)
    assert full.taken == {DEFAULT: STALE}


def test_while_the_own_process_is_replaced_everything_is_kept(full: AdjRibIn) -> None:
    full.process_ended(120)
    full.session_began(frozenset(), 200)
    assert full.taken == {DEFAULT: STALE, DEFAULT_6: STALE_6}
    full.found({DEFAULT: PATH, DEFAULT_6: PATH_6})
    assert full.taken == {DEFAULT: PATH, DEFAULT_6: PATH_6}


def test_a_process_that_keeps_dying_keeps_nothing_longer(full: AdjRibIn) -> None:
    full.process_ended(120)
    full.process_ended(130)
    assert full.due == 120


def test_what_an_earlier_life_took_is_kept_where_it_is_still_asked_for(rib: AdjRibIn) -> None:
    rib.suppose({DEFAULT: PATH, ip_network("198.51.100.0/24"): PATH}, 120)
    assert rib.taken == {DEFAULT: STALE}
    rib.session_began(frozenset(), 200)
    assert rib.taken == {DEFAULT: STALE}


def test_what_is_announced_again_and_withdrawn_does_not_come_back(full: AdjRibIn) -> None:
    full.session_ended(ALL, 120)
    full.session_began(ALL, 200)
    full.found({DEFAULT: PATH})
    full.found({})
    assert full.taken == {DEFAULT_6: STALE_6}
