"""What each node is told of policies and tenants: only what its endpoints need, and only as it changes.

A policy, and likewise a tenant's group, is needed on each node that has an endpoint it selects. The sets that
they speak of are told once, to all nodes. So a change is followed from the endpoint to the choices that begin
or cease to mean it, from these to what is needed where, and nothing else is looked at. A node is told, too,
that it was told all of an endpoint.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from intent.needs import Need, NeedId, group_need, policy_need
from intent.population import NONE, Choice, Member, Population
from intent.shards import Shards
from store import keys
from store.model import Action, Endpoint, Policy, Tenant, Told, Value


@dataclass(slots=True)
class _Picked:
    """A choice in use: where its endpoints are, what needs it, and whether its set is needed."""

    nodes: Counter[str] = field(default_factory=Counter)
    needs: dict[NeedId, Need] = field(default_factory=dict)
    """Those that it is the subject of."""
    named: int = 0
    """How many needs speak of its set."""
    uses: int = 0
    """How many needs speak of its set, or have it as subject."""
    shards: Shards | None = None


class Compiler:
    """All values for all nodes, and which of them have changed. Not thread-safe.

    `wanted` is what should be stored, by key. A value is the same object for all nodes that are told it.
    """

    def __init__(self) -> None:
        self.wanted: dict[str, Value] = {}
        self._population = Population()
        self._picked: dict[Choice, _Picked] = {}
        self._needs: dict[NeedId, Need] = {}
        self._tenants: dict[str, Action] = {}
        self._left: dict[str, str] = {}
        """By endpoint, the node that it leaves and that delivers it still."""
        self._moved: set[str] = set()
        self._laid: dict[Choice, int] = {}
        """How many shards of a set nodes were told of."""
        self._values: set[tuple[NeedId, str]] = set()
        """Needs and nodes of which something has changed."""
        self._sets: set[Choice] = set()
        """Sets that came, went, or were cut anew."""
        self._ends: set[tuple[str, str]] = set()
        """Endpoints that came to a node, or left it."""
        self._shards: set[tuple[Choice, int]] = set()
        """Shards that have changed."""

    def put_endpoint(self, endpoint: Endpoint) -> None:
        """An endpoint is there, or has changed. Idempotent."""
        before = self._population.get(endpoint.id)
        after = Member.of(endpoint, self._left.get(endpoint.id))
        if before is not None and before.nodes[0] != endpoint.node:
            self._moved.add(endpoint.id)
        self._replace(before, after)

    def put_move(self, endpoint: str, source: str) -> None:
        """The node that an endpoint leaves delivers it still. Idempotent."""
        self._left[endpoint] = source
        self._count(endpoint)

    def drop_move(self, endpoint: str) -> None:
        """It does not any more. Idempotent."""
        self._left.pop(endpoint, None)
        self._count(endpoint)

    def moved(self) -> set[str]:
        """The endpoints that went to another node since this was asked last."""
        moved, self._moved = self._moved, set()
        return moved

    def _count(self, endpoint: str) -> None:
        before = self._population.get(endpoint)
        if before is not None:
            nodes = dict.fromkeys((before.nodes[0], self._left.get(endpoint, before.nodes[0])))
            self._replace(before, replace(before, nodes=tuple(nodes)))

    def _replace(self, before: Member | None, after: Member) -> None:
        if before != after:
            self._population.put(after)
            self._move(before, after)

    def drop_endpoint(self, endpoint: str) -> None:
        """An endpoint is gone. Idempotent."""
        before = self._population.get(endpoint)
        if before is not None:
            self._population.drop(endpoint)
            self._move(before, None)

    def put_policy(self, policy: Policy) -> None:
        """A policy is there, or has changed. Idempotent."""
        self._put(policy_need(policy))

    def drop_policy(self, name: str) -> None:
        """A policy is gone. Idempotent."""
        self._drop((keys.RULES.template, name))

    def put_tenant(self, tenant: Tenant) -> None:
        """A tenant is there, or has changed. Idempotent."""
        self._tenants[tenant.name] = tenant.default
        self._put(group_need(tenant.name, tenant.default))
        self._put(group_need(NONE, Action.ALLOW))

    def drop_tenant(self, name: str) -> None:
        """A tenant is gone. Idempotent."""
        self._tenants.pop(name, None)
        self._drop((keys.GROUPS.template, name))
        if not self._tenants:
            self._drop((keys.GROUPS.template, NONE))

    @property
    def idle(self) -> bool:
        """Whether there is neither a policy nor a tenant: then no endpoint matters."""
        return not self._needs

    def changes(self) -> Mapping[str, Value | None]:
        """What has changed of `wanted` since this was asked last, by key; None is to be deleted."""
        found: dict[str, Value | None] = {}
        for choice, shard in self._shards:
            self._settle_shard(found, choice, shard)
        for choice in self._sets:
            self._settle_set(found, choice)
        for need_id, node in self._values:
            need = self._needs.get(need_id)
            there = need is not None and node in self._picked[need.subject].nodes
            kind = keys.RULES if need_id[0] == keys.RULES.template else keys.GROUPS
            self._settle(found, kind.key(node, need_id[1]), need.value if need and there else None)
        for endpoint, node in self._ends:
            member = self._population.get(endpoint)
            there = member is not None and node in member.nodes
            told = Told(endpoint=endpoint, uid=member.uid) if member is not None and there else None
            self._settle(found, keys.TOLD.key(node, endpoint), told)
        self._values, self._sets, self._shards, self._ends = set(), set(), set(), set()
        return found

    def _shards_of(self, choice: Choice) -> Shards | None:
        """The set of a choice, while it is needed."""
        picked = self._picked.get(choice)
        return picked.shards if picked is not None and picked.named else None

    def _settle_set(self, found: dict[str, Value | None], choice: Choice) -> None:
        shards = self._shards_of(choice)
        count = len(shards) if shards is not None else 0
        before = self._laid.pop(choice, 0)
        for shard in range(max(count, before)):
            value = shards.value(shard) if shards is not None and shard < count else None
            self._settle(found, keys.SETS.key(choice.set_id, shard), value)
        if count:
            self._laid[choice] = count

    def _settle_shard(self, found: dict[str, Value | None], choice: Choice, shard: int) -> None:
        shards = self._shards_of(choice)
        if shards is not None and shard < len(shards) == self._laid.get(choice):
            self._settle(found, keys.SETS.key(choice.set_id, shard), shards.value(shard))

    def _settle(self, found: dict[str, Value | None], key: str, value: Value | None) -> None:
        before = self.wanted.get(key)
        if before is value or before == value:
            return
        found[key] = value
        if value is None:
            del self.wanted[key]
        else:
            self.wanted[key] = value

    def _move(self, before: Member | None, after: Member | None) -> None:
        """An endpoint was `before` and is `after`."""
        for member in filter(None, (before, after)):
            self._ends.update((member.id, node) for node in member.nodes)
        was = self._population.choices_of(before) if before else set()
        becomes = self._population.choices_of(after) if after else set()
        if before and after and (before.nodes, before.addresses) == (after.nodes, after.addresses):
            was, becomes = was - becomes, becomes - was
        if after:
            for choice in becomes:
                self._join(choice, after)
        if before:
            for choice in was:
                self._leave(choice, before)

    def _join(self, choice: Choice, member: Member) -> None:
        picked = self._picked[choice]
        for node in member.nodes:
            picked.nodes[node] += 1
            if picked.nodes[node] == 1:
                self._concern(picked, node)
        if picked.shards is not None:
            self._touch(choice, picked.shards.add(member.addresses))

    def _leave(self, choice: Choice, member: Member) -> None:
        picked = self._picked[choice]
        for node in member.nodes:
            if _less(picked.nodes, node):
                self._concern(picked, node)
        if picked.shards is not None:
            self._touch(choice, picked.shards.remove(member.addresses))

    def _touch(self, choice: Choice, shards: set[int] | None) -> None:
        if shards is None:
            self._sets.add(choice)
        else:
            self._shards.update((choice, shard) for shard in shards)

    def _put(self, need: Need) -> None:
        before = self._needs.get(need.id)
        if before == need:
            return
        self._needs[need.id] = need
        for choice in {need.subject, *need.sets}:
            self._pick(choice)
        for choice in need.sets:
            picked = self._picked[choice]
            picked.named += 1
            if picked.shards is None:
                members = self._population.members_of(choice)
                picked.shards = Shards(
                    choice.set_id, (each for member in members for each in member.addresses)
                )
            self._sets.add(choice)
        subject = self._picked[need.subject]
        self._values.update((need.id, node) for node in subject.nodes)
        if before is not None:
            self._release(before)
        subject.needs[need.id] = need

    def _drop(self, need_id: NeedId) -> None:
        need = self._needs.pop(need_id, None)
        if need is not None:
            self._release(need)

    def _release(self, need: Need) -> None:
        subject = self._picked[need.subject]
        self._values.update((need.id, node) for node in subject.nodes)
        subject.needs.pop(need.id, None)
        for choice in need.sets:
            self._picked[choice].named -= 1
            self._sets.add(choice)
        for choice in {need.subject, *need.sets}:
            self._unpick(choice)

    def _concern(self, picked: _Picked, node: str) -> None:
        """The first endpoint of a choice comes to a node, or the last leaves it."""
        self._values.update((need_id, node) for need_id in picked.needs)

    def _pick(self, choice: Choice) -> None:
        picked = self._picked.get(choice)
        if picked is None:
            self._population.ask(choice)
            nodes = Counter(node for each in self._population.members_of(choice) for node in each.nodes)
            picked = self._picked[choice] = _Picked(nodes)
        picked.uses += 1

    def _unpick(self, choice: Choice) -> None:
        picked = self._picked[choice]
        picked.uses -= 1
        if not picked.uses:
            self._population.forget(choice)
            del self._picked[choice]


def _less(counted: Counter[str], node: str) -> bool:
    """Count one less; whether none is left."""
    counted[node] -= 1
    if counted[node]:
        return False
    del counted[node]
    return True
