"""Addresses that are assigned to an endpoint or a service that does not exist: nobody will ever release them.

No transaction of ours leaves one; a hand in etcd, or a program that is not ours, may. Only the keys of the
holders are looked at, page by page, and each candidate is freed on condition that it is still one and that
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
    """The assigned addresses whose holder has no record. One may have come or gone meanwhile."""
    held = [
        found for found in scan(store, keys.ADDRESSES).items if found.value.state is AddressState.ASSIGNED
    ]
    # After the addresses: a holder that came with one of them is seen.
    there = _keys(store, keys.ENDPOINTS.prefix()) | _keys(store, keys.SERVICES.prefix())
    return (each for each in held if _holder(each.value) not in there)


def _keys(store: Store, prefix: str) -> set[str]:
    answer = store.range(prefix, limit=PAGE)
    found = {item.key for item in answer.items}
    while answer.more:
        answer = store.range(prefix, limit=PAGE, after=answer.items[-1].key)
        found.update(item.key for item in answer.items)
    return found


def _holder(address: Address) -> str:
    """The key of the record that an assigned address needs."""
    return keys.SERVICES.key(address.service) if address.service else keys.ENDPOINTS.key(address.endpoint)


def _free(orphan: Found[Address]) -> Unit:
    value = orphan.value
    nodes = {value.node, *value.left} - {None}
    held = (Absent(keys.ATTACHMENTS.key(node, value.endpoint)) for node in nodes)
    charge = None
    if value.tenant is not None:
        version = value.address.version
        charge = Charge(value.tenant, -(version == 4), -(version == 6))
    compares: tuple[Compare, ...] = (orphan.unchanged(), Absent(_holder(value)), *held)
    return Unit(compares, (Delete(orphan.key),), charge)
