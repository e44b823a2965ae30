"""The Adj-RIB-Out converges: from anything sent to anything wanted, whatever dies in between."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from bgp.adj_rib_out import AdjRibOut, Announce, Attributes, Change, IPNetwork, differing
from bgp.advertisement import Advertisement
from bgp.peer import Family

SELF = ip_address("10.9.0.1")
PREFIXES = [ip_network(f"10.64.{number}.0/24") for number in range(6)]
ATTRIBUTES = [Attributes(SELF), Attributes(SELF, ((64511, 1),), 7), Attributes(ip_address("10.9.0.9"))]

routes = st.dictionaries(st.sampled_from(PREFIXES), st.sampled_from(ATTRIBUTES))


def wish(made: dict[IPNetwork, Attributes]) -> dict[IPNetwork, Advertisement]:
    return {
        prefix: Advertisement(prefix, next_hop=a.next_hop, communities=a.communities, med=a.med)
        for prefix, a in made.items()
    }


class Exa:
    """What ExaBGP holds, and what the peer does: the other side of the state under test."""

    def __init__(self) -> None:
        self.routes: dict[IPNetwork, Attributes] = {}

    def take(self, change: Change) -> None:
        for prefix in change.prefixes:
            if isinstance(change, Announce):
                self.routes[prefix] = change.attributes
            else:
                del self.routes[prefix]  # an unneeded withdrawal is a KeyError


tables = st.dictionaries(st.integers(0, 9), st.integers(0, 2))


@given(old=tables, new=tables, begin=tables)
def test_differing_is_what_a_comparison_of_every_key_finds(
    old: dict[int, int], new: dict[int, int], begin: dict[int, int]
) -> None:
    for left, right in ((old, new), (begin | old, begin | new)):
        expected = {key for key in left.keys() | right.keys() if left.get(key) != right.get(key)}
        assert differing(left, right) == expected


@given(sent=routes, wanted=routes)
def test_one_pass_turns_anything_sent_into_anything_wanted(
    sent: dict[IPNetwork, Attributes], wanted: dict[IPNetwork, Attributes]
) -> None:
    exa = Exa()
    exa.routes = dict(sent)
    rib = AdjRibOut([Family.IPV4_UNICAST], SELF)
    rib.found(sent)
    rib.want(wish(wanted))
    changes = list(rib.changes())
    for change in changes:
        exa.take(change)
        rib.acknowledged(change)
    assert exa.routes == wanted
    assert list(rib.changes()) == []
    touched = [prefix for change in changes for prefix in change.prefixes]
    assert len(touched) == len(set(touched))
    assert not any(sent.get(prefix) == wanted.get(prefix) for prefix in touched)


class Converges(RuleBasedStateMachine):
    """ExaBGP dies, sessions reset, answers get lost, programs restart; wishes change all the while."""

    @initialize()
    def begin(self) -> None:
        self.exa = Exa()
        self.peer: set[IPNetwork] = set()
        self.rib = AdjRibOut([Family.IPV4_UNICAST], SELF)
        self.wanted: dict[IPNetwork, Attributes] | None = None

    @rule(wanted=routes)
    def want(self, wanted: dict[IPNetwork, Attributes]) -> None:
        self.wanted = wanted
        self.rib.want(wish(wanted))

    @rule(count=st.integers(1, 3), lost=st.booleans())
    def send(self, count: int, lost: bool) -> None:
        """Some of the changes; the last answer may get lost, and then all is read back."""
        changes = list(self.rib.changes())[:count]
        for number, change in enumerate(changes, 1):
            self.exa.take(change)
            self.peer |= set(change.prefixes) if isinstance(change, Announce) else set()
            if not isinstance(change, Announce):
                self.peer -= set(change.prefixes)
            if lost and number == len(changes):
                self.rib.found(self.exa.routes)
            else:
                self.rib.acknowledged(change)

    @rule()
    def exabgp_dies_with_an_answer_on_its_way(self) -> None:
        """What it sent before it died is at the peer, and stays there."""
        for change in self.rib.changes():
            self.peer |= set(change.prefixes) if isinstance(change, Announce) else set()
        self.rib.unanswered(list(self.rib.changes()))
        self.exabgp_dies()

    @rule()
    def exabgp_dies(self) -> None:
        """The peer keeps what it had: graceful restart."""
        self.exa.routes.clear()
        self.rib.lost()

    @rule(keep=st.booleans())
    def session_resets(self, keep: bool) -> None:
        """ExaBGP announces again by itself; the driver looks at what it holds."""
        self.peer = (self.peer if keep else set()) | set(self.exa.routes)
        self.rib.found(self.exa.routes)

    @rule()
    def program_restarts(self) -> None:
        held = self.rib.held
        self.rib = AdjRibOut([Family.IPV4_UNICAST], SELF, held)
        self.rib.found(self.exa.routes)
        if self.wanted is not None:
            self.rib.want(wish(self.wanted))

    @rule()
    def finish(self) -> None:
        """A whole pass with End-of-RIB: everything agrees."""
        if self.wanted is None:
            return
        for change in list(self.rib.changes()):
            self.exa.take(change)
            self.rib.acknowledged(change)
        self.peer = set(self.exa.routes)
        self.rib.flush_stale()
        assert self.exa.routes == self.wanted
        assert self.rib.held == set(self.wanted)
        assert list(self.rib.changes()) == []

    @invariant()
    def nothing_the_peer_may_hold_is_forgotten(self) -> None:
        assert self.peer <= self.rib.held


TestConverges = Converges.TestCase
