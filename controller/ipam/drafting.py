"""Drafts of endpoints: which addresses one would get, and the unit that would give it them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from controller.ipam import blocks, units
from controller.ipam.choosing import Want, listed
from controller.ipam.claims import Claims, Stale
from controller.ipam.committer import Committer
from controller.ipam.known import Alike, Known, Plan
from controller.ipam.request import Request
from controller.ipam.room import Drafted, Room
from controller.ipam.space import Space, Spot
from controller.ipam.unit import Unit
from controller.problem import Fault, Problem
from controller.reading import Found, read, scan
from controller.scope import Scope
from store import keys
from store.client import Compare, Store
from store.model import Address, AddressState, Endpoint, EndpointState, IPAddress, Node, Pool

Clock = Callable[[], datetime]


ROOM = 118
"""Operations, or compares, of the endpoints of one unit: there are some that all of them share."""


@dataclass(slots=True)
class Wanted:
    """A request, and the id that its endpoint gets, and the uid of this assignment."""

    request: Request
    id: str
    uid: str


class Column(NamedTuple):
    """Spots of one pool, each for another endpoint; of a space unless one was asked for.

    They are kept until `settle` or `put_back`.
    """

    pool: Found[Pool]
    spots: Sequence[Spot]
    space: Space | None = None

    def part(self, start: int, end: int | None) -> Column:
        """Those of some of the endpoints."""
        return Column(self.pool, self.spots[start:end], self.space)

    def settle(self) -> None:
        """Their commit is over."""
        if self.space is not None:
            self.space.settle(self.spots)

    def put_back(self) -> None:
        """They were not committed, and have nothing to do with why."""
        if self.space is not None:
            self.space.put_back(self.spots)


class Drafts(NamedTuple):
    """Endpoints as they would be, and the unit that makes all of them or none."""

    endpoints: Sequence[Endpoint]
    columns: Sequence[Column]
    """For each address that an endpoint has."""
    unit: Unit

    def settle(self) -> None:
        """Their commit is over."""
        for column in self.columns:
            column.settle()

    def put_back(self) -> None:
        """They were not committed, and their addresses have nothing to do with why."""
        for column in self.columns:
            column.put_back()

    def apart(self) -> Iterator[list[Column]]:
        """The spot of each address, for one endpoint after the other."""
        for index in range(len(self.endpoints)):
            yield [column.part(index, index + 1) for column in self.columns]


class _For(NamedTuple):
    """Whom addresses are for: what may be told them, and how many they may have."""

    scope: Scope
    room: Room | None

    def take(self, pool: Pool, wanted: int) -> int:
        """See `Room.take`."""
        return wanted if self.room is None else self.room.take(pool.cidr.version, wanted)


class Drafter:
    """Makes drafts. Safe to call from many threads."""

    def __init__(self, store: Store, committer: Committer, clock: Clock) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._claims = Claims(store, committer)
        self._spaces: dict[tuple[str, str], Space] = {}

    def draft(
        self,
        wanted: Sequence[Wanted],
        known: Known,
        drafted: Drafted,
        guards: Sequence[Compare] = (),
        more: int = 0,
    ) -> Drafts:
        """Pick addresses for requests that are alike, claiming blocks where that is needed. Blocking.

        For the first of them: as many as one unit takes, have room in the same place, and may be had.

        Args:
            wanted: of the same kind and of one caller; one alone where it asks for an address.
            known: what is believed of pools, node and tenant; the unit compares it.
            drafted: what is drafted for tenants already, and not committed; these are added.
            guards: what the unit has to compare beside that.
            more: so many of the same kind follow.

        Raises:
            OverQuota: the tenant may have none, as far as is known.
            Problem: the first cannot be met, if what is believed is true.
            Stale: something was not what it was believed to be.
            StoreError: the store does not answer.
        """
        first = wanted[0].request
        plan = known.plan(first)
        count = min(len(wanted), ROOM // plan.size)
        room = Room(self._committer, plan.tenant.value, drafted) if plan.tenant else None
        columns = self._pick(plan, _For(first.scope, room), count, len(wanted) - count + more)
        alike = plan.alike(tuple([column.pool for column in columns]))
        rows = list(zip(*[column.spots for column in columns], strict=True))
        endpoints = _endpoints(wanted, plan.node.value, alike, rows)
        asked = units.Asked((*alike.compares, *guards), plan.tenant, first.by, first.request, self._clock())
        claims = [[spot.block for spot in row] for row in rows]
        unit = units.assign(list(zip(endpoints, claims, strict=True)), asked)
        return Drafts(endpoints, columns, unit)

    def mistrust(self, lost: Sequence[Sequence[Column]]) -> bool:
        """These spots, of one endpoint each, were lost: read their blocks again before others are picked.

        Returns:
            Whether other controllers that took addresses there explain it, for each of them.
        """
        tried = [
            (keys.ADDRESSES.key(block.pool, block.cidr, spot.address), column.space)
            for columns in lost
            for column in columns
            if column.space is not None
            for spot in column.spots
            for block in (spot.block.value,)
        ]
        held = self._store.get_many([key for key, _ in tried])
        contended = {space for key, space in tried if key in held}
        explained = [not contended.isdisjoint(column.space for column in columns) for columns in lost]
        for columns, others in zip(lost, explained, strict=True):
            for column in columns:
                if others and column.space not in contended:
                    column.put_back()
                elif column.space is not None:
                    column.space.mistrust(contended=others)
        return all(explained)

    def _pick(self, plan: Plan, asker: _For, count: int, more: int) -> list[Column]:
        """Spots for each address of up to `count` endpoints, one at least."""
        for want in plan.asked:
            if want.address is not None:
                refuse_held(self._store, want.pools[0].value, want.address, asker.scope, want.pointer)
        picked: dict[int, Column] = {}
        complete = False
        try:
            for index in plan.order:
                want = plan.asked[index]
                picked[index] = (
                    self._requested(want, plan.node, asker)
                    if want.address
                    else self._free(want, plan.node, asker, count, more)
                )
            complete = True
        finally:
            if not complete:
                for column in picked.values():
                    column.put_back()
        size = min([len(column.spots) for column in picked.values()])
        if asker.room is not None:
            for column in picked.values():
                asker.room.drafted(column.pool.value.cidr.version, size)
        if len(picked) == 1:
            return list(picked.values())
        for column in picked.values():
            column.part(size, None).put_back()
        return [picked[index].part(0, size) for index in range(len(picked))]

    def _free(self, want: Want, node: Found[Node], asker: _For, count: int, more: int) -> Column:
        """Free addresses of the best pool that has one. Raises `OverQuota` where the tenant may have none."""
        # First what is known to be full is passed by, then every pool is looked into before it is called so.
        for thorough in (False, True) if len(want.pools) > 1 else (True,):
            for pool in want.pools:
                room = asker.take(pool.value, count + more)
                space = self._space(pool.value.name, node.value.name)
                some = min(count, room)
                spots = space.take(pool, node, some, thorough=thorough, more=room - some)
                if spots:
                    return Column(pool, spots, space)
        raise self._full(want, node.value.name, asker.scope)

    def _requested(self, want: Want, node: Found[Node], asker: _For) -> Column:
        """The address that was asked for; its block is claimed for the node if it is unclaimed."""
        pool, address = want.pools[0], want.address
        assert address is not None  # noqa: S101
        asker.take(pool.value, 1)
        cidr = blocks.block_of(pool.value, address)
        claimed = read(self._store, keys.BLOCKS, pool.value.name, cidr)
        if claimed is None:
            self._claims.claim(pool, node, cidr)
            claimed = read(self._store, keys.BLOCKS, pool.value.name, cidr)
        if claimed is None:
            raise Stale
        return Column(pool, [Spot(address, claimed)])

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


def refuse_held(store: Store, pool: Pool, address: IPAddress, scope: Scope, pointer: str) -> None:
    """Raises `Problem` where an address that was asked for, where the pointer says, is not free."""
    held = read(store, keys.ADDRESSES, pool.name, blocks.block_of(pool, address), address)
    if held is not None:
        raise _in_use(held.value, scope, pointer)


def _in_use(held: Address, scope: Scope, pointer: str) -> Problem:
    if not scope.has(held):
        why = f"{held.address} is not free"
    elif held.state is AddressState.ASSIGNED:
        why = f"{held.address} is assigned to {held.holder}"
    elif held.withdrawing:
        why = f"{held.address} is being withdrawn after {held.holder}"
    else:
        why = f"{held.address} cools down after {held.holder} until {held.free_at:%Y-%m-%d %H:%M:%S} UTC"
    detail = f"{why}; ask for another, or leave address out"
    return Problem("address-in-use", detail, errors=[Fault(detail, pointer)])


def _endpoints(
    wanted: Sequence[Wanted], node: Node, alike: Alike, rows: Sequence[Sequence[Spot]]
) -> list[Endpoint]:
    """An endpoint for each row of spots."""
    # Each part was checked where it came in; a thousand of these are made at a time.
    return [
        Endpoint.of(
            id=each.id,
            uid=each.uid,
            node=each.request.node,
            tenant=each.request.tenant,
            pools=alike.pools,
            addresses=tuple([spot.address for spot in row]),
            mac=each.request.mac or blocks.mac_of(row[0].address),
            mtu_bytes=node.mtu_bytes,
            labels=dict(each.request.labels),
            state=EndpointState.ASSIGNED,
            qos=each.request.qos,
            kind=each.request.endpoint_kind,
            membership=alike.membership,
            asked=each.request.digest if each.request.id else "",
        )
        for each, row in zip(wanted, rows, strict=False)
    ]
