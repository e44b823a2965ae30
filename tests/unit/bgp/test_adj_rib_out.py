"""Wanted versus told versus held, one step at a time."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network

from bgp.adj_rib_out import (
    CHUNK,
    GRACEFUL_SHUTDOWN,
    AdjRibOut,
    Announce,
    Attributes,
    IPNetwork,
    Withdraw,
    shut_down,
)
from bgp.advertisement import Advertisement
from bgp.fingerprint import fingerprint, nlri
from bgp.peer import Family

SELF = IPv4Address("10.9.0.1")
OTHER = IPv4Address("10.9.0.9")
A, B, C = (ip_network(f"10.64.{number}.0/24") for number in range(3))


def empty(*presumed: IPNetwork) -> AdjRibOut:
    return AdjRibOut([Family.IPV4_UNICAST], SELF, presumed)


def wish(*prefixes: IPNetwork) -> dict[IPNetwork, Advertisement]:
    return {prefix: Advertisement(prefix) for prefix in prefixes}


def settle(rib: AdjRibOut) -> None:
    for change in list(rib.changes()):
        rib.acknowledged(change)


def settled(*prefixes: IPNetwork) -> AdjRibOut:
    rib = empty()
    rib.want(wish(*prefixes))
    settle(rib)
    return rib


def test_nothing_is_changed_while_nobody_said_what_is_wanted() -> None:
    rib = empty()
    rib.found({A: Attributes(SELF)})
    assert list(rib.changes()) == []
    assert not rib.known


def test_wanting_nothing_is_not_the_same_as_not_knowing() -> None:
    rib = empty()
    rib.found({A: Attributes(SELF)})
    rib.want({})
    assert list(rib.changes()) == [Withdraw((A,))]


def test_equal_attributes_share_a_command_and_come_before_withdrawals() -> None:
    rib = settled(C)
    special = Advertisement(B, med=5, communities=((64511, 2), (64511, 1), (64511, 2)))
    rib.want(wish(A) | {B: special})
    assert list(rib.changes()) == [
        Announce(Attributes(SELF), (A,)),
        Announce(Attributes(SELF, ((64511, 1), (64511, 2)), 5), (B,)),
        Withdraw((C,)),
    ]


def test_an_explicit_next_hop_that_is_our_own_is_no_difference() -> None:
    rib = settled(A)
    rib.want({A: Advertisement(A, next_hop=SELF, reason="said otherwise")})
    assert list(rib.changes()) == []


def test_changed_attributes_are_announced_again() -> None:
    rib = settled(A)
    rib.want({A: Advertisement(A, next_hop=OTHER)})
    assert list(rib.changes()) == [Announce(Attributes(OTHER), (A,))]


def test_a_family_that_the_session_does_not_carry_is_left_out() -> None:
    six = ip_network("fd64::/64")
    rib = empty()
    rib.want(wish(A, six))
    assert list(rib.changes()) == [Announce(Attributes(SELF), (A,))]


def test_a_next_hop_of_another_family_is_left_out() -> None:
    six = ip_network("fd64::/64")
    rib = AdjRibOut(Family, SELF)
    rib.want({six: Advertisement(six)})
    assert list(rib.changes()) == []
    hop = IPv6Address("fd09::1")
    rib.want({six: Advertisement(six, next_hop=hop)})
    assert list(rib.changes()) == [Announce(Attributes(hop), (six,))]


def test_long_commands_are_cut() -> None:
    many = list(ip_network("10.0.0.0/16").subnets(new_prefix=28))
    rib = empty()
    rib.want(wish(*reversed(many)))
    changes = list(rib.changes())
    assert [len(change.prefixes) for change in changes] == [CHUNK] * 8 + [len(many) - 8 * CHUNK]
    assert [prefix for change in changes for prefix in change.prefixes] == many


def test_a_prefix_is_held_from_acknowledgement_to_acknowledgement() -> None:
    rib = empty()
    rib.want(wish(A))
    [announce] = rib.changes()
    assert rib.held == frozenset()
    rib.acknowledged(announce)
    rib.want({})
    [withdraw] = rib.changes()
    assert rib.held == {A}
    rib.acknowledged(withdraw)
    assert rib.held == frozenset()


def test_a_dead_process_is_told_all_again_while_the_peer_holds_what_it_had() -> None:
    rib = settled(A, B)
    rib.lost()
    rib.want(wish(A))
    assert list(rib.changes()) == [Announce(Attributes(SELF), (A,))]
    assert rib.held == {A, B}
    settle(rib)
    rib.flush_stale()
    assert rib.held == {A}


def test_what_was_not_answered_is_held_until_it_is_flushed() -> None:
    """A process may have sent it before it died, and the peer keeps it."""
    rib = settled(A)
    rib.want(wish(A, B))
    rib.unanswered(list(rib.changes()))
    rib.lost()
    rib.want(wish())
    assert rib.held == {A, B}
    rib.flush_stale()
    assert rib.held == frozenset()


def test_what_an_earlier_life_announced_is_held_until_it_is_flushed() -> None:
    rib = empty(A)
    rib.want(wish(B))
    settle(rib)
    assert rib.held == {A, B}
    rib.flush_stale()
    assert rib.held == {B}


def test_what_was_refused_is_tried_again_only_after_a_look() -> None:
    rib = empty()
    rib.want(wish(A))
    [announce] = rib.changes()
    rib.refused(announce)
    assert list(rib.changes()) == []
    assert rib.held == frozenset()
    rib.found({})
    assert list(rib.changes()) == [announce]


def test_a_look_brings_back_what_somebody_else_changed() -> None:
    rib = settled(A, B)
    rib.found({A: Attributes(OTHER), C: Attributes(SELF)})
    assert list(rib.changes()) == [Announce(Attributes(SELF), (A, B)), Withdraw((C,))]


def test_what_was_told_is_told_apart_by_its_attributes_in_short() -> None:
    rib = settled(A)
    rib.acknowledged(Announce(Attributes(IPv4Address("10.9.0.1")), (B,)))  # equal, and another object
    rib.acknowledged(Announce(Attributes(OTHER), (C,)))
    assert rib.fingerprints() == {
        Attributes(SELF): fingerprint([nlri(B), nlri(A)]),
        Attributes(OTHER): fingerprint([nlri(C)]),
    }


def test_a_graceful_shutdown_adds_its_community_in_order_and_changes_nothing_else() -> None:
    communities = ((64511, 1), (65535, 1))
    (told,) = shut_down(Attributes(SELF, communities, 7, local_pref=100), [B, A])
    expected = (communities[0], GRACEFUL_SHUTDOWN, communities[1])
    assert told == Announce(Attributes(SELF, expected, 7, local_pref=100), (A, B))
