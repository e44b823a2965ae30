"""What is kept back from a peer, since when, and that it is told of once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

import pytest

from agents.speaker.outbound import Outbound
from bgp.advertisement import Advertisement
from store.model import IPNetwork, Session
from tests.support.cluster import NODE, peer, pool, snapshot

HOSTS = [ip_network(f"10.64.0.{number}/32") for number in range(4)]
LONG_AGO = datetime.now(UTC) - timedelta(days=1)
TOR = peer().model_copy(update={"max_prefixes": 2})


class Peerings:
    """What each peer is to be told, as it was said last."""

    def __init__(self) -> None:
        self.told: dict[str, set[IPNetwork]] = {}

    def replace(self, name: str, wanted: Mapping[IPNetwork, Advertisement]) -> None:
        self.told[name] = set(wanted)


class Node:
    """Whose routes are guarded; `said` is what an earlier life of its program told of the session."""

    def __init__(self, said: Session | None = None) -> None:
        self.peerings = Peerings()
        self.outbound = Outbound(self.peerings)
        self.known = replace(snapshot(pool()), sessions={TOR.name: said} if said is not None else {})

    def wants(self, *prefixes: IPNetwork, held: Collection[IPNetwork] = ()) -> set[IPNetwork]:
        """What its peer is told then."""
        wanted = {prefix: Advertisement(prefix) for prefix in prefixes}
        self.outbound.replace(self.known, TOR, wanted, set(held))
        return self.peerings.told[TOR.name]

    @property
    def since(self) -> datetime | None:
        return self.outbound.outcomes()[TOR.name].since


def session(kept: int, since: datetime | None) -> Session:
    return Session(
        node=NODE,
        peer=TOR.name,
        address=TOR.address,
        asn=TOR.asn,
        state="ESTABLISHED",
        since=LONG_AGO,
        guarded=kept,
        guarded_since=since,
    )


def test_what_was_let_through_a_moment_ago_is_not_given_up_for_what_comes_now() -> None:
    node = Node()
    assert node.wants(*HOSTS[2:]) == {*HOSTS[2:]}
    assert node.wants(*HOSTS) == {*HOSTS[2:]}, "nobody has acknowledged these yet"
    assert node.wants(*HOSTS[:3]) == {HOSTS[0], HOSTS[2]}, "there is room for one"
    node.outbound.keep([])
    assert node.wants(*HOSTS, held={HOSTS[3]}) == {HOSTS[0], HOSTS[3]}, "all that is known is what is held"


def test_what_is_kept_back_is_told_of_when_it_changes(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    node = Node()
    for wanted in (HOSTS[:1], HOSTS[:3], HOSTS[:3], [*HOSTS[:2], HOSTS[3]], HOSTS[:2], HOSTS[:1]):
        node.wants(*wanted)
    assert [(record.levelname, record.getMessage().split(" first=")[0]) for record in caplog.records] == [
        ("ERROR", "event=outbound-guard peer=tor-a kept=1"),
        ("ERROR", "event=outbound-guard peer=tor-a kept=1"),
        ("INFO", "event=outbound-guard peer=tor-a kept=0"),
    ]


@pytest.mark.parametrize(
    ("said", "first", "then"),
    [
        (None, None, "now"),
        (session(0, None), None, "now"),
        (session(0, LONG_AGO), LONG_AGO, "now"),
        (session(2, LONG_AGO), "now", "now"),
    ],
)
def test_since_when_outlives_the_program(said: Session | None, first: object, then: object) -> None:
    node = Node(said)
    node.wants(*HOSTS[:1])
    assert ("now" if is_new(node.since) else node.since) == first
    node.wants(*HOSTS)
    assert ("now" if is_new(node.since) else node.since) == then
    before = node.since
    node.wants(*HOSTS[1:])
    assert node.since == before, "something is kept back still"
    kept = Node(session(1, LONG_AGO))
    kept.wants(*HOSTS)
    assert kept.since == LONG_AGO


def is_new(since: datetime | None) -> bool:
    return since is not None and since > LONG_AGO
