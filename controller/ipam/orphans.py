"""Addresses that are assigned to an endpoint that does not exist: nobody will ever release them.

No transaction of ours leaves one; a hand in etcd, or a program that is not ours, may. Only the keys of the
endpoints are looked at, page by page, and each candidate is freed on condition that it is still one and that
no node it was on holds it.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.ipam.committer import Committer
from controller.ipam.tally import Charge
from controller.ipam.unit import Unit
from controller.ipam.window import Window
from controller.reading import Found, scan
from store import keys
from store.client import Absent, Compare, Delete, Store
from store.model import Address, AddressState

PAGE = 1000


def free_orphans(store: Store, committer: Committer) -> list[Address]:
    """Free them; returns those that were. Blocking. Idempotent."""
    window: Window[Address] = Window(committer)
    for orphan in list(orphans(store)):
        window.submit(_free(orphan), orphan.value)
    return window.drain()


def orphans(store: Store) -> Iterator[Found[Address]]:
    """The assigned addresses whose endpoint has no record. An endpoint may have come or gone meanwhile."""
    held = [
        found for found in scan(store, keys.ADDRESSES).items if found.value.state is AddressState.ASSIGNED
    ]
    there = _ids(store)  # after the addresses: an endpoint that came with one of them is seen
    return (each for each in held if each.value.endpoint not in there)


def _ids(store: Store) -> set[str]:
    prefix = keys.ENDPOINTS.prefix()
    answer = store.range(prefix, limit=PAGE)
    found = {item.key.removeprefix(prefix) for item in answer.items}
    while answer.more:
        answer = store.range(prefix, limit=PAGE, after=answer.items[-1].key)
        found.update(item.key.removeprefix(prefix) for item in answer.items)
    return found


def _free(orphan: Found[Address]) -> Unit:
    value = orphan.value
    held = (Absent(keys.ATTACHMENTS.key(node, value.endpoint)) for node in {value.node, *value.left})
    charge = None
    if value.tenant is not None:
        version = value.address.version
        charge = Charge(value.tenant, -(version == 4), -(version == 6))
    compares: tuple[Compare, ...] = (orphan.unchanged(), Absent(keys.ENDPOINTS.key(value.endpoint)), *held)
    return Unit(compares, (Delete(orphan.key),), charge)
