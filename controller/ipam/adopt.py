"""Completing a restored backup with what nodes really hold: who holds an address has it. Pure.

For each endpoint that is plugged in somewhere the keys are made that a store needs which knows of it: record,
node's copy, addresses, claims, exceptions, attachment. What stands in the way in the backup, and is held
nowhere, ends. What a node holds and does not get, because of two with one id or one address, is nobody else's
until it has let go of it.
What is there already is left alone, so that doing it twice is doing it once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from controller.ipam import blocks
from controller.ipam.membership import membership
from controller.reading import put
from controller.unique import is_later
from store import keys
from store.client import Delete, Put
from store.model import (
    Address,
    AddressState,
    Attachment,
    Block,
    Displaced,
    Endpoint,
    HeldEndpoint,
    Holding,
    IPAddress,
    IPNetwork,
    Pool,
    Usage,
)

AllHeld = Mapping[tuple[str, str], HeldEndpoint]
"""What nodes hold, by node and endpoint."""


@dataclass(slots=True)
class Backup:
    """What the restored store says. Changed by the adoption, step by step."""

    pools: Sequence[Pool]
    endpoints: dict[str, Endpoint]
    addresses: dict[IPAddress, Address]
    claims: dict[tuple[str, IPNetwork], Block]
    tenants: Collection[str]
    nodes: Collection[str]
    attached: Collection[tuple[str, str]]
    """Node and endpoint of each attachment."""


@dataclass(slots=True)
class Adoption:
    """What to write, in groups that belong together, and what to tell people."""

    groups: list[list[Put | Delete]] = field(default_factory=list)
    confirmed: int = 0
    adopted: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    idle: int = 0


def adopt(backup: Backup, holdings: Mapping[str, Holding], now: datetime) -> Adoption:
    """What completes the backup.

    Args:
        holdings: what each node that was heard of holds.
        now: becomes the `since` of the addresses that are adopted.
    """
    held = {(node, one.endpoint): one for node, each in holdings.items() for one in each.endpoints}
    adopting = _Adopting(backup, held, now)
    made = adopting.made
    firsts = _firsts(backup, held)
    for (node, name), one in sorted(held.items()):
        record = backup.endpoints.get(name)
        if firsts[name] != node:
            continue
        if record is not None and record.node == node and _same(record, one):
            made.confirmed += 1
        else:
            adopting.take(node, one)
    for (node, name), one in sorted(held.items()):
        if (first := firsts[name]) != node:
            adopting.stand_back(node, one, first)
    for node in sorted(holdings.keys() - set(backup.nodes)):
        made.refused.append(f"node {node}: the backup lacks it; polder node create {node} --asn ASN")
    made.groups += [
        [_attach(node, one, holdings[node].boot_id)]
        for (node, name), one in sorted(held.items())
        if (node, name) not in backup.attached
    ]
    made.idle = sum((record.node, record.id) not in held for record in backup.endpoints.values())
    return made


class _Adopting:
    """An adoption under way: each step changes the backup for the steps that follow."""

    def __init__(self, backup: Backup, held: AllHeld, now: datetime) -> None:
        self._backup = backup
        self._held = held
        self._now = now
        self._homes = _homes(backup, held)
        """Who gets a block that the backup does not know."""
        self.made = Adoption()

    def take(self, node: str, one: HeldEndpoint) -> None:
        """The node has it: what the backup says that stands in the way ends."""
        backup, made = self._backup, self.made
        placed = [(address, pool) for address in one.addresses if (pool := _pool(backup, address))]
        what = _named(node, one)
        before = backup.endpoints.get(one.endpoint)
        if len(placed) < len(one.addresses):
            made.refused.append(f"{what}: no pool has its address; create the pool, and the endpoint again")
            self._keep(node, one)
            return
        rivals = [
            each
            for address, _ in placed
            if (each := backup.addresses.get(address))
            and each.state is AddressState.ASSIGNED
            and each.endpoint != one.endpoint
        ]
        twice = [each for each in rivals if _is_kept(each, one) or _holds(self._held, each)]
        if twice:
            by = twice[0].holder + (f" on node {twice[0].node}" if twice[0].node else "")
            made.refused.append(f"{what}: {by} holds {twice[0].address} too; delete one of the two")
            self._keep(node, one)
            return
        moved = before if before is not None and before.uid == one.uid else None
        left = _left(backup, moved, node) if moved else ()
        ops: dict[str, Put | Delete] = {}
        for rival in {one.endpoint, *(each.endpoint for each in rivals if each.endpoint)}:
            for op in self._end(rival):
                ops[op.key] = op  # the last one of a key counts
        for service in (each.service for each in rivals if each.service):
            ops[keys.SERVICES.key(service)] = Delete(keys.SERVICES.key(service))
        made.ended += [
            f"{each}: {what} really holds its address" for each in sorted({r.holder for r in rivals})
        ]
        record = _record(node, one, placed, moved)
        for op in self._begin(record, placed, left):
            ops[op.key] = op  # the last one of a key counts
        made.groups.append(list(ops.values()))
        unknown = one.tenant is not None and one.tenant not in backup.tenants
        made.adopted.append(
            f"{what}; polder tenant create {one.tenant}, the backup lacks it" if unknown else what
        )

    def stand_back(self, node: str, one: HeldEndpoint, first: str) -> None:
        """Another node has the endpoint: this one takes it down when it believes the store again."""
        if one.uid == self._held[first, one.endpoint].uid:
            self.made.confirmed += 1  # it is on its way
        else:
            self.made.refused.append(
                f"{_named(node, one)}: node {first} holds a later one of that id; this one is taken down, "
                f"and its address stays taken until endpoint {one.endpoint} is deleted"
            )
        self._keep(node, one)

    def _keep(self, node: str, one: HeldEndpoint) -> None:
        """What a node holds and has not got is not assigned to others: it is waited for until it has let go.

        An address that nobody has is held for an endpoint without a record, which ends as an orphan does.
        """
        ops: list[Put | Delete] = []
        for address in one.addresses:
            if (pool := _pool(self._backup, address)) is None:
                continue
            there = self._backup.addresses.get(address)
            if there is None or there.state is not AddressState.ASSIGNED:
                kept = Address(
                    address=address,
                    pool=pool.name,
                    endpoint=one.endpoint,
                    node=node,
                    since=self._now,
                    by="restore",
                )
                ops += self._assign(kept, pool)
            elif there.endpoint == one.endpoint and node not in {there.node, *there.left}:
                ops += self._assign(there.model_copy(update={"left": (*there.left, node)}), pool)
        if ops:
            self.made.groups.append(ops)

    def _end(self, name: str) -> Iterator[Put | Delete]:
        """An endpoint that the backup knows ends, and its addresses are free at once."""
        backup = self._backup
        record = backup.endpoints.pop(name, None)
        if record is None:
            return
        yield Delete(keys.ENDPOINTS.key(name))
        yield Delete(keys.NODE_ENDPOINTS.key(record.node, name))
        for address, pool_name in record.placed:
            there = backup.addresses.get(address)
            pool = next((each for each in backup.pools if each.name == pool_name), None)
            if pool is None or there is None or there.endpoint != name:
                continue
            del backup.addresses[address]
            cidr = blocks.block_of(pool, address)
            yield Delete(keys.ADDRESSES.key(pool_name, cidr, address))
            claim = backup.claims.get((pool_name, cidr))
            if claim is not None and claim.node != record.node:
                yield Delete(keys.DISPLACED.key(claim.node, address))

    def _begin(
        self, record: Endpoint, placed: Sequence[tuple[IPAddress, Pool]], left: tuple[str, ...]
    ) -> Iterator[Put | Delete]:
        """The keys of an endpoint that a node holds."""
        node = record.node
        self._backup.endpoints[record.id] = record
        yield put(keys.ENDPOINTS, record, record.id)
        yield put(keys.NODE_ENDPOINTS, record, node, record.id)
        for address, pool in placed:
            taken = Address(
                address=address,
                pool=pool.name,
                endpoint=record.id,
                node=node,
                since=self._now,
                tenant=record.tenant,
                by="restore",
                left=left,
            )
            yield from self._assign(taken, pool)
            owner = self._backup.claims[pool.name, blocks.block_of(pool, address)].node
            if owner != node:
                exception = Displaced(address=address, endpoint=record.id, node=node)
                yield put(keys.DISPLACED, exception, owner, address)

    def _assign(self, taken: Address, pool: Pool) -> Iterator[Put]:
        """The key of an address, and of its block where nobody has that."""
        backup, cidr = self._backup, blocks.block_of(pool, taken.address)
        if (pool.name, cidr) not in backup.claims:
            home = self._homes[pool.name, cidr]
            claim = backup.claims[pool.name, cidr] = Block(cidr=cidr, pool=pool.name, node=home)
            yield put(keys.BLOCKS, claim, pool.name, cidr)
            yield put(keys.NODE_BLOCKS, claim, home, cidr)
        backup.addresses[taken.address] = taken
        yield put(keys.ADDRESSES, taken, pool.name, cidr, taken.address)


def homeless(pools: Sequence[Pool], holdings: Mapping[str, Holding]) -> Iterator[str]:
    """What nodes hold that cannot be adopted, since no pool has an address of it."""
    for node, each in sorted(holdings.items()):
        for one in each.endpoints:
            if not all(any(address in pool.cidr for pool in pools) for address in one.addresses):
                yield _named(node, one)


def usage_ops(backup: Backup, before: Sequence[Usage]) -> list[Put | Delete]:
    """What each tenant holds, counted anew."""
    counts = Counter(
        (each.tenant, each.address.version)
        for each in backup.addresses.values()
        if each.state is AddressState.ASSIGNED
    )
    tenants = {tenant for tenant, _ in counts if tenant} | {usage.tenant for usage in before}
    made = (Usage(tenant=name, ipv4=counts[name, 4], ipv6=counts[name, 6]) for name in sorted(tenants))
    return [
        put(keys.USAGE, each, each.tenant) if each.ipv4 or each.ipv6 else Delete(keys.USAGE.key(each.tenant))
        for each in made
    ]


def _homes(backup: Backup, held: AllHeld) -> dict[tuple[str, IPNetwork], str]:
    """For each block the node that holds most of it: it had it, or fewest routes change so."""
    counts: dict[tuple[str, IPNetwork], Counter[str]] = {}
    for (node, _), one in sorted(held.items()):
        for address in one.addresses:
            if pool := _pool(backup, address):
                counts.setdefault((pool.name, blocks.block_of(pool, address)), Counter())[node] += 1
    return {block: nodes.most_common(1)[0][0] for block, nodes in counts.items()}


def _firsts(backup: Backup, held: AllHeld) -> dict[str, str]:
    """The node that has each endpoint: of several that hold one of this id, the one that holds the latest.

    Where several hold that one it is on its way: the node of the backup has it.
    """
    firsts: dict[str, str] = {}
    for node, name in sorted(held, key=lambda one: (not _is_home(backup, *one), one)):
        first = firsts.setdefault(name, node)
        if held[node, name].uid > held[first, name].uid:  # a later uid is greater
            firsts[name] = node
    return firsts


def _is_home(backup: Backup, node: str, name: str) -> bool:
    record = backup.endpoints.get(name)
    return record is not None and record.node == node


def _same(record: Endpoint, one: HeldEndpoint) -> bool:
    return record.uid == one.uid and set(record.addresses) == set(one.addresses)


def _named(node: str, one: HeldEndpoint) -> str:
    return f"endpoint {one.endpoint} ({', '.join(map(str, one.addresses))}) on node {node}"


def _left(backup: Backup, before: Endpoint, node: str) -> tuple[str, ...]:
    """The nodes that may hold something still of an endpoint that has moved since the backup."""
    there = (backup.addresses.get(address) for address in before.addresses)
    return tuple(sorted({before.node, *(name for each in there if each for name in each.left)} - {node}))


def _is_kept(address: Address, one: HeldEndpoint) -> bool:
    """Whether it is a service's that may be there still: no endpoint that was made later has got it since."""
    return address.service is not None and not is_later(one.uid, address.since)


