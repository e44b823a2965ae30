"""How a pool could be made less fragmented: a list for people, who do it or not. Pure; nothing is changed.

An endpoint keeps its address wherever it is, so there are two things to gain. One that is outside its
block's node costs every router a route of its own: moved there, it does not. And a block of which few
addresses are used goes back to the pool when the endpoints in it are made anew in the node's fuller blocks:
they get other addresses.

Each step makes things better and nothing worse, in the pools of the other family too: an endpoint never
leaves the node of one of its blocks, and is never made anew in a block that is emptier than the one it was
in. So who does what is listed, again and again, comes to an end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pydantic import BaseModel

from controller.ipam import anew, blocks
from controller.ipam.choosing import Place, wants
from controller.ipam.request import Request
from controller.problem import Problem
from controller.reading import Listing
from store.model import (
    Address,
    AddressState,
    Advertise,
    Block,
    Endpoint,
    EndpointState,
    IPAddress,
    IPNetwork,
    Node,
    Pool,
    Tenant,
)
from store.model.value import Address_, Network

BY_BLOCK = (Advertise.BLOCK, Advertise.SUMMARY)
"""Where an address has a route of its own only outside its block's node."""


class Move(BaseModel):
    """An endpoint that would need no route of its own on another node."""

    endpoint: str
    address: Address_
    node: str
    to: str
    command: str


class Sparse(BaseModel):
    """A block that would go back to the pool if its endpoints were made anew."""

    block: Network
    node: str
    endpoints: list[str]
    commands: list[str]


class Plan(BaseModel):
    """What could be done for a pool."""

    pool: str
    moves: list[Move]
    sparse: list[Sparse]
    summary: str


@dataclass(frozen=True)
class Facts:
    """What was read."""

    pools: Listing[Pool]
    nodes: Mapping[str, Node]
    """Those on which something may be made: a program of theirs lives, and they are not drained."""
    tenants: Mapping[str, Tenant]
    claims: Sequence[Block]
    """Of the pool, and of every other that one of the endpoints has an address of."""
    held: Sequence[Address]
    """Of the same pools."""
    endpoints: Sequence[Endpoint] = ()
    """Those that are `concerned`."""

    @cached_property
    def by_name(self) -> Mapping[str, Pool]:
        """Every pool."""
        return {pool.name: pool for pool in self.pools.values}

    @cached_property
    def owners(self) -> Mapping[tuple[str, IPNetwork], str]:
        """The node of each block."""
        return {(claim.pool, claim.cidr): claim.node for claim in self.claims}

    @cached_property
    def within(self) -> Mapping[tuple[str, IPNetwork], list[Address]]:
        """What is held of each block."""
        found: dict[tuple[str, IPNetwork], list[Address]] = defaultdict(list)
        for each in self.held:
            if (pool := self.by_name.get(each.pool)) is not None:
                found[each.pool, blocks.block_of(pool, each.address)].append(each)
        return found

    def assigned(self, pool: str, cidr: IPNetwork) -> list[Address]:
        """What is assigned of a block."""
        return [each for each in self.within.get((pool, cidr), ()) if each.state is AddressState.ASSIGNED]

    @cached_property
    def of_node(self) -> Mapping[tuple[str, str], list[IPNetwork]]:
        """The blocks of each pool and node, emptiest first."""
        found: dict[tuple[str, str], list[IPNetwork]] = defaultdict(list)
        for claim in self.claims:
            found[claim.pool, claim.node].append(claim.cidr)
        for (pool, _), its in found.items():
            its.sort(key=lambda cidr: (len(self.assigned(pool, cidr)), -int(cidr.network_address)))
        return found


def concerned(name: str, facts: Facts) -> list[str]:
    """The ids of endpoints that the plan of a pool may be about, by what is held of the pool alone.

    They are away from their block's node, or in a block for all of which there may be room in fuller ones.
    """
    ids: set[str | None] = set()
    for (pool, node), its in facts.of_node.items():
        if pool != name or node not in facts.nodes:
            continue
        room = 0
        for cidr in reversed(its):
            held = facts.assigned(pool, cidr)
            here = [each.endpoint for each in held if each.endpoint is not None and each.node == node]
            if facts.by_name[pool].advertise in BY_BLOCK:
                ids.update(each.endpoint for each in held if each.node != node)
            if len(here) == len(held) <= room:
                ids.update(here)
            room += cidr.num_addresses - len(facts.within.get((pool, cidr), ()))
    return sorted(each for each in ids if each is not None)


def plan(name: str, facts: Facts) -> Plan:
    """The plan of a pool."""
    moves = [move for each in facts.endpoints if (move := _move(name, facts, each)) is not None]
    sparse = list(_Emptying(facts.by_name[name], facts).sparse())
    claimed = sum(claim.pool == name for claim in facts.claims)
    summary = (
        f"{len(moves)} endpoints need no route of their own once they are moved to their block's node. "
        f"{len(sparse)} of {claimed} blocks would go back when their endpoints are made anew."
    )
    return Plan(pool=name, moves=moves, sparse=sparse, summary=summary)


