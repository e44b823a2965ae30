"""Drafts of endpoints: which addresses one would get, and the unit that would give it them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from controller.ipam import blocks, units
from controller.ipam.choosing import Want
from controller.ipam.claims import Claims, Stale
from controller.ipam.committer import Committer
from controller.ipam.known import Alike, Known, Terms
from controller.ipam.request import Request
from controller.ipam.room import Drafted, Room
from controller.ipam.space import Space, Spot
from controller.ipam.unavailable import pool_full, refuse_held
from controller.ipam.unit import Unit
from controller.reading import Found, read
from controller.scope import Scope
from store import keys
from store.client import Compare, KeyValue, Store
from store.model import Block, Endpoint, EndpointState, Node, Pool

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


class _Asker(NamedTuple):
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
        terms = known.terms(first)
        count = min(len(wanted), ROOM // terms.size)
        room = Room(self._committer, terms.tenant.value, drafted) if terms.tenant else None
        columns = self._pick(terms, _Asker(first.scope, room), count, len(wanted) - count + more)
        alike = terms.alike(tuple([column.pool for column in columns]))
        rows = list(zip(*[column.spots for column in columns], strict=True))
        endpoints = _endpoints(wanted, terms.node.value, alike, rows)
        asked = units.Asked((*alike.compares, *guards), terms.tenant, first.by, first.request, self._clock())
        claims = [[spot.block for spot in row] for row in rows]
        unit = units.assign(list(zip(endpoints, claims, strict=True)), asked)
        return Drafts(endpoints, columns, unit)

    def mistrust(self, lost: Sequence[Sequence[Column]]) -> bool:
        """These spots, of one endpoint each, were lost: read their blocks again before others are picked.

        They are settled, or put back where neither they nor their blocks are why they were lost.

        Returns:
            Whether other controllers that took addresses there explain it, for each of them.
        """
        tried = [
            (keys.ADDRESSES.key(block.value.pool, block.value.cidr, spot.address), block, column.space)
            for columns in lost
            for column in columns
            if column.space is not None
            for spot in column.spots
            for block in (spot.block,)
        ]
        held = self._store.get_many([*(key for key, _, _ in tried), *{block.key for _, block, _ in tried}])
        contended = {space for key, _, space in tried if key in held}
        moved = {space for _, block, space in tried if not _is_so(block, held)}
        explained = [not contended.isdisjoint(column.space for column in columns) for columns in lost]
        for column in (column for columns in lost for column in columns):
            if column.space is None:
                continue
            if column.space in contended or column.space in moved:
                column.space.mistrust(contended=column.space in contended)
                column.settle()
            else:
                column.put_back()
        return all(explained)

    def _pick(self, terms: Terms, asker: _Asker, count: int, more: int) -> list[Column]:
        """Spots for each address of up to `count` endpoints, one at least."""
        for want in terms.asked:
            if want.address is not None:
                refuse_held(self._store, want.pools[0].value, want.address, asker.scope, want.pointer)
        picked: dict[int, Column] = {}
        complete = False
        try:
            for index in terms.order:
                want = terms.asked[index]
                picked[index] = (
                    self._requested(want, terms.node, asker)
                    if want.address
                    else self._free(want, terms.node, asker, count, more)
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

    def _free(self, want: Want, node: Found[Node], asker: _Asker, count: int, more: int) -> Column:
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
        raise pool_full(self._store, want, node.value.name, asker.scope)

    def _requested(self, want: Want, node: Found[Node], asker: _Asker) -> Column:
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


def _is_so(block: Found[Block], held: Mapping[str, KeyValue]) -> bool:
    now = held.get(block.key)
    return now is not None and now.mod_revision == block.mod_revision


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
