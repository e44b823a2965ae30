"""The answer to `diff`: what the node holds and what the last pass wanted, both read now."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from agents.node.explain.devices import Held, Passed, Reader, wanted_ports
from agents.node.explain.differences import both, unlike
from agents.node.explain.questions import NoAnswer
from agents.node.wants import Want
from intent.snapshot import Snapshot
from store.model import DiffAsked, DiffSaid, HeldCount, HeldKind, Unlike
from store.model.question import MOST_UNLIKE

AGAIN_S = 0.5
"""A difference counts when it is there this long: a pass may be at work."""
IN_PASS = (
    HeldKind.RULES,
    HeldKind.NEIGHBOURS,
    HeldKind.ROUTES,
    HeldKind.SHARES,
    HeldKind.METERS,
    HeldKind.FLOWS,
)


class Diff:
    """Answers `diff`.

    Args:
        reader: reads what is there.
        wanted: what the last pass wanted.
        wants: what was asked to be attached.
        snapshot: what the store says.
    """

    def __init__(
        self,
        reader: Reader,
        wanted: Passed,
        wants: Callable[[], Mapping[str, Want]],
        snapshot: Callable[[], Snapshot | None],
    ) -> None:
        self._reader = reader
        self._wanted = wanted
        self._wants = wants
        self._snapshot = snapshot

    def answer(self, asked: DiffAsked) -> DiffSaid:
        """Look; and look again when there is a difference. Blocking. Raises `NoAnswer`."""
        wanted, found, unlike = self._look()
        if unlike:
            time.sleep(AGAIN_S)
            wanted, found, again = self._look()
            unlike = both(unlike, again)
        return DiffSaid(
            counts=tuple(
                HeldCount(held=held, wanted=len(wanted[held]), found=len(found[held])) for held in HeldKind
            ),
            unlike=tuple(unlike[:MOST_UNLIKE]),
            more=max(0, len(unlike) - MOST_UNLIKE),
        )

    def _look(self) -> tuple[Held, Held, list[Unlike]]:
        wanted = self._all_wanted()
        found = self._reader.read()
        return (
            wanted,
            found,
            list(chain.from_iterable(unlike(each, wanted[each], found[each]) for each in HeldKind)),
        )

    def _all_wanted(self) -> dict[HeldKind, Mapping[Any, Any]]:
        passed, snapshot = self._wanted(), self._snapshot()
        if passed is None or snapshot is None:
            raise NoAnswer("the agent has made no pass yet: see `not_ready` at /readyz of its socket")
        return {
            HeldKind.PORTS: wanted_ports(self._wants(), snapshot),
            **dict(zip(IN_PASS, passed, strict=True)),
        }
