"""Services: each gets an address of a pool when it is created, and the address cools down when it is deleted.

The address key is the very one that an endpoint would have, created only if absent: no address is ever
both. A service has no node, so its address is in nobody's block if that can be: it is looked for from the
end of the pool, while nodes claim blocks from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from controller.ipam import blocks
from controller.ipam.committer import Commits
from controller.ipam.tally import Charge, OverQuota
from controller.ipam.unavailable import refuse_held
from controller.ipam.unit import Unit
from controller.precondition import Match
from controller.problem import Fault, Problem, invalid, name_taken, unknown_reference
from controller.reading import Found, find, put, read, referred, scan
from controller.registry import Made, different
from controller.scope import Scope
from store import keys
from store.client import Absent, Compare, Delete, Op, Store
from store.model import (
    Address,
    AddressState,
    IPAddress,
    IPNetwork,
    NewService,
    Pool,
    Service,
    Tenant,
    Withdrawing,
)
from store.model.value import parse_address

ATTEMPTS = 24


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, for the record of the address, and what exists for him."""

    by: str
    request: str
    scope: Scope


class Anycast:
    """Creates and deletes services. Safe to call from many threads, and from many controllers at once."""

    def __init__(self, store: Store, committer: Commits, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock

    def create(self, wanted: NewService, caller: Caller) -> Made[Service]:
        """Create a service; returns it, and whether it is new. Blocking.

        Idempotent: one that is there already, with this address or any if none is asked for, is no error.

        Raises:
            Problem: the name is another service's, or the address cannot be had; says why.
        """
        for _ in range(ATTEMPTS):
            found = read(self._store, keys.SERVICES, wanted.name)
            if found is not None:
                _refuse_other(wanted, found.value, caller.scope)
                return found, False
            pool, tenant = self._pool(wanted, caller.scope), self._tenant(wanted)
            address = self._requested(wanted, pool.value, caller.scope) or self._choose(pool.value)
            service = wanted.at(address)
            if revision := self._commit(_assign(service, pool, tenant, self._clock(), caller)):
                return Found(service, keys.SERVICES.key(service.name), revision), True
        raise _busy(wanted.name)

    def delete(self, name: str, match: Match, scope: Scope) -> None:
        """Delete a service. Its nodes withdraw its address, which then cools down as its pool says. Blocking.

        Raises:
            Problem: there is no such service in `scope`, or it is not the one that `match` demands.
        """
        for attempt in range(ATTEMPTS):
            if attempt and read(self._store, keys.SERVICES, name) is None:
                return
            found = find(self._store, keys.SERVICES, name, scope)
            match.demand(f"service {name}", found.mod_revision)
            if self._committer.commit(self._release(found)):
                return
        raise _busy(name)

    def _pool(self, wanted: NewService, scope: Scope) -> Found[Pool]:
        found = read(self._store, keys.POOLS, wanted.pool)
        if found is None or not scope.has(found.value):
            names = [pool.name for pool in scan(self._store, keys.POOLS).values if scope.has(pool)]
            raise unknown_reference("/pool", "pool", wanted.pool, names)
        pool = found.value
        if pool.disabled:
            raise invalid("/pool", f"pool {pool.name} is disabled: enable it, or use another")
        if pool.tenant not in {None, wanted.tenant}:
            raise invalid("/pool", f"pool {pool.name} is for tenant {pool.tenant} only; use another")
        if pool.segment is not None:
            detail = f"pool {pool.name} is on segment {pool.segment}, and services are announced to routers"
            raise invalid("/pool", f"{detail}; use a pool that is on none")
        return found

    def _tenant(self, wanted: NewService) -> Found[Tenant] | None:
        if wanted.tenant is None:
            return None
        found = referred(self._store, keys.TENANTS, wanted.tenant)
        if found.value.segment is not None:
            detail = (
                f"tenant {wanted.tenant} is on segment {found.value.segment}, and no endpoint there takes"
            )
            raise invalid("/tenant", f"{detail} packets of services; use a tenant that is on none")
        return found

    def _requested(self, wanted: NewService, pool: Pool, scope: Scope) -> IPAddress | None:
        address = wanted.address
        if address is None:
            return None
        if address not in pool.cidr:
            raise invalid("/address", f"{address} is not in {pool.cidr} of pool {pool.name}; use one that is")
        if reason := blocks.why_reserved(pool, address):
            raise invalid("/address", f"{address} is {reason}, which nobody gets; ask for another")
        refuse_held(self._store, pool, address, scope, "/address")
        return address

    def _choose(self, pool: Pool) -> IPAddress:
        """A free address, of a block that no node has if there is one."""
        for block in self._blocks(pool):
            held = self._store.range(keys.ADDRESSES.prefix(pool.name, block)).items
            taken = {int(parse_address(item.key.rpartition("/")[2])) for item in held}
            free = next(blocks.assignable(pool, block, taken), None)
            if free is not None:
                return free
        detail = f"pool {pool.name} ({pool.cidr}) has no free address; delete something, or use another pool"
        raise Problem("pool-full", detail, pool=pool.name)

    def _blocks(self, pool: Pool) -> Iterator[IPNetwork]:
        claims = [claim.cidr for claim in scan(self._store, keys.BLOCKS, pool.name).values]
        claimed = {blocks.block_index(pool, cidr.network_address) for cidr in claims}
        yield from blocks.unclaimed_from_the_end(pool, claimed)
        yield from sorted(claims, key=lambda cidr: int(cidr.network_address), reverse=True)

    def _commit(self, unit: Unit) -> int:
        try:
            return self._committer.commit(unit)
        except OverQuota as over:
            used = self._committer.confirm(over)
            if used is None:
                return 0
            tenant = over.charge.tenant
            detail = f"tenant {tenant} holds {over.charge.excess(used)}; delete something, or raise its quota"
            raise Problem("over-quota", detail, errors=[Fault(detail, "/tenant")], tenant=tenant) from None

    def _release(self, found: Found[Service]) -> Unit:
        """The service goes; its address, if that is its own, is nobody's until it is withdrawn."""
        service = found.value
        pool = read(self._store, keys.POOLS, service.pool)
        compares: list[Compare] = [found.unchanged()]
        ops: list[Op] = [Delete(found.key)]
        charge = None
        if pool is not None:
            cidr = blocks.block_of(pool.value, service.address)
            held = read(self._store, keys.ADDRESSES, service.pool, cidr, service.address)
            if held is not None and held.value.service == service.name:
                compares.append(held.unchanged())
                ops += _nobodys(held.value, cidr, self._clock())
                charge = _charge(service, -1)
        return Unit(tuple(compares), tuple(ops), charge)


def _nobodys(held: Address, cidr: IPNetwork, now: datetime) -> tuple[Op, Op]:
    """What keeps an address from everybody until `controller.withdrawing` has it cool down."""
    after = held.model_copy(update={"state": AddressState.COOLDOWN, "since": now, "free_at": None})
    mark = Withdrawing(pool=held.pool, address=held.address)
    return (
        put(keys.ADDRESSES, after, held.pool, cidr, held.address),
        put(keys.WITHDRAWING, mark, held.pool, held.address),
    )


def _assign(
    service: Service, pool: Found[Pool], tenant: Found[Tenant] | None, now: datetime, caller: Caller
) -> Unit:
    """The service and the key of its address: both or none."""
    held = Address(
        address=service.address,
        pool=service.pool,
        service=service.name,
        state=AddressState.ASSIGNED,
        since=now,
        tenant=service.tenant,
        by=caller.by,
        request=caller.request,
    )
    record = put(keys.SERVICES, service, service.name)
    cidr = blocks.block_of(pool.value, service.address)
    key = put(keys.ADDRESSES, held, service.pool, cidr, service.address)
    compares: tuple[Compare, ...] = (Absent(record.key), Absent(key.key), pool.unchanged())
    if tenant is None:
        return Unit(compares, (record, key))
    limits = tenant.value.max_ipv4, tenant.value.max_ipv6
    return Unit((*compares, tenant.unchanged()), (record, key), _charge(service, 1, *limits))


def _charge(
    service: Service, count: int, max_ipv4: int | None = None, max_ipv6: int | None = None
) -> Charge | None:
    if service.tenant is None:
        return None
    ipv4, ipv6 = (count, 0) if service.address.version == 4 else (0, count)
    return Charge(service.tenant, ipv4, ipv6, max_ipv4, max_ipv6)


def _refuse_other(wanted: NewService, stored: Service, scope: Scope) -> None:
    if not scope.has(stored):
        raise name_taken(wanted.name)
    same = wanted.at(wanted.address or stored.address)
    if same != stored:
        raise different(same, stored)


def _busy(name: str) -> Problem:
    return Problem("busy", f"what service {name} needs keeps changing", retry_after_s=1)