def _holds(held: AllHeld, address: Address) -> bool:
    one = held.get((address.node or "", address.endpoint or ""))
    return one is not None and address.address in one.addresses


def _record(
    node: str, one: HeldEndpoint, placed: Sequence[tuple[IPAddress, Pool]], before: Endpoint | None
) -> Endpoint:
    """The endpoint as it is held; labels and limits as the backup has them, when it knows it."""
    said = before or one
    return Endpoint(
        id=one.endpoint,
        uid=one.uid,
        node=node,
        tenant=one.tenant,
        pools=tuple(pool.name for _, pool in placed),
        addresses=one.addresses,
        mac=one.mac,
        mtu_bytes=one.mtu_bytes,
        labels=dict(said.labels),
        qos=said.qos,
        kind=one.kind,
        membership=membership([pool for _, pool in placed]),
    )


def _attach(node: str, one: HeldEndpoint, boot_id: str) -> Put:
    """The proof that the node holds it, until its agent says so itself, and what it is plugged into."""
    made = Attachment(endpoint=one.endpoint, node=node, addresses=one.addresses, boot_id=boot_id)
    return put(keys.ATTACHMENTS, made, node, one.endpoint)


def _pool(backup: Backup, address: IPAddress) -> Pool | None:
    return next((pool for pool in backup.pools if address in pool.cidr), None)
