"""The duty of withdrawal: the address of a deleted service cools down once no speaker announces it any more.

A node that is cut off from etcd does not hear that the service is gone and goes on announcing it, as does one
whose speaker is dead. Until it withdraws, or is taken to be gone for good, nobody else may have the address:
routers would share his packets between both. What a speaker announces it says below its node.

A deletion writes `withdrawing/<pool>/<address>` in its own transaction, which the duty watches.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

from controller.ipam import blocks, units
from controller.ipam.committer import Commits
from controller.ipam.release import Cooldowns
from controller.ipam.unit import Unit
from controller.prompted import RELOOK_S, Outlook
from controller.reading import Found, read, scan
from store import keys
from store.client import Delete, Put, Store
from store.errors import Corrupt, LeaseExpired
from store.model import Address, AddressState, IPAddress, Pool, Withdrawing, host_prefix

log = logging.getLogger(__name__)

REST_S = 0.5
"""Between two looks while an address is still announced."""


def announcers(store: Store, address: IPAddress) -> list[str]:
    """The nodes whose speakers say that they announce an address of its own. Raises what the store does."""
    nodes = [found.name for found in scan(store, keys.NODES).values]
    said = {node: keys.ADVERTISED.key(node, host_prefix(address)) for node in nodes}
    there = store.get_many(list(said.values()))
    return [node for node, key in said.items() if key in there]


class Withdrawals:
    """Begins the cooldown of what is withdrawn, at each `look`. Many controllers at once do no harm."""

    def __init__(self, store: Store, committer: Commits, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._committer = committer
        self._clock = clock
        self._cooldowns = Cooldowns(store)
        self._announced: dict[str, str] = {}
        """By the key of each mark, where a speaker said that it announces the address."""

    def look(self) -> Outlook:
        """Begin the cooldowns that can begin. While one cannot it is looked at again and again.

        That may be for a day: all nodes are looked at only once the speaker that was seen has withdrawn.
        """
        listing = scan(self._store, keys.WITHDRAWING)
        still = self._store.get_many(list(self._announced.values()))
        self._announced = {mark: key for mark, key in self._announced.items() if key in still}
        for found in listing.items:
            if found.key in self._announced:
                continue
            try:
                self._look_at(found)
            except Corrupt as fault:
                log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
        again_s = REST_S if listing.items else RELOOK_S
        return Outlook(listing.revision, (keys.WITHDRAWING.prefix(),), again_s)

    def _look_at(self, mark: Found[Withdrawing]) -> None:
        pool = read(self._store, keys.POOLS, mark.value.pool)
        held = _held(self._store, pool.value, mark.value.address) if pool is not None else None
        if pool is None or held is None:
            self._committer.commit(Unit((mark.unchanged(),), (Delete(mark.key),)))
        elif there := announcers(self._store, mark.value.address):
            self._announced[mark.key] = keys.ADVERTISED.key(there[0], host_prefix(mark.value.address))
        else:
            try:
                self._committer.commit(self._cooled(mark, held, pool.value.cooldown_s))
            except LeaseExpired:
                self._cooldowns.forget()  # the next look takes another

    def _cooled(self, mark: Found[Withdrawing], held: Found[Address], cooldown_s: int) -> Unit:
        lease_id = self._cooldowns.lease(cooldown_s)
        fields = held.value.model_dump(mode="json")
        after = units.cooling(held.key, fields, "", self._clock(), cooldown_s, lease_id)
        ends = Put(after.key, after.becomes, lease_id) if lease_id else Delete(held.key)
        return Unit((mark.unchanged(), held.unchanged()), (Delete(mark.key), ends))


def _held(store: Store, pool: Pool, address: IPAddress) -> Found[Address] | None:
    """The address while nobody has it; after a restored backup an endpoint may have it again."""
    found = read(store, keys.ADDRESSES, pool.name, blocks.block_of(pool, address), address)
    return found if found is not None and found.value.state is AddressState.COOLDOWN else None
