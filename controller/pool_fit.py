"""What a pool has to agree with: other pools, its tenant, and who holds addresses of it.

Each check gives the compares that keep it true until the pool is written.
"""

from __future__ import annotations

from controller.problem import Fault, Problem, invalid
from controller.reading import read, referred, scan
from controller.validation import validate
from store import keys
from store.client import Compare, PrefixUnwritten, Store
from store.model import AddressState, Pool, is_inside
from store.model.pool import NO_SEGMENT

SHOWN = 5


def as_made(store: Store, pool: Pool, stored: Pool | None) -> Pool:
    """The pool as it is made: what never changes is as it is `stored`, where the request says nothing of it.

    Its blocks keep their size, which no default of a range that has grown changes. It is on its tenant's
    segment when it names none: what else has to know the segment of an endpoint asks its pool.

    Raises:
        Problem: it says what does not go with a segment, or has a gateway and no segment.
    """
    made = _on_segment(store, pool, stored)
    if stored is None or "block_prefixlen" in pool.model_fields_set:
        return made
    return made.model_copy(update={"block_prefixlen": stored.block_prefixlen})


def _on_segment(store: Store, pool: Pool, stored: Pool | None) -> Pool:
    if pool.segment is not None or pool.tenant is None:
        return pool
    tenant = read(store, keys.TENANTS, pool.tenant)
    segment = stored.segment if stored else tenant.value.segment if tenant else None
    if segment is not None:
        return validate(Pool, {**pool.model_dump(exclude_unset=True), "segment": segment})
    if pool.gateway is not None:
        raise invalid("/gateway", NO_SEGMENT)
    return pool


def fits_among_pools(store: Store, pool: Pool) -> tuple[Compare, ...]:
    """A pool overlaps no other, and its tenant exists. Raises `Problem`."""
    pools = scan(store, keys.POOLS)
    for other in pools.values:
        if other.name != pool.name and other.cidr.overlaps(pool.cidr):
            detail = f"{pool.cidr} overlaps {other.cidr} of pool {other.name}; use a range outside it"
            raise Problem("overlap", detail, errors=[Fault(detail, "/cidr")])
    return (PrefixUnwritten(keys.POOLS.prefix(), pools.revision), *_has_tenant(store, pool))


def pool_change(store: Store, stored: Pool, wanted: Pool) -> tuple[Compare, ...]:
    """A pool that is in use can become what is wanted: it only grows, and serves nobody it must not.

    Raises:
        Problem: it cannot; says why.
    """
    compares: tuple[Compare, ...] = ()
    if wanted.cidr != stored.cidr:
        _refuse_unless_grown(stored, wanted)
        compares = fits_among_pools(store, wanted)
    if wanted.tenant != stored.tenant:
        compares += _has_tenant(store, wanted) + _nobody_elses(store, wanted)
    return tuple(dict.fromkeys(compares))


def _refuse_unless_grown(stored: Pool, wanted: Pool) -> None:
    # A network that holds another is cut into blocks at the same places.
    if not is_inside(stored.cidr, wanted.cidr):
        raise invalid(
            "/cidr", f"a pool can only grow: {wanted.cidr} does not hold all of {stored.cidr}; make another"
        )


def _has_tenant(store: Store, pool: Pool) -> tuple[Compare, ...]:
    if pool.tenant is None:
        return ()
    tenant = referred(store, keys.TENANTS, pool.tenant)
    if tenant.value.segment is not None and pool.segment is None:
        detail = f"tenant {pool.tenant} is on segment {tenant.value.segment}, and pool {pool.name} on none"
        raise invalid("/tenant", f"{detail}, which stays so; make another pool for it")
    return (tenant.unchanged(),)


def _nobody_elses(store: Store, pool: Pool) -> tuple[Compare, ...]:
    """No address of the pool is assigned to another than its tenant."""
    if pool.tenant is None:
        return ()
    held = scan(store, keys.ADDRESSES, pool.name)
    others = [
        address.holder
        for address in held.values
        if address.state is AddressState.ASSIGNED and address.tenant != pool.tenant
    ]
    if others:
        shown = ", ".join(others[:SHOWN]) + (", ..." if len(others) > SHOWN else "")
        detail = (
            f"others hold addresses of pool {pool.name}: {len(others)} ({shown}); "
            "disable the pool and delete them first"
        )
        raise Problem("in-use", detail, errors=[Fault(detail, "/tenant")])
    return (PrefixUnwritten(keys.ADDRESSES.prefix(pool.name), held.revision),)
