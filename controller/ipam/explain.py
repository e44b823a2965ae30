"""Why an address is what it is, who has it, and what frees it: for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel

from controller.ipam import blocks
from controller.ipam.reserved import Reserved
from store.model import (
    Address,
    Block,
    Endpoint,
    EndpointState,
    IPAddress,
    Lost,
    Node,
    Pool,
    Service,
    host_prefix,
)
from store.model.value import Address_, Network

LEASE_SLACK_S = 2
"""Seconds that a cooldown may last beyond the pool's: its lease is shared, and etcd looks once a second."""


class Held(StrEnum):
    """What an address of a pool is."""

    ASSIGNED = "assigned"
    COOLDOWN = "cooldown"
    RESERVED = "reserved"
    """Never assigned: in a reserved range, or the first or last of its pool."""
    FREE = "free"


class AddressView(BaseModel):
    """An address of a pool: whose it is, or was, and why."""

    address: Address_
    state: Held
    available: bool
    """A request could get it now: it is free, and its pool is not disabled."""
    pool: str
    block: Network
    owner: str | None = None
    """The node that has claimed the block; null while none has."""
    endpoint: str | None = None
    """Who holds it, or held it last while it cools down."""
    service: str | None = None
    """Likewise, when it is a service's."""
    node: str | None = None
    """Where that endpoint is, or was."""
    tenant: str | None = None
    since: AwareDatetime | None = None
    by: str | None = None
    """The token that asked for it."""
    request: str | None = None
    """The id of that request, as in the audit log."""
    releasing: bool = False
    """Its endpoint is being deleted."""
    held_by: list[str] = []
    """The nodes whose agents hold the endpoint now: link, port, routes or flows of it may exist."""
    free_at: AwareDatetime | None = None
    """When the cooldown is over, at the latest."""
    why: str
    """Why it is not available; empty when it is."""
    frees: str
    """What makes it available; empty when it is."""
    sentences: list[str] = []
    """All of it, for people."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an address."""

    address: IPAddress
    pool: Pool
    claim: Block | None
    held: Address | None
    endpoint: Endpoint | None = None
    """The record of the endpoint that the address names."""
    held_by: Sequence[str] = ()
    """The nodes on which an attachment of that endpoint is."""
    node: Node | None = None
    """The endpoint's."""
    lost: Lost | None = None
    """Of that node."""
    service: Service | None = None
    """The record of the service that the address names."""


def explain(facts: Facts) -> AddressView:
    """The answer, from the facts."""
    state = _state(facts)
    held = facts.held
    view = AddressView(
        address=facts.address,
        state=state,
        available=state is Held.FREE and not facts.pool.disabled,
        pool=facts.pool.name,
        block=blocks.block_of(facts.pool, facts.address),
        owner=facts.claim.node if facts.claim else None,
        why=" ".join(_why(facts, state)),
        frees=_frees(facts, state),
    )
    if held is not None:
        said = {name: getattr(held, name) for name in ("endpoint", "service", "node", "tenant", "since")}
        record = facts.endpoint
        view = view.model_copy(
            update={
                **said,
                "by": held.by or None,
                "request": held.request or None,
                "releasing": record is not None and record.state is EndpointState.RELEASING,
                "held_by": list(facts.held_by),
                "free_at": _free_at(facts, held) if state is Held.COOLDOWN else None,
            }
        )
    return view.model_copy(update={"sentences": [_place(facts), *_why(facts, state), *_end(view, facts)]})


def _state(facts: Facts) -> Held:
    if facts.held is not None:
        return Held(facts.held.state.value)
    return Held.RESERVED if facts.address in Reserved(facts.pool) else Held.FREE


def _place(facts: Facts) -> str:
    pool, block = facts.pool, blocks.block_of(facts.pool, facts.address)
    owner = f"which node {facts.claim.node} has claimed" if facts.claim else "which no node has claimed"
    return f"{facts.address} is in pool {pool.name} ({pool.cidr}), in block {block}, {owner}."


def _why(facts: Facts, state: Held) -> Iterator[str]:
    """Why it is not available; nothing when it is."""
    held = facts.held
    if held is not None and state is Held.ASSIGNED:
        yield from _why_assigned(facts, held)
    elif held is not None:
        yield (f"It cools down since {_when(held.since)}, when {held.holder}{_of(held)}{_on(held)} was gone.")
    elif state is Held.RESERVED:
        yield _why_reserved(facts)
    elif facts.pool.disabled:
        yield f"It is free, but pool {facts.pool.name} is disabled: nothing new is assigned."


