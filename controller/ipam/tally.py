"""What each tenant holds, counted in the very transactions that change it: one compare and one write each.

A unit that assigns or frees says so by a `Charge`. The committer adds up the charges of the units of one
transaction and writes the new sum of each tenant beside them, on condition that the old sum is as it was
read. So the count is exact with any number of controllers, and a hundred assignments of a tenant still
share one write. The sum is a hint kept from the last transaction; when it proves wrong it is read again.

Only addresses that are assigned count. One that cools down does not: its key ends with a lease, when
nobody is there to count it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.reading import put, read
from store import keys
from store.client import Compare, Delete, Op, Store, Unchanged
from store.model import Usage


@dataclass(frozen=True, slots=True)
class Charge:
    """What a unit adds to a tenant's use, and the limits that the sum then has to be within, if any."""

    tenant: str
    ipv4: int = 0
    ipv6: int = 0
    max_ipv4: int | None = None
    max_ipv6: int | None = None

    def added(self, usage: Usage) -> Usage:
        """The use after it."""
        # Never below zero, so that a count that somebody damaged does not stop releases.
        ipv4, ipv6 = max(0, usage.ipv4 + self.ipv4), max(0, usage.ipv6 + self.ipv6)
        return Usage.model_construct(tenant=self.tenant, ipv4=ipv4, ipv6=ipv6)

    def times(self, usage: Usage) -> int:
        """How many times it may be added before a limit is broken, which it has to have."""
        return min(
            max(0, limit - held) // more
            for more, held, limit in (
                (self.ipv4, usage.ipv4, self.max_ipv4),
                (self.ipv6, usage.ipv6, self.max_ipv6),
            )
            if more and limit is not None
        )

    def excess(self, usage: Usage) -> str | None:
        """Which limit the use would break after it, for people; None when it fits."""
        after = self.added(usage)
        for family, held, limit in (("IPv4", after.ipv4, self.max_ipv4), ("IPv6", after.ipv6, self.max_ipv6)):
            if limit is not None and held > limit:
                more = self.ipv4 if family == "IPv4" else self.ipv6
                return f"{held - more} {family} addresses of {limit}"
        return None


class OverQuota(Exception):
    """A unit would break a limit, as far as the committer knows, which `Committer.confirm` makes sure of."""

    def __init__(self, charge: Charge) -> None:
        super().__init__(f"tenant {charge.tenant} is at its quota")
        self.charge = charge


@dataclass(frozen=True, slots=True)
class Entry:
    """A sum as it is stored; revision 0 is not at all, which stands for nothing held."""

    usage: Usage
    mod_revision: int


@dataclass(slots=True)
class Account:
    """The sums that one transaction changes."""

    before: dict[str, Entry]
    after: dict[str, Usage]

    def add(self, charge: Charge) -> bool:
        """Add a charge; False when it would break a limit."""
        sofar = self.after[charge.tenant]
        if charge.excess(sofar):
            return False
        self.after[charge.tenant] = charge.added(sofar)
        return True

    @property
    def compares(self) -> tuple[Compare, ...]:
        """The sums are still what they were read as."""
        return tuple(
            Unchanged(keys.USAGE.key(tenant), entry.mod_revision) for tenant, entry in self.before.items()
        )

    @property
    def ops(self) -> tuple[Op, ...]:
        """The new sums. A tenant that holds nothing has no key."""
        return tuple(
            put(keys.USAGE, usage, tenant) if usage.ipv4 or usage.ipv6 else Delete(keys.USAGE.key(tenant))
            for tenant, usage in self.after.items()
            if usage != self.before[tenant].usage
        )


def usage_of(store: Store, tenant: str) -> Entry:
    """What a tenant holds, read now."""
    found = read(store, keys.USAGE, tenant)
    return Entry(found.value, found.mod_revision) if found else Entry(Usage(tenant=tenant), 0)


class Tally:
    """The sums as last known. Used by one thread, the committer's, save `room` and `drop`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Entry] = {}

    def open(self, charges: Iterable[Charge]) -> Account:
        """An account for charges that are about to be added."""
        before = {charge.tenant: self._entry(charge.tenant) for charge in charges}
        return Account(before, {tenant: entry.usage for tenant, entry in before.items()})

    def applied(self, account: Account, revision: int) -> None:
        """The account's transaction was applied at this revision; 0 is not known when."""
        for tenant, usage in account.after.items():
            if usage == account.before[tenant].usage:
                continue
            held = usage.ipv4 or usage.ipv6
            if revision:
                self._known[tenant] = Entry(usage, revision if held else 0)
            else:
                self.drop(tenant)

    def has_moved(self, before: Mapping[str, Entry]) -> bool:
        """Read the sums again; True when one is not what the account began with."""
        now = {tenant: usage_of(self._store, tenant) for tenant in before}
        self._known.update(now)
        return now != before

    def forget(self, account: Account) -> None:
        """Whether the account's transaction was applied is not known."""
        for tenant in account.before:
            self.drop(tenant)

    def room(self, charge: Charge, wanted: int) -> int:
        """How many times a charge fits: as known, or as read now if that is fewer than `wanted`.

        From any thread.
        """
        known = self._known.get(charge.tenant)
        if known is not None and (times := charge.times(known.usage)) >= wanted:
            return times
        return charge.times(usage_of(self._store, charge.tenant).usage)

    def drop(self, tenant: str) -> None:
        """What is known of a tenant is not so. From any thread."""
        self._known.pop(tenant, None)

    def _entry(self, tenant: str) -> Entry:
        entry = self._known.get(tenant)
        if entry is None:
            entry = self._known[tenant] = usage_of(self._store, tenant)
        return entry
