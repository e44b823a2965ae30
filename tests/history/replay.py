"""The second witness: etcd's own history, revision by revision. Pure.

After every revision, each assigned address key must stand for a record that lists the address, and back;
an address that somebody had, or that cools down, is somebody else's only after its key was deleted; a
tenant's use is what its records hold, and within its quota. What is made all or none is all there when that
is decided, or none of it stays, and none comes later. What the clients cannot see, because it was over
before they looked, shows here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from store import keys
from store.client import Change, Changed
from store.codec import decode
from store.model import Address, AddressState, Endpoint, EndpointState, Pending, PendingState, Tenant, Usage


@dataclass(slots=True)
class _Making:
    """Endpoints that are made all or none."""

    now: Pending
    there: set[str]
    """The ids that were there since it began: an id that was there before is an answer too."""


@dataclass(slots=True)
class Replay:
    """Takes changes in order of revision; `faults` is what is wrong, `assigned` who ever had what."""

    faults: list[str] = field(default_factory=list)
    assigned: set[tuple[str, str, tuple[str, ...]]] = field(default_factory=set)
    """Id, uid and addresses of every record that ever was."""
    revision: int = 0
    _keys: dict[str, Address] = field(default_factory=dict)
    _records: dict[str, Endpoint] = field(default_factory=dict)
    _touched: set[str] = field(default_factory=set)
    _limits: dict[str, Tenant] = field(default_factory=dict)
    _told: dict[str, Usage] = field(default_factory=dict)
    _held: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Addresses of each tenant in each family, by its records."""
    _counted: set[str] = field(default_factory=set)
    _making: dict[str, _Making] = field(default_factory=dict)
    _undone: set[tuple[str, str]] = field(default_factory=set)
    """Id and uid of what must not come any more."""

    def take(self, change: Change) -> None:
        """One change."""
        revision = change.item.mod_revision if isinstance(change, Changed) else change.revision
        if revision != self.revision:
            self.settle()
            self.revision = revision
        key = change.item.key if isinstance(change, Changed) else change.key
        value = change.item.value if isinstance(change, Changed) else None
        if (parts := keys.ADDRESSES.parts(key)) is not None:
            self._address(parts[-1], decode(Address, value, key=key) if value else None)
        elif (parts := keys.ENDPOINTS.parts(key)) is not None:
            self._record(parts[0], decode(Endpoint, value, key=key) if value else None)
        elif (parts := keys.PENDING.parts(key)) is not None:
            self._pending(parts[0], decode(Pending, value, key=key) if value else None)
        elif (parts := keys.USAGE.parts(key)) is not None:
            # A tenant that holds nothing has no key.
            self._told[parts[0]] = decode(Usage, value, key=key) if value else Usage(tenant=parts[0])
            self._counted.add(parts[0])
        elif (parts := keys.TENANTS.parts(key)) is not None and value:
            self._limits[parts[0]] = decode(Tenant, value, key=key)

    def settle(self) -> None:
        """The revision is over: what it touched must fit together."""
        self._settle_addresses()
        self._settle_tenants()
        self._touched.clear()
        self._counted.clear()

    def _settle_addresses(self) -> None:
        listed: defaultdict[str, set[str]] = defaultdict(set)
        for address in self._touched:
            for name, record in self._records.items():
                if address in map(str, record.addresses):
                    listed[address].add(name)
        for address in sorted(self._touched):
            held = self._keys.get(address)
            holder = held.endpoint if held and held.state is AddressState.ASSIGNED else None
            if listed[address] != ({holder} if holder else set()):
                who = ", ".join(sorted(listed[address])) or "nobody"
                self.faults.append(
                    f"revision {self.revision}: {address}: key of {holder or 'nobody'}, record of {who}"
                )

    def _settle_tenants(self) -> None:
        for tenant in sorted(self._counted):
            told, limit = self._told.get(tenant, Usage(tenant=tenant)), self._limits.get(tenant)
            held = self._held[tenant, 4], self._held[tenant, 6]
            if (told.ipv4, told.ipv6) != held:
                self.faults.append(f"revision {self.revision}: {tenant} holds {held}, counted as {told}")
            limits = (limit.max_ipv4, limit.max_ipv6) if limit is not None else (None, None)
            if any(most is not None and now > most for now, most in zip(held, limits, strict=True)):
                self.faults.append(f"revision {self.revision}: {tenant} holds {held} of {limits}")

    def _address(self, address: str, value: Address | None) -> None:
        self._touched.add(address)
        before = self._keys.pop(address, None)
        if value is None:
            return
        self._keys[address] = value
        cooling = before is not None and before.state is AddressState.COOLDOWN
        if before is not None and (cooling or before.endpoint != value.endpoint):
            self.faults.append(f"revision {self.revision}: {address} was taken over: {before} then {value}")

    def _pending(self, name: str, value: Pending | None) -> None:
        if value is None:
            self._forgotten(self._making.pop(name).now)
            return
        making = self._making.setdefault(name, _Making(value, set(self._records)))
        making.now = value
        if value.state is PendingState.MADE:
            missing = sorted(of for of, _ in value.endpoints if of not in making.there)
            if missing:
                self.faults.append(f"revision {self.revision}: {name} is made, and {missing} never was")
        if value.state is PendingState.UNDOING:
            self._undone.update(value.endpoints)

    def _forgotten(self, pending: Pending) -> None:
        if pending.state is PendingState.MAKING:
            self.faults.append(f"revision {self.revision}: {pending.id} was forgotten before it was decided")
        if pending.state is not PendingState.UNDOING:
            return
        for name, uid in pending.endpoints:
            left = self._records.get(name)
            if left is not None and left.uid == uid and left.state is EndpointState.ASSIGNED:
                self.faults.append(f"revision {self.revision}: {name} was to be undone and stays: {left}")

    def _record(self, name: str, value: Endpoint | None) -> None:
        before = self._records.pop(name, None)
        if value is not None:
            self._records[name] = value
            for making in self._making.values():
                making.there.add(name)
            if before is None and (name, value.uid) in self._undone:
                self.faults.append(f"revision {self.revision}: {name} was undone and came later: {value}")
            self.assigned.add((name, value.uid, tuple(map(str, value.addresses))))
        self._touched |= _addresses(before) ^ _addresses(value)
        for record, sign in ((before, -1), (value, 1)):
            if record is not None and record.tenant is not None:
                self._counted.add(record.tenant)
                for address in record.addresses:
                    self._held[record.tenant, address.version] += sign


def _addresses(record: Endpoint | None) -> set[str]:
    return {str(address) for address in record.addresses} if record is not None else set()


def replayed(changes: Iterable[Change]) -> Replay:
    """All of a history."""
    replay = Replay()
    for change in changes:
        replay.take(change)
    replay.settle()
    return replay
