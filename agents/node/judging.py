"""The rules of the node, compiled anew only when something that they follow from has changed."""

from __future__ import annotations

from intent.policy import NO_RULES, Policies, policies
from intent.snapshot import Snapshot


class Judging:
    """Keeps what was compiled last: a mapping of a snapshot is the same object until it changes."""

    def __init__(self) -> None:
        self._made: tuple[tuple[object, ...], Policies] | None = None

    def rules(self, snapshot: Snapshot) -> Policies:
        """The rules as of this snapshot."""
        follows = (snapshot.rules, snapshot.groups, snapshot.sets, snapshot.pools)
        if self._made is None or any(a is not b for a, b in zip(self._made[0], follows, strict=True)):
            before = self._made[1] if self._made is not None else NO_RULES
            self._made = follows, policies(snapshot, before)
        return self._made[1]
