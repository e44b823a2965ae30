"""Which endpoints are up, which still wait for their withdrawal, and which are to be taken down. Pure.

An endpoint goes down in the order of the architecture: its readiness first, then, once no peer is told of
its address any more, flow, route and neighbour, then port and link.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from agents.node.wants import Stage, Want
from intent.snapshot import Snapshot
from store.model import Endpoint, EndpointState, host_prefix

WITHDRAW_WAIT_S = 2.0
"""How long a withdrawal is waited for: a speaker that is dead must not hold an address for ever."""


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
    """What a pass hands to the next: the last value of each endpoint, and since when each is draining."""

    endpoints: Mapping[str, Endpoint] = field(default_factory=dict)
    draining_since: Mapping[str, float] = field(default_factory=dict)


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
        memory: what the last pass handed over.
        now: seconds, of any monotonic clock.
    """
    up: dict[str, Endpoint] = {}
    draining: dict[str, Endpoint] = {}
    down: dict[str, str] = {}
    for name, want in wants.items():
        if want.stage is Stage.HOLDING:
            continue
        endpoint = snapshot.endpoints.get(name)
        why = _why_down(endpoint, want, netns_alive)
        known = endpoint or memory.endpoints.get(name)
        if why is None and endpoint is not None:
            up[name] = endpoint
        elif (
            known is not None and _announced(snapshot, known) and _waited(name, memory, now) < WITHDRAW_WAIT_S
        ):
            draining[name] = known
        else:
            down[name] = why or ""
    remembered = Memory(
        endpoints={**up, **draining},
        draining_since={name: memory.draining_since.get(name, now) for name in draining},
    )
    return Plan(up, draining, down), remembered


def _why_down(endpoint: Endpoint | None, want: Want, netns_alive: Callable[[Want], bool]) -> str | None:
    if want.stage is Stage.DETACHING:
        return "detach was asked for"
    if endpoint is None:
        return "the endpoint is not on this node"
    if endpoint.state is not EndpointState.ASSIGNED:
        return "the endpoint is being released"
    return None if netns_alive(want) else f"its network namespace {want.netns} is gone"


def _announced(snapshot: Snapshot, endpoint: Endpoint) -> bool:
    return any(host_prefix(address) in snapshot.advertised for address in endpoint.addresses)


def _waited(name: str, memory: Memory, now: float) -> float:
    return now - memory.draining_since.get(name, now)
