"""Marks of a restored backup that stand for a moment which is over long since. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from store import keys
from store.client import Delete
from store.model import Endpoint, Holding, Pending, PendingState


def outdated(
    pending: Sequence[Pending], records: Mapping[str, Endpoint], holdings: Mapping[str, Holding]
) -> list[Delete]:
    """What removes the marks that must not have the effect any more which they would have had.

    Endpoints that were being made together would be undone. It was decided since whether they were made,
    which nobody is told before: a node that holds one of them says that they were. Of a node that says
    nothing it is not known what it holds. What was being undone goes on being undone.

    Args:
        pending: as the backup says.
        records: endpoints by id, what was adopted included.
        holdings: what each node that was heard of holds.
    """
    held = {(one.endpoint, one.uid) for each in holdings.values() for one in each.endpoints}
    silent = {(one.id, one.uid) for one in records.values() if one.node not in holdings}
    return [
        Delete(keys.PENDING.key(each.id))
        for each in pending
        if each.state is PendingState.MAKING and not (held | silent).isdisjoint(each.endpoints)
    ]
