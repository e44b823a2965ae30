"""Which endpoints are up, which still wait for their withdrawal, and which are to be taken down. Pure.

An endpoint goes down in the order of the architecture: its readiness first, then, once no peer is told of
its address any more, flow, route and neighbour, then port and link.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, field

from agents.node.wants import Stage, Want, fits
from intent.advertisements import host_reason
from intent.snapshot import Snapshot
from store.model import Endpoint, EndpointState, IPNetwork, host_prefix

WITHDRAW_WAIT_S = 2.0
"""How long a withdrawal is waited for: a speaker that is dead must not hold an address for ever."""

SETTLE_S = 0.2
"""How long after the withdrawal packets are still delivered: routers need a moment to act on it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one pass should do with each want."""

    up: Mapping[str, Endpoint] = field(default_factory=dict)
    draining: Mapping[str, Endpoint] = field(default_factory=dict)
    """Withdrawn, or about to be, but a peer may still send: keep delivering."""
    down: Mapping[str, str] = field(default_factory=dict)
    """To be taken down, with the reason."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a look hands to the next, by endpoint id. Times are of the caller's clock, in seconds."""

    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    """The last value of each endpoint that is wanted, as long as it is."""
    advertised: Container[IPNetwork] = ()
    """What peers were told of at the last look."""
    down_since: Mapping[str, float] = field(default_factory=dict)
    told_at: Mapping[str, float] = field(default_factory=dict)
    """When a peer was last known to be told of the address of an endpoint that goes down."""
    up: Mapping[str, tuple[Want, Endpoint]] = field(default_factory=dict)
    """What was up: with the same objects it is so again, and nothing is asked. Forgotten when namespaces are
    to be looked at again."""


def plan(
    snapshot: Snapshot,
    wants: Mapping[str, Want],
    netns_alive: Callable[[Want], bool],
    memory: Memory,
    now: float,
) -> tuple[Plan, Memory]:
    """Sort the wants.

    Args:
        snapshot: what should be.
        wants: what callers asked for; those in stage HOLDING are left out.
        netns_alive: whether a want's namespace is still the one it was.
        memory: what the last look handed over.
        now: seconds, of any monotonic clock.
    """
    up: dict[str, Endpoint] = {}
    draining: dict[str, Endpoint] = {}
    down: dict[str, str] = {}
    down_since: dict[str, float] = {}
    told_at: dict[str, float] = {}
    last: dict[str, Endpoint] = {}
    stay: dict[str, tuple[Want, Endpoint]] = {}
    before, endpoints, departing = memory.up, snapshot.endpoints, snapshot.departing
    for name, want in wants.items():
        was = before.get(name)
        if was is not None and was[0] is want and was[1] is endpoints.get(name):
            up[name], stay[name] = was[1], was
            continue
        if want.stage is Stage.HOLDING:
            continue
        endpoint = endpoints.get(name) or departing.get(name)
        why = _why_down(endpoint, want, netns_alive)
        if why is None and endpoint is not None:
            up[name], stay[name] = endpoint, (want, endpoint)
            continue
        known = endpoint or memory.endpoints.get(name)
        down_since[name] = memory.down_since.get(name, now)
        if (told := _told_at(snapshot, known, memory, now)) is not None:
            told_at[name] = told
        if known is not None:
            last[name] = known
        if known is not None and _drains(name, told_at, down_since, now):
            draining[name] = known
        else:
            down[name] = why or ""
    return Plan(up, draining, down), Memory({**up, **last}, snapshot.advertised, down_since, told_at, stay)


def _why_down(endpoint: Endpoint | None, want: Want, netns_alive: Callable[[Want], bool]) -> str | None:
    if want.stage is Stage.DETACHING:
        return "detach was asked for"
    if endpoint is None:
        return "the endpoint is not on this node"
    if endpoint.state is not EndpointState.ASSIGNED:
        return "the endpoint is being released"
    if not fits(want, endpoint.kind):
        return f"the endpoint is another one, of kind {endpoint.kind}"
    return None if netns_alive(want) else f"its network namespace {want.netns} is gone"


def _told_at(snapshot: Snapshot, endpoint: Endpoint | None, memory: Memory, now: float) -> float | None:
    """When a peer was last told of the address; None when none ever was, as far as is known.

    A speaker may have withdrawn before this program came to look: the settling time begins now all the same.
    """
    if endpoint is None:
        return None
    prefixes = [host_prefix(address) for address in endpoint.addresses]
    first_look = endpoint.id not in memory.down_since
    if (
        snapshot.edged
        and first_look
        and any(host_reason(snapshot, endpoint, *one) for one in endpoint.placed)
    ):
        # What edge nodes announce for this one is not in its sight: they get the whole time to withdraw it.
        return now + WITHDRAW_WAIT_S
    if any(one in snapshot.advertised or (first_look and one in memory.advertised) for one in prefixes):
        return now
    return memory.told_at.get(endpoint.id)


def _drains(name: str, told_at: Mapping[str, float], down_since: Mapping[str, float], now: float) -> bool:
    settled = name not in told_at or now - told_at[name] >= SETTLE_S
    return not settled and now - down_since[name] < WITHDRAW_WAIT_S
