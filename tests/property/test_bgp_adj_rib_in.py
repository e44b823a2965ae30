"""What is taken from a peer equals a model that knows the whole history."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bgp.adj_rib_in import AdjRibIn, Path
from bgp.adj_rib_out import IPNetwork
from bgp.peer import Family

ASKED = [ip_network(text) for text in ("0.0.0.0/0", "192.0.2.0/24", "::/0", "2001:db8::/32")]
UNASKED = [ip_network(text) for text in ("192.0.2.0/25", "10.0.0.0/8", "2001:db8::/33")]
HOPS = {4: [ip_address("10.9.0.0"), ip_address("10.9.0.2")], 6: [ip_address("fd09::"), ip_address("fd09::2")]}
LOCAL_ASN, SELF = 64511, ip_address("10.9.0.1")

families = st.frozensets(st.sampled_from(Family))
prefixes = st.sampled_from(ASKED + UNASKED)


def path(prefix: IPNetwork, hop: int, looped: bool) -> Path:
    return Path(HOPS[prefix.version][hop], (64501, LOCAL_ASN) if looped else (64501,))


class Peer(RuleBasedStateMachine):
    """The model keeps for each prefix what the peer last meant, and who is to blame for that it is old."""

    def __init__(self) -> None:
        super().__init__()
        self.rib = AdjRibIn(ASKED, LOCAL_ASN, SELF)
        self.now = 0.0
        self.up = False
        self.announced: dict[IPNetwork, Path] = {}
        """In the session that is up, good or not."""
        self.old: dict[IPNetwork, tuple[Path, float, bool]] = {}
        """Path, until when, and whether the own process died."""

    @initialize(taken=st.frozensets(prefixes), life=st.integers(1, 9))
    def suppose(self, taken: frozenset[IPNetwork], life: int) -> None:
        made = {prefix: path(prefix, 0, False) for prefix in taken}
        self.rib.suppose(made, life)
        self.old = {prefix: (one, life, True) for prefix, one in made.items() if prefix in ASKED}

    def good(self) -> dict[IPNetwork, Path]:
        return {p: one for p, one in self.announced.items() if p in ASKED and LOCAL_ASN not in one.as_path}

    def tell(self) -> None:
        self.rib.found(self.announced)
        for prefix in self.announced:
            self.old.pop(prefix, None)

    @precondition(lambda self: self.up)
    @rule(prefix=prefixes, hop=st.integers(0, 1), looped=st.booleans())
    def announce(self, prefix: IPNetwork, hop: int, looped: bool) -> None:
        self.announced[prefix] = path(prefix, hop, looped)
        self.tell()

    @precondition(lambda self: self.up)
    @rule(prefix=prefixes)
    def withdraw(self, prefix: IPNetwork) -> None:
        self.announced.pop(prefix, None)
        self.tell()

    @precondition(lambda self: self.up)
    @rule(family=st.sampled_from(Family))
    def end_of_rib(self, family: Family) -> None:
        self.rib.swept(family)
        self.old = {p: one for p, one in self.old.items() if Family.of(p) is not family}

    @precondition(lambda self: self.up)
    @rule(kept=families, life=st.integers(0, 9))
    def lose_the_peer(self, kept: frozenset[Family], life: int) -> None:
        until = self.now + life
        self.rib.session_ended(kept, until)
        both = {p: one for p, (one, _, _) in self.old.items()} | self.good()
        self.old = {p: (one, until, False) for p, one in both.items() if Family.of(p) in kept}
        self.announced, self.up = {}, False

    @rule(life=st.integers(0, 9))
    def lose_the_process(self, life: int) -> None:
        self.rib.process_ended(self.now + life)
        self.old |= {p: (one, self.now + life, True) for p, one in self.good().items()}
        self.announced, self.up = {}, False

    @precondition(lambda self: not self.up)
    @rule(kept=families, life=st.integers(0, 9))
    def connect(self, kept: frozenset[Family], life: int) -> None:
        self.rib.session_began(kept, self.now + life)
        self.old = {
            p: (one, self.now + life, own)
            for p, (one, _, own) in self.old.items()
            if own or Family.of(p) in kept
        }
        self.up = True

    @rule(passed=st.integers(1, 5))
    def wait(self, passed: int) -> None:
        self.now += passed
        self.rib.expire(self.now)
        self.old = {p: one for p, one in self.old.items() if one[1] > self.now}

    @invariant()
    def taken_as_in_the_model(self) -> None:
        fresh = self.good()
        assert {p: one for p, one in self.rib.taken.items() if not one.stale} == fresh
        stale = {p: one.next_hop for p, one in self.rib.taken.items() if one.stale}
        assert stale == {p: one.next_hop for p, (one, _, _) in self.old.items()}
        assert self.rib.due == min((until for _, until, _ in self.old.values()), default=float("inf"))


TestPeer = Peer.TestCase
