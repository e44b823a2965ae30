"""Checks in memory: the verdicts are what a test says."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from agents.node.health.checker import Key, Target
from agents.node.health.verdict import PRESUMED, State, Verdict


class MemoryChecks:
    """What is checked, and what is thought of it."""

    def __init__(self) -> None:
        self.targets: dict[Key, Target] = {}
        self._said: Mapping[Key, Verdict] = {}

    def watch(self, targets: Mapping[Key, Target], presumed: Collection[Key] = ()) -> None:
        """Unknown until a test says otherwise."""
        if targets == self.targets:
            return
        self._said = {key: self._said.get(key, PRESUMED if key in presumed else Verdict()) for key in targets}
        self.targets = dict(targets)

    def verdicts(self) -> Mapping[Key, Verdict]:
        """The same object until a test says something else."""
        return self._said

    def say(self, service: str, endpoint: str, fault: str = "") -> None:
        """The endpoint is healthy, or has this fault."""
        state = State.UNHEALTHY if fault else State.HEALTHY
        self._said = {**self._said, (service, endpoint): Verdict(state, 0, fault)}
