"""Addresses that are assigned to an endpoint or a service that does not exist: nobody will ever release them.

No transaction of ours leaves one; a hand in etcd, or a program that is not ours, may. Of the holders only the
keys are looked at, page by page, and of the addresses no more is decoded than who holds them, for all of both
are read every few minutes. Each candidate is freed on condition that it is still one and that no node it was
on holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from controller.ipam.committer import Committer
from controller.ipam.tally import Charge
from controller.ipam.unit import Unit
from controller.ipam.window import Window
from controller.reading import Found, decodable
from store import keys
from store.client import Absent, Compare, Delete, KeyValue, Store
from store.codec import fields
from store.errors import Corrupt
from store.model import Address, AddressState

PAGE = 1000
ENDPOINTS, SERVICES = keys.ENDPOINTS.prefix(), keys.SERVICES.prefix()


def free_orphans(store: Store, committer: Committer) -> list[Address]:
    """Free them; returns those that were. Blocking. Idempotent."""
    window: Window[Address] = Window(committer)
    for orphan in orphans(store):
        window.submit(_free(orphan), orphan.value)
    return window.drain()


def orphans(store: Store) -> list[Found[Address]]:
    """The assigned addresses whose holder has no record. One may have come or gone meanwhile."""
    there = {item.key for kind in (keys.ENDPOINTS, keys.SERVICES) for item in _pages(store, kind.prefix())}
    held = _pages(store, keys.ADDRESSES.prefix())
    candidates = decodable(keys.ADDRESSES, (item for item in held if _lacks(item, there)))
    # A holder that came meanwhile, with one of the addresses, is seen now.
    come = store.get_many([_needed(each.value) for each in candidates])
    return [each for each in candidates if _needed(each.value) not in come]


def _pages(store: Store, prefix: str) -> Iterator[KeyValue]:
    """The keys below a prefix, not of one revision."""
    more, after = True, ""
    while more:
        answer = store.range(prefix, limit=PAGE, after=after)
        yield from answer.items
        more, after = answer.more, answer.items[-1].key if answer.more else after


def _lacks(item: KeyValue, there: AbstractSet[str]) -> bool:
    """Whether a stored address is assigned and its holder is not among these keys."""
    try:
        found = fields(item.value, key=item.key)
    except Corrupt:
        return True  # which is told of
    if found.get("state", AddressState.ASSIGNED) != AddressState.ASSIGNED:
        return False
    return _holder(found.get("service"), found.get("endpoint")) not in there


def _needed(address: Address) -> str:
    return _holder(address.service, address.endpoint)


def _holder(service: str | None, endpoint: str | None) -> str:
    """The key of the record that an assigned address needs."""
    return f"{SERVICES}{service}" if service else f"{ENDPOINTS}{endpoint}"


def _free(orphan: Found[Address]) -> Unit:
    value = orphan.value
    nodes = {value.node, *value.left} - {None}
    held = (Absent(keys.ATTACHMENTS.key(node, value.endpoint)) for node in nodes)
    charge = None
    if value.tenant is not None:
        version = value.address.version
        charge = Charge(value.tenant, -(version == 4), -(version == 6))
    compares: tuple[Compare, ...] = (orphan.unchanged(), Absent(_needed(value)), *held)
    return Unit(compares, (Delete(orphan.key),), charge)
