"""What a router holds, as the messages amount to."""

from __future__ import annotations

import pytest

from bgp.bmp.framing import Framer
from bgp.bmp.message import Rib, parse
from bgp.bmp.table import Ends, Held, RouterTable
from bgp.bmp.wire import Malformed
from bgp.peer import Family
from tests.support import bmp

BLOCK, OTHER, IPV6 = "10.64.0.0/26", "10.64.0.64/26", "2001:db8::/122"


def fed(*messages: bytes, table: RouterTable | None = None) -> RouterTable:
    table = table or RouterTable()
    for frame in Framer().take(b"".join(messages)):
        table.take(parse(frame))
    return table


def held(table: RouterTable) -> Held:
    (found,) = table
    return found


def prefixes(table: RouterTable, rib: Rib = Rib.IN_POST_POLICY) -> set[str]:
    return {str(prefix) for prefix in held(table).tables.get(rib, ())}


def test_what_is_told_is_held_until_it_is_withdrawn() -> None:
    table = fed(bmp.peer_up(), bmp.tells(BLOCK, OTHER, IPV6))
    assert held(table).ends == Ends(router=bmp.ROUTER, node=bmp.NODE)
    assert prefixes(table) == {BLOCK, OTHER, IPV6}
    fed(bmp.tells(withdrawn=[OTHER, "10.99.0.0/24"]), table=table)
    assert prefixes(table) == {BLOCK, IPV6}
    assert held(table).size == 2


def test_a_prefix_withdrawn_and_announced_at_once_is_announced() -> None:
    assert prefixes(fed(bmp.peer_up(), bmp.tells(BLOCK, withdrawn=[BLOCK]))) == {BLOCK}


def test_before_and_behind_the_policy_are_two_tables() -> None:
    table = fed(bmp.peer_up(), bmp.tells(BLOCK, OTHER, flags=0), bmp.tells(BLOCK))
    assert prefixes(table) == {BLOCK}
    assert prefixes(table, Rib.IN_PRE_POLICY) == {BLOCK, OTHER}


def test_other_tables_of_the_router_do_not_count() -> None:
    assert prefixes(fed(bmp.peer_up(), bmp.tells(BLOCK, flags=bmp.ADJ_OUT))) == set()


def test_sessions_do_not_share_prefixes() -> None:
    table = fed(bmp.peer_up(), bmp.peer_up(bmp.NODE6, bmp.ROUTER6), bmp.tells(IPV6, node=bmp.NODE6))
    assert {each.ends.node: each.size for each in table} == {bmp.NODE: 0, bmp.NODE6: 1}


def test_all_was_told_when_the_marker_comes() -> None:
    table = fed(bmp.peer_up(), bmp.tells(BLOCK))
    assert held(table).ended == set()
    fed(bmp.monitoring(bmp.end_of_rib()), table=table)
    assert held(table).ended == {(Rib.IN_POST_POLICY, Family.IPV4_UNICAST)}


def test_with_the_session_its_routes_are_gone() -> None:
    table = fed(bmp.peer_up(), bmp.tells(BLOCK), bmp.monitoring(bmp.end_of_rib()), bmp.peer_down())
    assert (held(table).up, held(table).reason) == (False, "the router closed it")
    fed(bmp.tells(BLOCK), table=table)  # too late
    assert held(table).size == 0
    fed(bmp.peer_up(), table=table)
    assert (held(table).up, held(table).size, held(table).ended) == (True, 0, set())


def test_every_change_counts() -> None:
    table, versions = RouterTable(), []
    for message in (bmp.peer_up(), bmp.tells(BLOCK), bmp.peer_down(), bmp.peer_up()):
        fed(message, table=table)
        versions.append(held(table).version)
    assert versions == sorted(set(versions))


def test_sessions_that_were_never_up_are_not_kept() -> None:
    assert list(fed(bmp.peer_down(), bmp.tells(BLOCK))) == []


def test_an_update_that_cannot_be_read_spoils_its_own_session_until_that_is_up_anew() -> None:
    table = fed(bmp.peer_up(), bmp.peer_up(bmp.NODE6, bmp.ROUTER6), bmp.tells(BLOCK))
    fed(bmp.monitoring(b"no update"), bmp.tells(OTHER), bmp.tells(IPV6, node=bmp.NODE6), table=table)
    spoiled, sound = table
    assert "cannot be read" in spoiled.unreadable
    assert spoiled.size == 0
    assert (sound.unreadable, sound.size) == ("", 1)
    fed(bmp.peer_up(), bmp.tells(OTHER), table=table)
    spoiled, _ = table
    assert (spoiled.unreadable, spoiled.size) == ("", 1)


def test_a_session_with_more_than_is_taken_is_not_kept() -> None:
    table = fed(bmp.peer_up(), bmp.tells(BLOCK, OTHER), table=RouterTable(max_prefixes=2))
    assert not held(table).unreadable
    fed(bmp.tells("10.64.0.128/26"), table=table)
    assert held(table).unreadable == "more prefixes than are compared: 3"
    assert held(table).size == 0


def test_what_all_sessions_hold_together_is_bounded() -> None:
    table = RouterTable(max_in_all=2)
    fed(bmp.peer_up(), bmp.peer_up(bmp.NODE6, bmp.ROUTER6), bmp.tells(BLOCK, OTHER), table=table)
    fed(bmp.tells(IPV6, node=bmp.NODE6), table=table)
    assert [bool(each.unreadable) for each in table] == [False, True]
    fed(bmp.peer_down(), bmp.peer_up(bmp.NODE6, bmp.ROUTER6), table=table)
    fed(bmp.tells(IPV6, node=bmp.NODE6), table=table)
    assert [bool(each.unreadable) for each in table] == [False, False]


def test_too_many_sessions_are_too_many() -> None:
    table = fed(bmp.peer_up(), table=RouterTable(max_sessions=1))
    fed(bmp.peer_up(), table=table)
    with pytest.raises(Malformed, match="more than 1 sessions"):
        fed(bmp.peer_up(bmp.NODE6, bmp.ROUTER6), table=table)
