"""Why an address is what it is, who has it, and what frees it: for people and for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel

from controller.ipam import blocks
from controller.ipam.reserved import Reserved
from controller.ipam.units import LEASE_SLACK_S
from store.model import (
    Address,
    Advertise,
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
    """The nodes whose agents hold the endpoint now: link, port, routes or flows of it may exist. Of a service
    that is deleted, those that announce its address still."""
    free_at: AwareDatetime | None = None
    """When the cooldown is over, at the latest; null while it has not begun."""
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
    """The nodes on which an attachment of that endpoint is; of a deleted service, those that announce it."""
    nodes: Mapping[str, Node] = field(default_factory=dict)
    """Those that the endpoint is on, or was."""
    lost: Mapping[str, Lost] = field(default_factory=dict)
    """Those of them that are."""
    service: Service | None = None
    """The record of the service that the address names."""
    withdrawn: bool = True
    """The cooldown of a deleted service's address has begun."""


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
                "free_at": _free_at(facts, held) if state is Held.COOLDOWN and facts.withdrawn else None,
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
    elif held is not None and not facts.withdrawn:
        still = f"; announced still by {', '.join(facts.held_by)}" if facts.held_by else ""
        end = f"when {held.holder}{_of(held)} was deleted{still}"
        yield f"It is being withdrawn since {_when(held.since)}, {end}."
        yield from _why_lost(facts)
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
        yield f"That is outside its block's node: {_announced(facts)}."
    if facts.endpoint is None:
        yield f"There is no endpoint {held.endpoint}, so nobody holds it: see polder address check."
    elif facts.endpoint.state is EndpointState.RELEASING:
        who_holds = f"; held still by {', '.join(facts.held_by)}" if facts.held_by else ""
        yield f"Endpoint {held.endpoint} is being deleted{who_holds}."
    yield from _why_lost(facts)


def _why_lost(facts: Facts) -> Iterator[str]:
    held = facts.held
    for name, lost in facts.lost.items():
        if name in {held.node if held else None, *facts.held_by}:
            yield f"No program of node {name} lives since {_when(lost.since)}."


def _announced(facts: Facts) -> str:
    prefix, pool = host_prefix(facts.address), facts.pool
    if pool.advertise is Advertise.NONE:
        return f"nothing of pool {pool.name} is announced"
    if pool.advertise is Advertise.HOST:
        return f"its node announces {prefix}, as all of pool {pool.name} are, once it delivers it"
    return f"its node announces {prefix} of its own, once it delivers it"


def _why_service(facts: Facts, name: str) -> Iterator[str]:
    if facts.pool.advertise is Advertise.NONE:
        yield f"Nothing of pool {facts.pool.name} is announced."
    else:
        prefix = host_prefix(facts.address)
        yield f"Nodes with a healthy endpoint of the service announce {prefix} of its own."
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
    held, more = facts.held, _further(facts)
    if held is None:
        return f"{more[0].upper()}{more[1:]}." if more else ""
    if state is Held.COOLDOWN and not facts.withdrawn:
        first = _once_let_go(facts, "Its withdrawal, within a second")
    elif state is Held.COOLDOWN:
        first = f"The cooldown: it is over at {_when(_free_at(facts, held))} at the latest."
    else:
        first = _frees_assigned(facts, held)
    return f"{first} After that: {more}." if more else first


def _further(facts: Facts) -> str:
    """What makes an address available that nobody has; empty when it is."""
    pool = facts.pool
    opens = []
    if any(facts.address in each for each in pool.reserved):
        opens.append(f"taking the range out of `reserved` of pool {pool.name}")
    elif facts.address in Reserved(pool):
        return "nothing"
    if pool.disabled:
        opens.append(f"setting `disabled` of pool {pool.name} to false")
    return ", and ".join(opens)


def _frees_assigned(facts: Facts, held: Address) -> str:
    cooldown = _then_cooldown(facts.pool)
    if held.service is not None and facts.service is not None:
        return f"Deleting it: polder service delete {held.service}{cooldown}."
    if facts.endpoint is None:
        return "The reclaim of addresses without a holder, within minutes."
    if facts.endpoint.state is EndpointState.RELEASING:
        return _once_let_go(facts, "Its end, within seconds")
    waits = _waits(facts)
    delete = f"Deleting it: polder endpoint delete {held.endpoint}"
    until = _until(facts, held.node or "")
    if waits:
        delete += f", and {waits}"
    elif until is not None:
        delete += f", or that node {held.node} stays away until {_when(until)}"
    return f"{delete}{cooldown}."


def _once_let_go(facts: Facts, nobody: str) -> str:
    """What frees it that nobody has any more; `nobody` is what does when no node is waited for."""
    waits = _waits(facts)
    first = f"{waits[0].upper()}{waits[1:]}" if waits else nobody
    return f"{first}{_then_cooldown(facts.pool)}."


def _waits(facts: Facts) -> str:
    return ", and ".join(f"that {_lets_go(facts, name)}" for name in facts.held_by)


def _then_cooldown(pool: Pool) -> str:
    return f", then {pool.cooldown_s} s of cooldown" if pool.cooldown_s else ""


def _lets_go(facts: Facts, node: str) -> str:
    lets_go = "lets go of it" if facts.withdrawn else "withdraws it"
    if node not in facts.lost:
        return f"node {node} {lets_go}"
    until = _until(facts, node)
    back = f"node {node} comes back and {lets_go}"
    return (
        f"{back} (its reclaim_after_s is 0)"
        if until is None
        else f"{back}, or stays away until {_when(until)}"
    )


def _until(facts: Facts, name: str) -> datetime | None:
    """When a node that is lost is taken to hold nothing any more; None when never, or when it lives."""
    node, lost = facts.nodes.get(name), facts.lost.get(name)
    if node is None or lost is None or not node.reclaim_after_s:
        return None
    return lost.since + timedelta(seconds=node.reclaim_after_s)


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
    if held.free_at is not None:
        return held.free_at
    return held.since + timedelta(seconds=facts.pool.cooldown_s + LEASE_SLACK_S)


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
