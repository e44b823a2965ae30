"""How a node's uplinks are shared out: a tree of classes (htb) on each uplink whose rate is known.

    root: what the uplink takes
      `OTHERS`: the node itself and all endpoints that asked for nothing; guaranteed a hundredth
      one for each endpoint that is guaranteed something or has a priority

A class gets what it is guaranteed; what is over goes to the highest priority first, and to all of one
priority alike. Where no endpoint asks for something nothing is made: the uplink is as it was.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from intent.held import Held
from store.model import IPAddress, Node, Qos, Uplink

HANDLE = 0x706C
"""The major number of the queueing discipline, which marks it as ours: "pl"."""
ROOT, OTHERS = 1, 2
FIRST = 0x8000
"""Of the endpoints' classes: to this the number of the port is added. Open vSwitch gives numbers below it.
Endpoints that share a port have higher ones (`openflow.behind.NUMBERS`): theirs are, modulo 2^16, above
`OTHERS`."""

LOWEST = 7
"""htb counts priorities the other way round: 0 is served first."""
LEAST_KBPS = 8
"""What is guaranteed to an endpoint that only has a priority: htb takes no class without a rate."""


@dataclass(frozen=True, slots=True)
class Discipline:
    """The root queueing discipline of an uplink; what no filter takes goes to `OTHERS`."""

    ifname: str

    @property
    def key(self) -> Discipline:
        """What it is found by."""
        return self


@dataclass(frozen=True, slots=True)
class ClassKey:
    """What a class is found by."""

    ifname: str
    minor: int


@dataclass(frozen=True, slots=True)
class Class:
    """A class of the tree: what it is guaranteed, the most that it gets, its priority in htb's numbers."""

    ifname: str
    minor: int
    parent: int
    """The minor number of the class above it; 0 for the topmost."""
    rate_kbps: int
    ceil_kbps: int
    priority: int = 0
    reason: str = field(default="", compare=False)
    asked_kbps: int = field(default=0, compare=False)
    """Of the topmost: what is guaranteed to endpoints below it in all, whether there is so much or not."""

    @property
    def key(self) -> ClassKey:
        """What it is found by."""
        return ClassKey(self.ifname, self.minor)


@dataclass(frozen=True, slots=True)
class FilterKey:
    """What a filter is found by."""

    ifname: str
    source: IPAddress


@dataclass(frozen=True, slots=True)
class Filter:
    """Which class takes what comes from an address."""

    ifname: str
    source: IPAddress
    minor: int

    @property
    def key(self) -> FilterKey:
        """What it is found by."""
        return FilterKey(self.ifname, self.source)


Share = Discipline | Class | Filter
ShareKey = Discipline | ClassKey | FilterKey


def shares(node: Node | None, held: Collection[Held]) -> dict[ShareKey, Share]:
    """What each uplink of the node should have. Pure."""
    asking = sorted(
        (one for one in held if one.endpoint.qos is not None and one.endpoint.qos.shaped),
        key=lambda one: one.endpoint.id,
    )
    if node is None or not asking:
        return {}
    return {share.key: share for uplink in node.uplinks for share in _of(uplink, asking)}


def _of(uplink: Uplink, asking: Collection[Held]) -> Iterator[Share]:
    ifname, whole = uplink.ifname, uplink.rate_mbps * 1000
    wanted = {one: _guaranteed(one.endpoint.qos) for one in asking}
    others = _others(whole)
    most, total = whole - others, sum(wanted.values())
    granted = {one: max(1, rate * most // max(total, most)) for one, rate in wanted.items()}
    yield Discipline(ifname)
    yield Class(ifname, ROOT, 0, whole, whole, reason="what the uplink takes", asked_kbps=total)
    yield Class(ifname, OTHERS, ROOT, others, whole, LOWEST, reason="the node, and who asked for nothing")
    for one, rate in granted.items():
        endpoint, minor = one.endpoint, (FIRST + one.ofport) % 0x10000
        priority = LOWEST - (endpoint.qos.priority if endpoint.qos is not None else 0)
        less = f": guaranteed are {total} kbps in all, more than there is" if rate < wanted[one] else ""
        yield Class(ifname, minor, ROOT, rate, whole, priority, reason=f"endpoint {endpoint.id}{less}")
        for address in endpoint.addresses:
            yield Filter(ifname, address, minor)


def overbooked(made: Mapping[ShareKey, Share], ifname: str) -> tuple[int, int] | None:
    """Of an uplink of which more is guaranteed than there is: so many kbps, and how many there are. Pure.

    Args:
        made: what the uplinks should have.
    """
    root = made.get(ClassKey(ifname, ROOT))
    if not isinstance(root, Class):
        return None
    most = root.rate_kbps - _others(root.rate_kbps)
    return (root.asked_kbps, most) if root.asked_kbps > most else None


def _others(whole_kbps: int) -> int:
    """What asked for nothing is left something, the node's own BGP sessions among it."""
    return max(1, whole_kbps // 100)


def _guaranteed(qos: Qos | None) -> int:
    return (qos.guaranteed_kbps if qos is not None else None) or LEAST_KBPS
