"""The rules of the address plan as a check of a whole store, and a store that loses answers."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

from controller.ipam import blocks
from controller.ipam.allocator import Allocator
from controller.ipam.committer import Committer
from controller.ipam.moving import Mover
from controller.ipam.release import Releaser
from controller.reading import Found, scan
from controller.recall import Recalling
from controller.registry import Registry
from controller.retire import Retirer
from store import keys
from store.client import Compare, KeyValue, Op, Range, Store, TxnResult, Watch
from store.errors import LeaseExpired, Unavailable
from store.memory import MemoryStore
from store.model import AddressState, Block, Endpoint, IPNetwork

LOST_AFTER = "applied, answer lost"
LOST_BEFORE = "not applied, answer lost"
LATE = "answer lost, applied after the next request"
HELD = "answer lost, applied when it arrives"
REFUSED = "refused"
Claims = dict[tuple[str, IPNetwork], Block]
Met = str | Callable[[], None] | None
FAULTS = (LOST_AFTER, LOST_BEFORE, LATE, HELD, REFUSED)


class FlakyStore:
    """A store whose next transactions meet what is in `meets`, one each.

    That is one of `FAULTS`, None for nothing, or what somebody else does at that very moment: between
    what the caller has read and what it now writes.
    """

    def __init__(self, inner: MemoryStore) -> None:
        self.inner = inner
        self.meets: deque[Met] = deque()
        self._late: deque[tuple[Sequence[Compare], Sequence[Op]]] = deque()
        self._held: deque[tuple[Sequence[Compare], Sequence[Op]]] = deque()

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        fault = self.meets.popleft() if self.meets and ops else None
        if callable(fault):
            fault()
        if fault is REFUSED:
            raise Unavailable("refused")
        if fault is LOST_BEFORE:
            self.deliver()
            raise Unavailable("lost before", outcome_unknown=True)
        if fault is LATE:
            self._late.append((compares, ops))
            raise Unavailable("late", outcome_unknown=True)
        if fault is HELD:
            self._held.append((compares, ops))
            raise Unavailable("held", outcome_unknown=True)
        result = self.inner.txn(compares, ops)
        self.deliver()
        if fault is LOST_AFTER:
            raise Unavailable("lost after", outcome_unknown=True)
        return result

    def deliver(self) -> None:
        """Requests that were on their way arrive."""
        while self._late:
            try:
                self.inner.txn(*self._late.popleft())
            except LeaseExpired:
                continue

    def arrive(self) -> None:
        """What was held for long arrives."""
        self._late, self._held = self._held, deque()
        self.deliver()

    def get(self, key: str) -> KeyValue | None:
        return self.inner.get(key)

    def range(
        self, prefix: str, *, limit: int = 0, after: str = "", before: str = "", revision: int = 0
    ) -> Range:
        return self.inner.range(prefix, limit=limit, after=after, before=before, revision=revision)

    def get_many(self, keys: Sequence[str]) -> Mapping[str, KeyValue]:
        return self.inner.get_many(keys)

    def count(self, prefixes: Sequence[str]) -> list[int]:
        return self.inner.count(prefixes)

    def watch(self, prefixes: Sequence[str], *, start_revision: int, **options: Any) -> Watch:
        return self.inner.watch(prefixes, start_revision=start_revision, **options)

    def grant(self, ttl_s: int) -> int:
        return self.inner.grant(ttl_s)

    def keep_alive(self, lease_id: int) -> int:
        return self.inner.keep_alive(lease_id)

    def revoke(self, lease_id: int) -> None:
        self.inner.revoke(lease_id)

    def cluster_id(self) -> str:
        return self.inner.cluster_id()

    def close(self) -> None:
        """The store behind it belongs to the test."""


@dataclass(frozen=True)
class Controller:
    """The writing parts of a controller, without its API and without pauses."""

    store: Store
    committer: Committer
    registry: Registry
    allocator: Allocator
    releaser: Releaser
    mover: Mover
    retirer: Retirer

    @classmethod
    def over(cls, store: Store) -> Controller:
        committer = Committer(store, txn=Recalling(store).txn, pauses_s=(0, 0, 0))
        return cls(
            store,
            committer,
            Registry(store, committer),
            Allocator(store, [committer], now),
            Releaser(store, committer, now),
            Mover(store, committer, now),
            Retirer(store, committer),
        )


def now() -> datetime:
    """A time of day, always the same."""
    return datetime(2026, 1, 1, tzinfo=UTC)


def check(store: Store, *, unknown: Collection[str] = ()) -> None:
    """Fail unless the whole store obeys the rules of `controller.ipam.units`.

    Args:
        unknown: tenants and nodes that a restored backup lacks, and whose endpoints were adopted.
    """
    records = {found.value.id: found for found in scan(store, keys.ENDPOINTS).items}
    claims = {(claim.pool, claim.cidr): claim for claim in scan(store, keys.BLOCKS).values}
    _check_addresses(store, {name: found.value for name, found in records.items()})
    _check_copies(store, records)
    _check_claims(store, claims, unknown)
    _check_displaced(store, records, claims)
    _check_usage(store, records, unknown)
    _check_moves(store)


def _check_addresses(store: Store, records: dict[str, Endpoint]) -> None:
    held = scan(store, keys.ADDRESSES).values
    assigned = [address for address in held if address.state is AddressState.ASSIGNED]
    by_key = sorted((str(each.address), each.holder, each.node, each.pool) for each in assigned)
    services = scan(store, keys.SERVICES).values
    by_record = sorted(
        [
            (str(address), f"endpoint {record.id}", record.node, pool)
            for record in records.values()
            for address, pool in record.placed
        ]
        + [(str(each.address), f"service {each.name}", None, each.pool) for each in services]
    )
    assert by_key == by_record, "an address key for each address of a record, and no other"
    assert len({address for address, *_ in by_key}) == len(by_key), "no address is held twice"
    pools = {pool.name: pool for pool in scan(store, keys.POOLS).values}
    for each in held:
        pool = pools[each.pool]
        assert each.address in pool.cidr
        key = keys.ADDRESSES.key(pool.name, blocks.block_of(pool, each.address), each.address)
        assert store.get(key) is not None, "the key names the block that the address is in"


def _check_copies(store: Store, records: dict[str, Found[Endpoint]]) -> None:
    copies = scan(store, keys.NODE_ENDPOINTS).items
    assert {found.key for found in copies} == {
        keys.NODE_ENDPOINTS.key(found.value.node, found.value.id) for found in records.values()
    }, "one copy for each record, below its node"
    for copy in copies:
        assert copy.value == records[copy.value.id].value


def _check_claims(store: Store, claims: Claims, unknown: Collection[str]) -> None:
    copies = scan(store, keys.NODE_BLOCKS).values
    assert sorted(map(str, copies)) == sorted(map(str, claims.values())), "a copy for each claim"
    nodes = {node.name for node in scan(store, keys.NODES).values}
    pools = {pool.name for pool in scan(store, keys.POOLS).values}
    assert {claim.node for claim in claims.values()} <= {*nodes, *unknown}
    assert {claim.pool for claim in claims.values()} <= pools


def _check_displaced(store: Store, records: dict[str, Found[Endpoint]], claims: Claims) -> None:
    pools = {pool.name: pool for pool in scan(store, keys.POOLS).values}
    wanted = set()
    for record in (found.value for found in records.values()):
        for address, pool_name in record.placed:
            cidr = blocks.block_of(pools[pool_name], address)
            claim = claims.get((pool_name, ip_network(cidr)))
            assert claim is not None, "the block of an assigned address is claimed"
            if claim.node != record.node:
                wanted.add((keys.DISPLACED.key(claim.node, address), record.id, record.node))
    there = {
        (found.key, found.value.endpoint, found.value.node) for found in scan(store, keys.DISPLACED).items
    }
    assert there == wanted, "an exception for each address that another node holds, and no other"


def _check_moves(store: Store) -> None:
    wanted = {
        keys.NODE_MOVES.key(node, move.endpoint.id): move
        for move in scan(store, keys.MOVES).values
        for node in (move.source, move.target)
    }
    there = {found.key: found.value for found in scan(store, keys.NODE_MOVES).items}
    assert there == wanted, "both nodes of a move are told of it, and of no other"


def _check_usage(store: Store, records: dict[str, Found[Endpoint]], unknown: Collection[str]) -> None:
    held: Counter[tuple[str, int]] = Counter()
    for record in (found.value for found in records.values()):
        if record.tenant is not None:
            held.update((record.tenant, address.version) for address in record.addresses)
    held.update(
        (each.tenant, each.address.version)
        for each in scan(store, keys.SERVICES).values
        if each.tenant is not None
    )
    told = {
        (usage.tenant, version): count
        for usage in scan(store, keys.USAGE).values
        for version, count in ((4, usage.ipv4), (6, usage.ipv6))
        if count
    }
    assert told == dict(held), "the use of each tenant is what its endpoints and services hold"
    limits = {tenant.name: (tenant.max_ipv4, tenant.max_ipv6) for tenant in scan(store, keys.TENANTS).values}
    for (tenant, version), count in held.items():
        if tenant in unknown:
            continue
        limit = limits[tenant][version == 6]
        assert limit is None or count <= limit, "a quota is never exceeded"
