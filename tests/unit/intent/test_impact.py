"""What a change would do: lists of states, each with a change and what it amounts to at every router."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from bgp.advertisement import Advertisement
from intent.impact import Impact, PeerImpact, impact
from store.model import Advertise, Alive, Endpoint, Lost, Program, Value
from tests.support.cluster import endpoint, pool
from tests.support.fleet import advertised, block, changed, node, ready, tor

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONE, TWO = "10.64.0.0/26", "10.64.1.0/26"
WEB = endpoint()
"""In the first block, on the first node."""
MOVED = endpoint("moved", "10.64.1.7")
"""On the first node, in the block of the second."""

SITE: list[Value] = [
    pool(),
    node(),
    node("node-2"),
    tor(),
    tor("tor-b", "10.0.2.0"),
    block(ONE),
    ready(ONE),
    block(TWO, "node-2"),
    ready(TWO, "node-2"),
]
"""Two nodes with a block each, and two routers that both speak with."""


def with_(value: Any, **fields: Any) -> Any:
    return type(value).model_validate(value.model_dump() | fields)


@dataclass
class Case:
    """A change, and what it does in short; see `short`."""

    puts: list[Value] = field(default_factory=list)
    deletes: list[Value] = field(default_factory=list)
    more: list[Value] = field(default_factory=list)
    """What there is beside `SITE`."""
    expected: set[str] = field(default_factory=set)
    endpoints: dict[str, tuple[str, ...]] = field(default_factory=dict)
    percent: float = 0


def everywhere(*lines: str) -> set[str]:
    return {
        f"{name} {tor_name} {line.replace('BLOCK', cidr)}"
        for name, cidr in (("node-1", ONE), ("node-2", TWO))
        for tor_name in ("tor-a", "tor-b")
        for line in lines
    }


CASES: dict[str, Case] = {
    "nothing": Case(),
    "what no router sees": Case([with_(pool(), cooldown_s=5), node(mtu_bytes=9000)]),
    "a pool without a block": Case([pool("other", "10.70.0.0/16")]),
    "a pool is not announced any more": Case(
        [pool(advertise=Advertise.NONE)],
        more=[WEB],
        expected=everywhere("- BLOCK"),
        endpoints={"web": ("tor-a", "tor-b")},
        percent=100,
    ),
    "a pool announces hosts": Case(
        [pool(advertise=Advertise.HOST)],
        more=[WEB, ready("10.64.0.1/32")],
        expected=everywhere("- BLOCK") | {"node-1 tor-a + 10.64.0.1/32", "node-1 tor-b + 10.64.0.1/32"},
        endpoints={"web": ()},
        percent=100,
    ),
    "a pool gets a community": Case(
        [with_(pool(), communities=["64500:1"])],
        more=[WEB],
        expected=everywhere("~ BLOCK"),
    ),
    "a pool is gone": Case(
        deletes=[pool()],
        more=[WEB],
        expected=everywhere("- BLOCK"),
        endpoints={"web": ("tor-a", "tor-b")},
        percent=100,
    ),
    "a peer is gone": Case(
        deletes=[tor("tor-b", "10.0.2.0")],
        more=[WEB, MOVED, ready("10.64.1.7/32")],
        expected={
            "node-1 tor-b closes",
            f"node-1 tor-b - {ONE}",
            "node-1 tor-b - 10.64.1.7/32",
            "node-2 tor-b closes",
            f"node-2 tor-b - {TWO}",
        },
        endpoints={"web": ("tor-b",), "moved": ("tor-b",)},
        percent=50,
    ),
    "a peer is new": Case(
        [tor("tor-c", "10.0.3.0", node="node-2")],
        expected={"node-2 tor-c opens", f"node-2 tor-c + {TWO}"},
    ),
    "a peer becomes that of some nodes": Case(
        [tor(node_selector={"rack": "7"})],
        more=[node("node-2", labels={"rack": "7"})],
        expected={"node-1 tor-a closes", f"node-1 tor-a - {ONE}"},
        percent=25,
    ),
    "a node's labels change": Case(
        [node("node-2", labels={"rack": "7"})],
        more=[tor("tor-c", "10.0.3.0", node_selector={"rack": "7"})],
        expected={"node-2 tor-c opens", f"node-2 tor-c + {TWO}"},
    ),
    "a node is gone": Case(
        deletes=[node("node-2")],
        expected={f"node-2 {name} {what}" for name in ("tor-a", "tor-b") for what in ("closes", f"- {TWO}")},
        percent=50,
    ),
    "a hold time": Case(
        [tor(hold_time_s=30)],
        expected={f"node-{number} tor-a resets: hold_time_s 90 -> 30" for number in (1, 2)},
    ),
    "terms of all kinds": Case(
        [tor(gtsm=True, password_secret="tor-a", families=["ipv4", "ipv6"], local_asn=64999)],
        expected={
            f"node-{number} tor-a resets: local_asn 64511 -> 64999, families ipv4 unicast -> "
            "ipv4 unicast, ipv6 unicast, password_secret none -> tor-a, gtsm no -> yes"
            for number in (1, 2)
        },
    ),
    "a node's AS number": Case(
        [node(asn=64600)],
        expected={f"node-1 {name} resets: local_asn 64511 -> 64600" for name in ("tor-a", "tor-b")},
    ),
    "another router under the name of a peer": Case(
        [tor(address="10.0.9.0")],
        expected={
            *(f"node-{number} tor-a {what}" for number in (1, 2) for what in ("closes", "opens")),
            *(f"node-1 tor-a {sign} {ONE}" for sign in "+-"),
            *(f"node-2 tor-a {sign} {TWO}" for sign in "+-"),
        },
        percent=50,
    ),
    "attributes of a peer": Case(
        [tor(med=50, communities=["64500:9"])],
        expected={f"node-1 tor-a ~ {ONE}", f"node-2 tor-a ~ {TWO}"},
    ),
    "a session that cannot be": Case(
        [tor(local_pref=200)],
        expected={
            f"node-{number} tor-a refused: local_pref of peer tor-a is for a router of AS 64511, not 64501"
            for number in (1, 2)
        }
        | {f"node-1 tor-a ~ {ONE}", f"node-2 tor-a ~ {TWO}"},
    ),
    "a limit that is too low": Case(
        [tor(max_prefixes=1)],
        more=[block("10.64.2.0/26"), ready("10.64.2.0/26"), WEB, endpoint("gone", "10.64.2.9")],
        expected={
            "node-1 tor-a - 10.64.2.0/26",
            "node-1 tor-a ! 10.64.2.0/26: beyond max_prefixes 1 of peer tor-a",
        },
        endpoints={"gone": ("tor-a",)},
        percent=100 / 6,
    ),
    "what is ready for another boot counts no more": Case(
        [pool(advertise=Advertise.NONE)],
        more=[Alive(node="node-2", program=Program.AGENT, boot_id="another", started=NOW)],
        expected={f"node-1 {name} - {ONE}" for name in ("tor-a", "tor-b")},
        percent=100,
    ),
}

EDGE: list[Value] = [
    pool(),
    node("edge", edge=True),
    tor("spine", "10.0.9.0", node="edge", announces="all"),
    node("node-1", next_hops=["192.0.2.1"]),
    node("node-2", next_hops=["192.0.2.2"]),
    *SITE[5:],
]
"""Two nodes with a block each, and a third that announces for them."""

NO_EDGE = "peer spine is told of all nodes, and node edge is no edge: polder node set edge --edge"

EDGES: dict[str, Case] = {
    "a member's next hop": Case([node("node-1", next_hops=["192.0.2.9"])], expected={f"edge spine ~ {ONE}"}),
    "a member is gone": Case(
        deletes=[node("node-1", next_hops=["192.0.2.1"])], expected={f"edge spine - {ONE}"}, percent=50
    ),
    "an edge ceases to be one": Case(
        [node("edge")],
        more=[WEB],
        expected={
            f"edge spine refused: {NO_EDGE}",
            f"edge spine - {ONE}",
            f"edge spine - {TWO}",
        },
        endpoints={"web": ("spine",)},
        percent=100,
    ),
    "an edge takes another's place": Case(
        [node("edge-2", edge=True), tor("spine-2", "10.0.9.0", node="edge-2", announces="all")],
        [tor("spine", "10.0.9.0", node="edge", announces="all")],
        more=[WEB],
        expected={
            "edge spine closes",
            "edge-2 spine-2 opens",
            *(f"{where} {cidr}" for where in ("edge spine -", "edge-2 spine-2 +") for cidr in (ONE, TWO)),
        },
        endpoints={"web": ()},
        percent=100,
    ),
    "a silent member is announced for no more": Case(
        [pool(advertise=Advertise.NONE)],
        more=[Lost(node="node-2", since=datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC))],
        expected={f"edge spine - {ONE}"},
        percent=100,
    ),
}


def short(made: PeerImpact) -> Iterable[str]:
    place = f"{made.node} {made.peer}"
    if made.fate != "stays":
        yield f"{place} {made.fate}" + (f": {', '.join(made.because)}" if made.because else "")
    yield from (f"{place} + {each.prefix}" for each in made.appear)
    yield from (f"{place} ~ {each.prefix}" for each, _ in made.change)
    yield from (f"{place} - {each.prefix}" for each in made.vanish)
    yield from (f"{place} ! {prefix}: {why}" for prefix, why in made.kept.items())


def foreseen(values: list[Value], case: Case) -> Impact:
    before, after = changed([*values, *case.more], case.puts, case.deletes)
    return impact(before, after, NOW.timestamp())


@pytest.mark.parametrize(
    ("values", "case"),
    [
        *(pytest.param(SITE, case, id=name) for name, case in CASES.items()),
        *(pytest.param(EDGE, case, id=name) for name, case in EDGES.items()),
    ],
)
def test_what_a_change_does(values: list[Value], case: Case) -> None:
    made = foreseen(values, case)
    assert {line for each in made.peers for line in short(each)} == case.expected
    assert {each.endpoint.id: each.unreachable_at for each in made.endpoints} == case.endpoints
    assert made.withdrawn_percent == pytest.approx(case.percent)


def test_a_prefix_comes_with_its_attributes() -> None:
    case = Case([with_(pool(), communities=["64500:1"])])
    [(before, after), *_] = [each for made in foreseen(SITE, case).peers for each in made.change]
    assert (before.communities, after.communities) == ((), ((64500, 1),))
    assert isinstance(before, Advertisement)


def test_what_is_advertised_already_stays_first_at_a_limit() -> None:
    held = [advertised("10.64.2.0/26", "tor-a"), block("10.64.2.0/26"), ready("10.64.2.0/26")]
    case = Case([tor(max_prefixes=1, med=1)], more=[*held, tor(max_prefixes=1)])
    lines = {line for each in foreseen(SITE, case).peers for line in short(each)}
    assert lines == {"node-1 tor-a ~ 10.64.2.0/26", f"node-2 tor-a ~ {TWO}"}


def test_an_endpoint_that_is_being_released_is_of_no_concern() -> None:
    releasing = Endpoint.model_validate(WEB.model_dump() | {"state": "releasing"})
    assert foreseen(SITE, Case([pool(advertise=Advertise.NONE)], more=[releasing])).endpoints == ()
