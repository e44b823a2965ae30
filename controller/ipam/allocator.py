"""Assigning addresses to endpoints: choose by hints, decide by one transaction, try again when it lost.

No cache is trusted: the address key is created only if absent, together with the endpoint, and only
while pool, node and block are what they were read as. So no crash, no stale hint and no second
controller can hand out an address twice, and a lost race costs a retry, never an address.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from controller.ipam import blocks, units
from controller.ipam.claims import Claims, Stale
from controller.ipam.committer import Committer
from controller.ipam.known import Choice, Known
from controller.ipam.space import Space, Spot
from controller.problem import Problem, invalid
from controller.reading import Found, read, scan
from store import keys
from store.client import Store
from store.errors import Unavailable
from store.model import AddressState, Endpoint, EndpointState, IPAddress, Node, Pool

ATTEMPTS = 24

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Request:
    """What a caller asks for. What is None is for the allocator to choose."""

    node: str
    id: str | None = None
    pool: str | None = None
    address: IPAddress | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


class Allocator:
    """Assigns addresses. Safe to call from many threads, and from many controllers at once."""

    def __init__(self, store: Store, committer: Committer, clock: Clock) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._known = Known(store)
        self._claims = Claims(store, committer)
        self._spaces: dict[tuple[str, str], Space] = {}

    def assign(self, request: Request) -> tuple[Endpoint, bool]:
        """The endpoint of a request, and whether it is new. Blocking.

        Idempotent: the same request with the same id gives the same endpoint.

        Raises:
            Problem: the request cannot be met; says why, and where in it.
            Unavailable: the store does not answer.
        """
        if request.id is not None and (existing := self._existing(request, request.id)):
            return existing, False
        endpoint_id = request.id or uuid4().hex
        try:
            return self._assign(request, endpoint_id)
        except Unavailable as fault:
            if not fault.outcome_unknown:
                raise
            # The caller may not know the id that we made up: without it nobody could ask again.
            raise Problem(
                "unavailable",
                f"whether endpoint {endpoint_id} was created is not known; repeat the request with this id",
                retry_after_s=1,
                endpoint=endpoint_id,
            ) from fault

    def _assign(self, request: Request, endpoint_id: str) -> tuple[Endpoint, bool]:
        for _ in range(ATTEMPTS):
            try:
                if (endpoint := self._try(request, endpoint_id)) is not None:
                    return endpoint, True
            except Stale:
                pass
            if existing := self._existing(request, endpoint_id):
                return existing, False
            self._known.forget()
        raise Problem("busy", f"too many others want addresses of {request.node}", retry_after_s=1)

    def _existing(self, request: Request, endpoint_id: str) -> Endpoint | None:
        found = read(self._store, keys.ENDPOINTS, endpoint_id)
        if found is None:
            return None
        if found.value.state is EndpointState.RELEASING:
            detail = f"endpoint {endpoint_id} is being deleted; repeat when it is gone, or use another id"
            raise Problem("releasing", detail, retry_after_s=1)
        if not _is_answer(found.value, request):
            where = f"on {found.value.node} with {', '.join(map(str, found.value.addresses))}"
            raise Problem(
                "conflict", f"endpoint {endpoint_id} exists {where}, made by another request; use another id"
            )
        return found.value

    def _try(self, request: Request, endpoint_id: str) -> Endpoint | None:
        """One attempt; None when it lost a race."""
        node = self._known.node(request.node)
        choice = self._known.choose(request.pool, request.address)
        if request.address is not None:
            spot = self._requested(choice.pool, node, request.address)
            return self._commit(request, endpoint_id, choice, node, spot)
        space = self._space(choice.pool.value.name, request.node)
        taken = space.take(choice.pool, node)
        if taken is None:
            raise self._full(choice.pool.value, request.node)
        try:
            endpoint = self._commit(request, endpoint_id, choice, node, taken)
        finally:
            space.settle(taken.address)
        if endpoint is None:
            space.mistrust(contended=self._is_held(choice.pool.value, taken))
        return endpoint

    def _commit(
        self, request: Request, endpoint_id: str, choice: Choice, node: Found[Node], spot: Spot
    ) -> Endpoint | None:
        endpoint = Endpoint(
            id=endpoint_id,
            node=request.node,
            uid=uuid4().hex,
            pools=(choice.pool.value.name,),
            addresses=(spot.address,),
            mac=blocks.mac_of(spot.address),
            mtu_bytes=node.value.mtu_bytes,
            labels=dict(request.labels),
        )
        unit = units.assign(endpoint, choice.compares, node, spot.block, self._clock())
        return endpoint if self._committer.commit(unit) else None

    def _requested(self, pool: Found[Pool], node: Found[Node], address: IPAddress) -> Spot:
        """The spot of an address that was asked for; its block is claimed for the node if it is unclaimed."""
        if address not in pool.value.cidr:
            raise invalid(
                "/address", f"{address} is not in pool {pool.value.name}; use one of {pool.value.cidr}"
            )
        if blocks.is_reserved(pool.value, address):
            raise invalid(
                "/address", f"{address} is the first or last of {pool.value.cidr}, which no host gets"
            )
        cidr = blocks.block_of(pool.value, address)
        held = read(self._store, keys.ADDRESSES, pool.value.name, cidr, address)
        if held is not None:
            raise _in_use(address, held.value.state, held.value.endpoint)
        claimed = read(self._store, keys.BLOCKS, pool.value.name, cidr)
        if claimed is None:
            self._claims.claim(pool, node, cidr)
            claimed = read(self._store, keys.BLOCKS, pool.value.name, cidr)
        if claimed is None:
            raise Stale
        return Spot(address, claimed)

    def _space(self, pool: str, node: str) -> Space:
        # setdefault, so that two threads that come first get the same one
        return self._spaces.setdefault((pool, node), Space(self._store, self._claims, pool, node))

    def _is_held(self, pool: Pool, spot: Spot) -> bool:
        key = keys.ADDRESSES.key(pool.name, spot.block.value.cidr, spot.address)
        return self._store.get(key) is not None

    def _full(self, pool: Pool, node: str) -> Problem:
        mine = [
            block for block in scan(self._store, keys.NODE_BLOCKS, node).values if block.pool == pool.name
        ]
        held = [
            address.state
            for block in mine
            for address in scan(self._store, keys.ADDRESSES, pool.name, block.cidr).values
        ]
        cooling = held.count(AddressState.COOLDOWN)
        total = blocks.block_count(pool)
        figures = {
            "blocks": total,
            "blocks_of_node": len(mine),
            "assigned": len(held) - cooling,
            "cooling_down": cooling,
        }
        detail = (
            f"pool {pool.name} ({pool.cidr}) has no unclaimed block left of {total}, and the {len(mine)} of "
            f"node {node} have no free address ({len(held) - cooling} assigned, {cooling} cooling down); "
            "delete endpoints there or use another pool"
        )
        return Problem("pool-full", detail, pool=pool.name, node=node, figures=figures)


def _is_answer(endpoint: Endpoint, request: Request) -> bool:
    return (
        endpoint.node == request.node
        and (request.pool is None or request.pool in endpoint.pools)
        and (request.address is None or request.address in endpoint.addresses)
        and endpoint.labels == dict(request.labels)
    )


def _in_use(address: IPAddress, state: AddressState, endpoint: str) -> Problem:
    why = (
        f"{address} is assigned to endpoint {endpoint}"
        if state is AddressState.ASSIGNED
        else f"{address} cools down after endpoint {endpoint}; it is free some seconds later"
    )
    return Problem("address-in-use", f"{why}; ask for another, or leave address out")