def _move(pool: str, facts: Facts, endpoint: Endpoint) -> Move | None:
    """The way home, if nothing of it is at home where it is."""
    homes = {
        name: facts.owners.get((name, blocks.block_of(facts.by_name[name], address)))
        for address, name in endpoint.placed
        if name in facts.by_name and facts.by_name[name].advertise in BY_BLOCK
    }
    to = homes.get(pool)
    if (
        to not in facts.nodes
        or endpoint.state is not EndpointState.ASSIGNED
        or endpoint.node in homes.values()
    ):
        return None
    return Move(
        endpoint=endpoint.id,
        address=next(address for address, name in endpoint.placed if name == pool),
        node=endpoint.node,
        to=to,
        command=f"polder endpoint move {endpoint.id} {to}",
    )


class _Room:
    """The blocks of one node in one pool, emptiest first, and what is free in each."""

    def __init__(self, facts: Facts, pool: Pool, node: str) -> None:
        self._pool = pool
        self._rank: dict[IPNetwork, int] = {}
        self._free: list[list[IPAddress]] = []
        for rank, cidr in enumerate(facts.of_node.get((pool.name, node), ())):
            taken = {int(each.address) for each in facts.within.get((pool.name, cidr), ())}
            self._rank[cidr] = rank
            self._free.append(list(blocks.assignable(pool, cidr, taken))[::-1])

    def take(self, instead_of: IPAddress, *, fuller: bool) -> IPAddress | None:
        """A free address in the fullest block that has one: none that is emptier than the address is in now.

        `fuller` where it has to leave its block. One in a block of another node leaves it anyway.
        """
        rank = self._rank.get(blocks.block_of(self._pool, instead_of))
        lowest = 0 if rank is None else rank + fuller
        free = next((each for each in reversed(self._free[lowest:]) if each), None)
        return free.pop() if free else None

    def put_back(self, address: IPAddress) -> None:
        """It is not used."""
        self._free[self._rank[blocks.block_of(self._pool, address)]].append(address)


class _Emptying:
    """Which blocks of a pool could be emptied, and by what."""

    def __init__(self, pool: Pool, facts: Facts) -> None:
        self._pool = pool
        self._facts = facts
        self._rooms: dict[tuple[str, str], _Room] = {}
        self._holders = {
            address: each for each in facts.endpoints for address, name in each.placed if name == pool.name
        }

    def sparse(self) -> Iterator[Sparse]:
        """The emptiest blocks of each node whose endpoints fit into its fuller ones."""
        for (pool, node), its in sorted(self._facts.of_node.items()):
            if pool != self._pool.name or node not in self._facts.nodes:
                continue
            for cidr in its[:-1]:
                made = sorted(self._made_anew(cidr, node), key=lambda each: str(each.id))
                if made:
                    commands = [command for each in made for command in anew.commands(each)]
                    names = [str(each.id) for each in made]
                    yield Sparse(block=cidr, node=node, endpoints=names, commands=commands)

    def _made_anew(self, cidr: IPNetwork, node: str) -> Sequence[Request]:
        """What would empty a block; nothing where it is empty, or something in it has to stay."""
        made: list[Request] = []
        for held in self._facts.assigned(self._pool.name, cidr):
            endpoint = self._holders.get(held.address)
            here = endpoint is not None and endpoint.node == node
            wanted = self._elsewhere(endpoint) if endpoint is not None and here else None
            if wanted is None:
                for each in made:
                    self._put_back(node, zip(each.pools, each.addresses, strict=True))
                return ()
            made.append(wanted)
        return made

    def _elsewhere(self, endpoint: Endpoint) -> Request | None:
        """An endpoint with other addresses, if it can have them."""
        node = endpoint.node
        if endpoint.state is not EndpointState.ASSIGNED:
            return None
        taken: list[tuple[str, IPAddress]] = []
        for address, pool in endpoint.placed:
            room = self._room(node, pool)
            found = room.take(address, fuller=pool == self._pool.name) if room is not None else None
            if found is not None:
                taken.append((pool, found))
        wanted = anew.request(endpoint, [address for _, address in taken])
        if len(taken) == len(endpoint.pools) and self._is_served(wanted):
            return wanted
        self._put_back(node, taken)
        return None

    def _is_served(self, wanted: Request) -> bool:
        """Whether pools, tenant and node are still such that it would be made."""
        tenant = self._facts.tenants.get(wanted.tenant) if wanted.tenant is not None else None
        place = Place(self._facts.nodes[wanted.node], tenant.segment if tenant is not None else None)
        try:
            wants(wanted, place, self._facts.pools)
        except Problem:
            return False
        return tenant is not None or wanted.tenant is None

    def _room(self, node: str, name: str) -> _Room | None:
        pool = self._facts.by_name.get(name)
        if pool is None:
            return None
        if (node, name) not in self._rooms:
            self._rooms[node, name] = _Room(self._facts, pool, node)
        return self._rooms[node, name]

    def _put_back(self, node: str, taken: Iterable[tuple[str, IPAddress]]) -> None:
        for pool, address in taken:
            self._rooms[node, pool].put_back(address)
