"""Which pools a request means, best first, or why it means none. Pure.

A pool that is named, or that holds a wanted address, has to fit: enabled, of the family, for the tenant,
for the node. With nothing named every pool that fits is a candidate: the highest priority first, then by
name; the next one serves when the one before is full. A pool of a segment has to be named, but by a tenant
that is on that segment: its endpoints are on none but by a pool that is named, and of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.ipam import blocks
from controller.ipam.request import Request
from controller.problem import Fault, Problem, invalid, unknown_reference
from controller.reading import Found, Listing
from store import keys
from store.client import Compare, PrefixUnwritten
from store.model import IPAddress, Node, Pool, Segment

FAMILIES = {4: "IPv4", 6: "IPv6"}
SHOWN = 8
"""Reasons in one sentence."""


@dataclass(frozen=True, slots=True)
class Want:
    """One address that a request asks for."""

    pools: tuple[Found[Pool], ...]
    """Those that may serve, best first; at least one."""
    address: IPAddress | None = None
    """This very one; else any."""
    pointer: str = ""
    """Where in the request that address stands."""
    compares: tuple[Compare, ...] = ()
    """What must hold for these pools to be the ones meant, beside each being as it was read."""
    passed_over: tuple[str, ...] = ()
    """Why each of the other pools does not serve, for people."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint is to be."""

    node: Node
    segment: Segment | None = None
    """Its tenant's."""


def wants(request: Request, place: Place, pools: Listing[Pool]) -> tuple[Want, ...]:
    """The addresses that a request asks for: one, or one of each family, IPv4 first.

    Raises:
        Problem: it names a pool or an address that cannot serve, or no pool can; says which and why.
    """
    seen = Listing(tuple(each for each in pools.items if request.scope.has(each.value)), pools.revision)
    named = _named(request, place, seen)
    held = _held(request, place, seen, named)
    families = request.families or tuple({*named, *held})
    if not families:
        return (_any(request, place, seen, None),)
    meant = tuple(
        held.get(family)
        or (Want((named[family],)) if family in named else _any(request, place, seen, family))
        for family in sorted(set(families))
    )
    _refuse_two_segments(request, [want.pools[0].value for want in meant])
    return meant


def _refuse_two_segments(request: Request, pools: list[Pool]) -> None:
    """An interface is on one segment, or on none. Raises `Problem`."""
    if len({pool.segment for pool in pools}) > 1:
        names = " and ".join(pool.name for pool in pools)
        raise invalid(request.pool_at(0), f"pools {names} are not of one segment; name two that are")


def _named(request: Request, place: Place, pools: Listing[Pool]) -> dict[int, Found[Pool]]:
    """The pools that are named, by family."""
    by_name = {found.value.name: found for found in pools.items}
    named: dict[int, Found[Pool]] = {}
    for index, name in enumerate(request.pools):
        where = request.pool_at(index)
        if name not in by_name:
            raise unknown_reference(where, "pool", name, by_name)
        found = by_name[name]
        family = found.value.cidr.version
        if family in named:
            raise invalid(where, f"{name} is a second {FAMILIES[family]} pool; name one of each family")
        _refuse_family(where, f"pool {name}", family, request)
        if reason := _unfit(found.value, place, request):
            raise invalid(where, f"pool {name} {reason}")
        named[family] = found
    return named


def _held(
    request: Request, place: Place, pools: Listing[Pool], named: Mapping[int, Found[Pool]]
) -> dict[int, Want]:
    """The wanted addresses with their pools, by family."""
    held: dict[int, Want] = {}
    for index, address in enumerate(request.addresses):
        where = request.address_at(index)
        if address.version in held:
            raise invalid(where, f"{address} is a second {FAMILIES[address.version]} address; only one fits")
        _refuse_family(where, str(address), address.version, request)
        found = _holder(where, address, pools, named)
        if not named and (reason := _unfit(found.value, place, request)):
            raise invalid(where, f"{address} is in pool {found.value.name}, which {reason}")
        if reason := blocks.why_reserved(found.value, address):
            raise invalid(where, f"{address} is {reason}, which no host gets; ask for another")
        held[address.version] = Want((found,), address, where)
    return held


def _holder(
    where: str, address: IPAddress, pools: Listing[Pool], named: Mapping[int, Found[Pool]]
) -> Found[Pool]:
    holding = next((found for found in named.values() or pools.items if address in found.value.cidr), None)
    if holding is not None:
        return holding
    if named:
        ranges = " or ".join(f"{found.value.cidr} (pool {found.value.name})" for found in named.values())
        raise invalid(where, f"{address} is not in the pool that is named; use one of {ranges}")
    raise invalid(where, f"{address} is in no pool{_ranges(pools.values)}")


def _any(request: Request, place: Place, pools: Listing[Pool], family: int | None) -> Want:
    fit: list[Found[Pool]] = []
    passed_over: list[str] = []
    for found in pools.items:
        pool = found.value
        if family not in {None, pool.cidr.version}:
            passed_over.append(f"{pool.name} is {FAMILIES[pool.cidr.version]}")
        elif pool.segment not in {None, place.segment}:
            passed_over.append(f"{pool.name} is a segment's, which is for those who name it")
        elif reason := _unfit(pool, place, request):
            passed_over.append(f"{pool.name} {reason}")
        else:
            fit.append(found)
    if not fit:
        raise _none(request, passed_over, family)
    fit.sort(key=lambda found: (-found.value.priority, found.value.name))
    # A pool that came or changed since may be a better one; one that went was not needed.
    unwritten = PrefixUnwritten(keys.POOLS.prefix(), pools.revision)
    return Want(tuple(fit), compares=(unwritten,), passed_over=tuple(passed_over))


def _unfit(pool: Pool, place: Place, request: Request) -> str | None:
    """Why a pool cannot serve a request, and what would; None when it can."""
    if pool.disabled:
        return "is disabled: it gives out nothing new; use another or enable it"
    if pool.tenant not in {None, request.tenant}:
        return f"is for tenant {pool.tenant} only; ask with that tenant or use another"
    if pool.segment is None and place.segment is not None:
        return (
            f"is on no segment, and tenant {request.tenant} is on {place.segment}; use a pool of that segment"
        )
    node = place.node
    missing = [f"{key}={value}" for key, value in pool.node_selector.items() if node.labels.get(key) != value]
    if missing:
        return f"is for nodes with {', '.join(missing)}, which {node.name} has not; label it or use another"
    return None


def _refuse_family(where: str, what: str, family: int, request: Request) -> None:
    if request.families and family not in request.families:
        asked = " and ".join(FAMILIES[each] for each in sorted(request.families))
        raise invalid(where, f"{what} is {FAMILIES[family]}, and families asks for {asked}; make them agree")


def _none(request: Request, passed_over: Iterable[str], family: int | None) -> Problem:
    reasons = list(passed_over)
    where = request.pool_at(0)
    kind = f"{FAMILIES[family]} " if family else ""
    if not reasons:
        return Problem(
            "invalid", "there is no pool yet; create one first", errors=[Fault("there is no pool", where)]
        )
    detail = f"no pool has an {kind}address for node {request.node}: {listed(reasons)}"
    return Problem("invalid", detail, errors=[Fault(detail, where)])


def listed(reasons: list[str]) -> str:
    """Reasons as one sentence, the first few of many."""
    rest = f"; and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    return "; ".join(reasons[:SHOWN]) + rest


def _ranges(pools: list[Pool]) -> str:
    shown = ", ".join(f"{pool.cidr} ({pool.name})" for pool in pools[:5])
    return f"; there are {shown}" if shown else "; there is none yet"