def _why_assigned(facts: Facts, held: Address) -> Iterator[str]:
    who = f" by {held.by}" if held.by else ""
    which = f" in request {held.request}" if held.request else ""
    yield (f"It is assigned to {held.holder}{_of(held)}{_on(held)} since {_when(held.since)}{who}{which}.")
    if held.service is not None:
        yield from _why_service(facts, held.service)
        return
    if facts.claim is not None and facts.claim.node != held.node:
        yield f"That is outside its block's node: it is announced as {host_prefix(facts.address)} of its own."
    if facts.endpoint is None:
        yield f"There is no endpoint {held.endpoint}, so nobody holds it: see polder address check."
    elif facts.endpoint.state is EndpointState.RELEASING:
        who_holds = f"; held still by {', '.join(facts.held_by)}" if facts.held_by else ""
        yield f"Endpoint {held.endpoint} is being deleted{who_holds}."
    if facts.lost is not None:
        yield f"No program of node {held.node} lives since {_when(facts.lost.since)}."


def _why_service(facts: Facts, name: str) -> Iterator[str]:
    yield f"Nodes with a healthy endpoint of the service announce {host_prefix(facts.address)} of its own."
    if facts.service is None:
        yield f"There is no service {name}: see polder address check."


def _why_reserved(facts: Facts) -> str:
    pool = facts.pool
    inside = next((each for each in pool.reserved if facts.address in each), None)
    if inside is not None:
        return f"It is reserved: pool {pool.name} never assigns {inside}."
    which = "first" if facts.address == pool.cidr.network_address else "last"
    return f"It is the {which} address of {pool.cidr}, which no host gets."


def _frees(facts: Facts, state: Held) -> str:
    """What makes it available; empty when it is."""
    pool, held = facts.pool, facts.held
    if held is not None and state is Held.COOLDOWN:
        return f"The cooldown: it is over at {_when(_free_at(facts, held))} at the latest."
    if held is not None:
        return _frees_assigned(facts, held)
    if state is Held.RESERVED and any(facts.address in each for each in pool.reserved):
        return f"Taking the range out of `reserved` of pool {pool.name}."
    if state is Held.RESERVED:
        return "Nothing."
    return f"Setting `disabled` of pool {pool.name} to false." if pool.disabled else ""


def _frees_assigned(facts: Facts, held: Address) -> str:
    cooldown = f", then {facts.pool.cooldown_s} s of cooldown" if facts.pool.cooldown_s else ""
    if held.service is not None and facts.service is not None:
        return f"Deleting it: polder service delete {held.service}{cooldown}."
    if facts.endpoint is None:
        return "The reclaim of addresses without a holder, within minutes."
    if facts.lost is not None and facts.node is not None:
        return _frees_lost(facts.lost, facts.node, facts.endpoint) + cooldown + "."
    if facts.endpoint.state is EndpointState.RELEASING:
        who = " and ".join(facts.held_by) or str(held.node)
        return f"That node {who} lets go of it{cooldown}."
    return f"Deleting it: polder endpoint delete {held.endpoint}; its node lets go of it{cooldown}."


def _frees_lost(lost: Lost, node: Node, endpoint: Endpoint) -> str:
    delete = (
        "" if endpoint.state is EndpointState.RELEASING else f"polder endpoint delete {endpoint.id}, and "
    )
    if not node.reclaim_after_s:
        return f"{delete}that node {node.name} comes back and lets go of it (its reclaim_after_s is 0)"
    until = lost.since + timedelta(seconds=node.reclaim_after_s)
    return f"{delete}that node {node.name} comes back and lets go of it, or stays away until {_when(until)}"


def _end(view: AddressView, facts: Facts) -> Iterator[str]:
    if view.available:
        owner = f" on node {facts.claim.node}" if facts.claim else ""
        yield f"It is free: the next request{owner} may get it."
    elif view.frees:
        yield f"What frees it: {view.frees[0].lower()}{view.frees[1:]}"


def _of(held: Address) -> str:
    return f" of tenant {held.tenant}" if held.tenant else ""


def _on(held: Address) -> str:
    return f" on node {held.node}" if held.node else ""


def _free_at(facts: Facts, held: Address) -> datetime:
    return held.since + timedelta(seconds=facts.pool.cooldown_s + LEASE_SLACK_S)


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
