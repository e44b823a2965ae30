"""What a change would do, as it is answered."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field

from bgp.advertisement import Advertisement
from controller.policy_impact import PolicyImpactView
from intent.impact import Affected, Fate, Impact, PeerImpact
from store.model import Value
from store.model.value import Address_, Network

SELF = "self"
HIDDEN = {"asked"}
"""The fields of what is stored that no answer has."""

Community = Annotated[str, Field(examples=["64500:100"])]


class RouteView(BaseModel):
    """A prefix with its path attributes."""

    prefix: Network
    next_hop: Annotated[str, Field(examples=[SELF])] = SELF
    """An address; `self` is the node's own on the session."""
    communities: list[Community] = []
    """RFC 1997's and RFC 8092's."""
    med: int | None = None
    local_pref: int | None = None
    as_path: list[int] = []
    """What it begins with; empty is what the session makes of it."""
    reason: str = ""
    """Why it is announced."""


class ChangeView(BaseModel):
    """A prefix that stays with other attributes."""

    before: RouteView
    after: RouteView


class KeptView(BaseModel):
    """A prefix that the outbound guard will keep back."""

    prefix: Network
    reason: str


class PeerImpactView(BaseModel):
    """What becomes of the session of a node with a router, and of what it carries."""

    node: str
    peer: str
    address: Address_
    session: Fate
    because: list[str] = []
    """Why, for the session: `hold_time_s 90 -> 30`."""
    appear: list[RouteView] = []
    change: list[ChangeView] = []
    vanish: list[RouteView] = []
    kept_back: list[KeptView] = []


class AffectedView(BaseModel):
    """An endpoint whose address lies in a prefix that vanishes somewhere."""

    id: str
    node: str
    addresses: list[Address_]
    unreachable_at: list[str] = []
    """The peers that are then told of no prefix around it."""


class TotalsView(BaseModel):
    """How much it is, each prefix counted at each router."""

    advertised: int
    """Prefixes that are announced now."""
    appear: int
    change: int
    vanish: int
    withdrawn_percent: float
    """How much of what is announced now vanishes."""
    opens: int
    closes: int
    resets: int
    refused: int
    endpoints: int
    unreachable: int
    """Endpoints that some router is then told of no prefix around."""


class Result(StrEnum):
    """What a write makes of the thing that it is about."""

    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    """It is stored like that already."""
    DELETED = "deleted"


class WriteView(BaseModel):
    """What a write would make of the thing that it is about."""

    result: Result
    before: dict[str, Any] | None = None
    """As it is stored, where that changes."""
    after: dict[str, Any] | None = None
    """As it would be stored, where that changes; null of a new endpoint, for which no address is picked."""


class ImpactView(BaseModel):
    """What a change would do."""

    peers: list[PeerImpactView]
    """The sessions that it concerns."""
    endpoints: list[AffectedView]
    """Those whose address lies in what vanishes."""
    totals: TotalsView
    policies: PolicyImpactView | None = None
    """Where policies or tenants are written: who reaches whom then."""
    revision: int
    """The store's revision that this is of."""


class ForetoldView(BaseModel):
    """What writes would do."""

    writes: list[WriteView]
    """In the order in which they were given."""
    impact: ImpactView | None = None
    """Null with `max_withdraw`, and for roles that the routers are not shown to: tenant, node."""


def written(before: Value | None, after: Value | None) -> WriteView:
    """What a write makes of what is stored; what it makes of nothing need not be known."""
    if before is None:
        return WriteView(result=Result.CREATED, after=_stored(after))
    if before == after:
        return WriteView(result=Result.UNCHANGED)
    result = Result.DELETED if after is None else Result.CHANGED
    return WriteView(result=result, before=_stored(before), after=_stored(after))


def view(found: Impact, revision: int, policies: PolicyImpactView | None = None) -> ImpactView:
    """An impact as it is answered."""
    return ImpactView(
        policies=policies,
        peers=[_peer(each) for each in found.peers],
        endpoints=[_endpoint(each) for each in found.endpoints],
        totals=totals(found),
        revision=revision,
    )


def _stored(value: Value | None) -> dict[str, Any] | None:
    """As GET shows it, without what programs say of it."""
    return None if value is None else value.model_dump(mode="json", exclude=HIDDEN)


def totals(found: Impact) -> TotalsView:
    """How much it is."""
    fates = [each.fate for each in found.peers]
    return TotalsView(
        advertised=found.advertised,
        appear=sum(len(each.appear) for each in found.peers),
        change=sum(len(each.change) for each in found.peers),
        vanish=found.withdrawn,
        withdrawn_percent=round(found.withdrawn_percent, 3),
        opens=fates.count(Fate.OPENS),
        closes=fates.count(Fate.CLOSES),
        resets=fates.count(Fate.RESETS),
        refused=fates.count(Fate.REFUSED),
        endpoints=len(found.endpoints),
        unreachable=sum(1 for each in found.endpoints if each.unreachable_at),
    )


def _peer(found: PeerImpact) -> PeerImpactView:
    return PeerImpactView(
        node=found.node,
        peer=found.peer,
        address=found.address,
        session=found.fate,
        because=list(found.because),
        appear=_routes(found.appear),
        change=[ChangeView(before=_route(was), after=_route(then)) for was, then in found.change],
        vanish=_routes(found.vanish),
        kept_back=[KeptView(prefix=prefix, reason=why) for prefix, why in found.kept.items()],
    )


def _endpoint(found: Affected) -> AffectedView:
    endpoint = found.endpoint
    return AffectedView(
        id=endpoint.id,
        node=endpoint.node,
        addresses=list(endpoint.addresses),
        unreachable_at=list(found.unreachable_at),
    )


def _routes(made: Iterable[Advertisement]) -> list[RouteView]:
    return [_route(each) for each in made]


def _route(made: Advertisement) -> RouteView:
    communities = (*made.communities, *made.large_communities)
    return RouteView(
        prefix=made.prefix,
        next_hop=str(made.next_hop) if made.next_hop is not None else SELF,
        communities=[":".join(map(str, each)) for each in communities],
        med=made.med,
        local_pref=made.local_pref,
        as_path=list(made.as_path),
        reason=made.reason,
    )
