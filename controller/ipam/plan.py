"""How a pool could be made less fragmented: a list for people, who do it or not. Pure; nothing is changed.

An endpoint keeps its address wherever it is, so there are two things to gain. One that is outside its
block's node costs every router a route of its own: moved there, it does not. And a block of which few
addresses are used goes back to the pool when the endpoints in it are made anew in the node's other blocks:
they get other addresses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import BaseModel

from controller.ipam.usage import BlockUsage, PoolUsage
from store.model import Address, AddressState, Block, IPNetwork
from store.model.value import Address_, Network


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


def plan(usage: PoolUsage, claims: Iterable[Block], held: Iterable[Address]) -> Plan:
    """The plan of a pool, from its usage and what that was counted from."""
    owners = {claim.cidr: claim.node for claim in claims}
    inside: dict[IPNetwork, list[Address]] = defaultdict(list)
    by_first = {int(cidr.network_address): cidr for cidr in owners}
    size = next(iter(owners)).num_addresses if owners else 1
    for each in held:
        cidr = by_first.get(int(each.address) // size * size)
        if cidr is not None and each.state is AddressState.ASSIGNED and each.service is None:
            inside[cidr].append(each)
    moves = [
        _move(each, owners[cidr]) for cidr in owners for each in inside[cidr] if each.node != owners[cidr]
    ]
    sparse = [one for node in usage.nodes for one in _sparse(usage.pool, node.node, node.blocks, inside)]
    summary = (
        f"{len(moves)} endpoints are outside their block's node; there they need no route of their own. "
        f"{len(sparse)} of {usage.blocks.claimed} blocks would go back when their endpoints are made anew."
    )
    return Plan(pool=usage.pool, moves=moves, sparse=sparse, summary=summary)


def _move(held: Address, owner: str) -> Move:
    command = f"polder endpoint move {held.endpoint} {owner}"
    return Move(endpoint=held.endpoint, address=held.address, node=held.node, to=owner, command=command)


def _sparse(
    pool: str, node: str, of_node: Sequence[BlockUsage], inside: Mapping[IPNetwork, list[Address]]
) -> Iterator[Sparse]:
    """The emptiest blocks of a node whose endpoints fit into what its fuller ones have free."""
    ordered = sorted(of_node, key=lambda block: block.assigned)
    room = sum(block.free for block in ordered)
    for block in ordered[:-1]:
        room -= block.free
        endpoints = {each.endpoint: each.node for each in inside.get(block.cidr, ())}
        if not 0 < len(endpoints) <= room:
            continue
        room -= len(endpoints)
        commands = [
            command
            for name, where in sorted(endpoints.items())
            for command in (
                f"polder endpoint delete {name}",
                f"polder endpoint create {name} --node {where} --pool {pool}",
            )
        ]
        yield Sparse(block=block.cidr, node=node, endpoints=sorted(endpoints), commands=commands)
