"""Drafts of endpoints: which addresses one would get, and the unit that would give it them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from controller.ipam import blocks, units
from controller.ipam.choosing import Want, listed
from controller.ipam.claims import Claims, Stale
from controller.ipam.committer import Committer
from controller.ipam.known import Known, Plan
from controller.ipam.request import Request
from controller.ipam.space import Space, Spot
from controller.ipam.unit import Unit
from controller.problem import Problem
from controller.reading import Found, read, scan
from controller.scope import Scope
from store import keys
from store.client import Compare, Store
from store.model import Address, AddressState, Endpoint, EndpointState, Node, Pool

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Picked:
    """A spot of a pool; of a space unless it was asked for."""

    pool: Found[Pool]
    spot: Spot
    space: Space | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An endpoint as it would be. Its spots are kept for it until `settle` or `put_back`."""

    endpoint: Endpoint
    unit: Unit
    picked: tuple[Picked, ...]

    def settle(self) -> None:
        """Its commit is over."""
        for each in self.picked:
            if each.space is not None:
                each.space.settle(each.spot.address)

    def put_back(self) -> None:
        """It was not committed, and its addresses have nothing to do with it."""
        put_back(self.picked)


class Drafter:
    """Makes drafts. Safe to call from many threads."""

    def __init__(self, store: Store, committer: Committer, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._claims = Claims(store, committer)
        self._spaces: dict[tuple[str, str], Space] = {}

    def draft(
        self,
        request: Request,
        endpoint_id: str,
        uid: str,
        known: Known,
        guards: Sequence[Compare] = (),
        more: int = 0,
    ) -> Draft:
        """Pick addresses for a request, claiming blocks where that is needed. Blocking.

        Args:
            endpoint_id: the id that the endpoint gets.
            uid: of this assignment.
            known: what is believed of pools, node and tenant; the unit compares it.
            guards: what the unit has to compare beside that.
            more: so many drafts of the same kind follow.

        Raises:
            Problem: the request cannot be met, if what is believed is true.
            Stale: something was not what it was believed to be.
            StoreError: the store does not answer.
        """
        plan = known.plan(request)
        picked = self._pick(plan, request.scope, more)
        endpoint = _endpoint(request, endpoint_id, uid, plan, picked)
        compares = [*plan.compares, *guards, *(each.pool.unchanged() for each in picked)]
        held = [(each.spot.block, _held(request, endpoint_id, each, self._clock())) for each in picked]
        return Draft(endpoint, units.assign(endpoint, compares, held, plan.tenant), tuple(picked))

    def mistrust(self, draft: Draft) -> None:
        """The draft was lost: read its blocks again before anything else is picked from them."""
        for each in draft.picked:
            if each.space is not None:
                block = each.spot.block.value
                key = keys.ADDRESSES.key(block.pool, block.cidr, each.spot.address)
                each.space.mistrust(contended=self._store.get(key) is not None)

    def _pick(self, plan: Plan, scope: Scope, more: int) -> list[Picked]:
        picked: list[Picked] = []
        complete = False
        try:
            for want in plan.asked:
                picked.append(
                    self._requested(want, plan.node, scope)
                    if want.address
                    else self._free(want, plan.node, scope, more)
                )
            complete = True
        finally:
            if not complete:
                put_back(picked)
        return picked

    def _free(self, want: Want, node: Found[Node], scope: Scope, more: int) -> Picked:
        """A free address of the best pool that has one."""
        # First what is known to be full is passed by, then every pool is looked into before it is called so.
        for thorough in (False, True) if len(want.pools) > 1 else (True,):
            for pool in want.pools:
                space = self._space(pool.value.name, node.value.name)
                spot = space.take(pool, node, thorough=thorough, more=more)
                if spot is not None:
                    return Picked(pool, spot, space)
        raise self._full(want, node.value.name, scope)

    def _requested(self, want: Want, node: Found[Node], scope: Scope) -> Picked:
        """The address that was asked for; its block is claimed for the node if it is unclaimed."""
        pool, address = want.pools[0], want.address
        assert address is not None  # noqa: S101
        cidr = blocks.block_of(pool.value, address)
        held = read(self._store, keys.ADDRESSES, pool.value.name, cidr, address)
        if held is not None:
            raise in_use(held.value, scope)
        claimed = read(self._store, keys.BLOCKS, pool.value.name, cidr)
        if claimed is None:
            self._claims.claim(pool, node, cidr)
            claimed = read(self._store, keys.BLOCKS, pool.value.name, cidr)
        if claimed is None:
            raise Stale
        return Picked(pool, Spot(address, claimed))

    def _space(self, pool: str, node: str) -> Space:
        space = self._spaces.get((pool, node))
        if space is None:
            # setdefault, so that two threads that come first get the same one
            space = self._spaces.setdefault((pool, node), Space(self._store, self._claims, pool, node))
        return space

    def _full(self, want: Want, node: str, scope: Scope) -> Problem:
        if not scope.whole:  # how much others have is not for the caller
            names = ", ".join(pool.value.name for pool in want.pools)
            detail = f"no free address for node {node} in pool {names}; use another node or pool"
            return Problem("pool-full", detail, pool=want.pools[0].value.name, node=node)
        said = [self._figures(pool.value, node) for pool in want.pools]
        reasons = [reason for reason, _ in said] + list(want.passed_over)
        detail = f"{listed(reasons)}. Delete endpoints there, grow a pool, or use another"
        return Problem("pool-full", detail, pool=want.pools[0].value.name, node=node, figures=said[0][1])

    def _figures(self, pool: Pool, node: str) -> tuple[str, dict[str, int]]:
        """How full a pool is for a node: in words and in figures."""
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
        others = "nor have those of others" if pool.borrow else "and it does not borrow"
        words = (
            f"pool {pool.name} ({pool.cidr}) has no unclaimed block left of {total}, and the {len(mine)} of "
            f"node {node} have no free address ({len(held) - cooling} assigned, {cooling} cooling down), "
            f"{others}"
        )
        return words, figures


def put_back(picked: Sequence[Picked]) -> None:
    """Spots that are not used after all."""
    for each in picked:
        if each.space is not None:
            each.space.put_back(each.spot)


def in_use(held: Address, scope: Scope) -> Problem:
    """An address that was asked for is not free."""
    if not scope.has(held):
        return Problem("address-in-use", f"{held.address} is not free; ask for another, or leave address out")
    why = (
        f"{held.address} is assigned to {held.holder}"
        if held.state is AddressState.ASSIGNED
        else f"{held.address} cools down after {held.holder}; it is free some seconds later"
    )
    return Problem("address-in-use", f"{why}; ask for another, or leave address out")


# Each part of these two was checked where it came in; a thousand of them are made at a time.


def _endpoint(request: Request, endpoint_id: str, uid: str, plan: Plan, picked: Sequence[Picked]) -> Endpoint:
    addresses = tuple([each.spot.address for each in picked])
    return Endpoint.of(
        id=endpoint_id,
        uid=uid,
        node=request.node,
        tenant=request.tenant,
        pools=tuple([each.pool.value.name for each in picked]),
        addresses=addresses,
        mac=blocks.mac_of(addresses[0]),
        mtu_bytes=plan.node.value.mtu_bytes,
        labels=dict(request.labels),
        state=EndpointState.ASSIGNED,
        qos=request.qos,
    )


def _held(request: Request, endpoint_id: str, picked: Picked, since: datetime) -> Address:
    return Address.of(
        address=picked.spot.address,
        pool=picked.pool.value.name,
        endpoint=endpoint_id,
        node=request.node,
        service=None,
        state=AddressState.ASSIGNED,
        since=since,
        tenant=request.tenant,
        by=request.by,
        request=request.request,
        left=(),
    )
