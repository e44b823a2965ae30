"""The rules of the node, compiled anew only when something that they follow from has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agents.reconciler import Reconciler
from intent.policy import NO_RULES, Policies, policies
from intent.snapshot import Snapshot
from openflow.flow import Flow, FlowKey
from openflow.levels import Had, had_in
from store.model import Group

Groups = Mapping[str | None, Group]


class Judging:
    """Keeps what was compiled last: a mapping of a snapshot is the same object until it changes.

    Args:
        flows: those of the switch. As soon as they are known the first time, rules take the places there
            that they had with the program before this one.
    """

    def __init__(self, flows: Reconciler[FlowKey, Flow]) -> None:
        self._flows = flows
        self._there: Mapping[int, Had] | None = None
        self._made: tuple[tuple[object, ...], Policies] | None = None
        self._groups: Groups = {}

    def rules(self, snapshot: Snapshot) -> Policies:
        """The rules as of this snapshot."""
        self._groups = _known(snapshot, self._groups)
        if self._there is None and self._flows.read():
            self._there, self._made = had_in(self._flows.actual.values()), None
        follows = (snapshot.rules, self._groups, snapshot.sets, snapshot.pools)
        if self._made is None or any(a is not b for a, b in zip(self._made[0], follows, strict=True)):
            before = self._made[1] if self._made is not None else NO_RULES
            self._made = follows, policies(replace(snapshot, groups=self._groups), before, self._there or {})
        return self._made[1]


def _known(snapshot: Snapshot, before: Groups) -> Groups:
    """The groups that the store tells of, and those of before of tenants that have endpoints here.

    A tenant with endpoints cannot be deleted: where its group is gone a backup was restored, and
    who compiles is about to tell of it again. Its endpoints are not closed meanwhile.
    """
    here = {endpoint.tenant for endpoint in snapshot.endpoints.values()} - {None}
    gone = {tenant: before[tenant] for tenant in here - snapshot.groups.keys() if tenant in before}
    groups = {**snapshot.groups, **gone} if gone else snapshot.groups
    return before if gone and groups == before else groups
