"""The checker accepts what a correct service can do, lost answers included, and refuses everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.history.checker import Checker
from tests.history.op import Kind, Op, Outcome, Seen

WEB = Seen("uid-1", "rack-1", ("10.65.0.1",))
MOVED = replace(WEB, node="rack-2")
AGAIN = Seen("uid-2", "rack-1", ("10.65.0.2",))
END = 100.0


def op(
    kind: Kind,
    at: float,
    *seen: Seen,
    name: str = "web",
    outcome: Outcome = Outcome.OK,
    loose: bool = False,
    why: str = "",
    atomic: bool = False,
    **asked: object,
) -> Op:
    """An operation that took half a second."""
    batch = "b1" if atomic else ""
    return Op(0, kind, name, at, at + 0.5, outcome, loose, 1, asked, seen, why, batch, 0, atomic)


ASSIGN = op(Kind.ASSIGN, 1, WEB, node="rack-1")
LOOSE_ASSIGN = replace(ASSIGN, loose=True)
UNKNOWN_ASSIGN = op(Kind.ASSIGN, 1, outcome=Outcome.UNKNOWN, loose=True, node="rack-1")
MOVE = op(Kind.MOVE, 2, MOVED, node="rack-2")
LOOSE_MOVE = replace(MOVE, loose=True)
BACK = op(Kind.MOVE, 3, WEB, node="rack-1")
RELEASE = op(Kind.RELEASE, 5)
UNKNOWN_RELEASE = op(Kind.RELEASE, 5, outcome=Outcome.UNKNOWN, loose=True)
MISSING_RELEASE = op(Kind.RELEASE, 5, why="not-found")
RELABELLED = replace(WEB, mark="new")
RELABEL = op(Kind.RELABEL, 2, RELABELLED, mark="new")
OTHER = replace(WEB, uid="uid-3", addresses=("10.65.0.3",))
TOGETHER = [
    op(Kind.ASSIGN, 1, WEB, node="rack-1", atomic=True),
    op(Kind.ASSIGN, 1, OTHER, name="db", node="rack-1", atomic=True),
]
UNDONE = [
    op(Kind.ASSIGN, 1, name=name, outcome=Outcome.REFUSED, why="over-quota", node="rack-1", atomic=True)
    for name in ("web", "db")
]
READ_NOTHING = op(Kind.READ, 3, why="not-found")


def faults(*history: Op, left: Mapping[str, Seen] | None = None) -> list[str]:
    checker = Checker(history)
    checker.end(END, left or {})
    return checker.faults


GOOD: dict[str, tuple[list[Op], dict[str, Seen]]] = {
    "assigned and there": ([ASSIGN], {"web": WEB}),
    "assigned and released": ([ASSIGN, RELEASE], {}),
    "released with its first answer lost": ([ASSIGN, replace(MISSING_RELEASE, loose=True)], {}),
    "asked for again, and the same answer": ([ASSIGN, op(Kind.ASSIGN, 2, WEB, node="rack-1")], {"web": WEB}),
    "moved": ([ASSIGN, MOVE, op(Kind.READ, 3, MOVED)], {"web": MOVED}),
    "a move that nobody knows of may be done": (
        [ASSIGN, op(Kind.MOVE, 2, outcome=Outcome.UNKNOWN, loose=True, node="rack-2")],
        {"web": MOVED},
    ),
    "or not": (
        [ASSIGN, op(Kind.MOVE, 2, outcome=Outcome.UNKNOWN, loose=True, node="rack-2")],
        {"web": WEB},
    ),
    "a late attempt to move takes effect after the next move": ([ASSIGN, LOOSE_MOVE, BACK], {"web": MOVED}),
    "an assignment that nobody knows of may be there": ([UNKNOWN_ASSIGN], {"web": WEB}),
    "or may not": ([UNKNOWN_ASSIGN], {}),
    "a release that nobody knows of may be done": ([ASSIGN, UNKNOWN_RELEASE], {}),
    "or may not be": ([ASSIGN, UNKNOWN_RELEASE], {"web": WEB}),
    "a late attempt to assign takes effect after the release": ([LOOSE_ASSIGN, RELEASE], {"web": AGAIN}),
    "refused": ([op(Kind.ASSIGN, 1, outcome=Outcome.REFUSED, why="pool-full", node="rack-1")], {}),
    "the same id again": ([ASSIGN, RELEASE, op(Kind.ASSIGN, 6, AGAIN, node="rack-1")], {"web": AGAIN}),
    "relabelled": ([ASSIGN, RELABEL, op(Kind.READ, 3, RELABELLED)], {"web": RELABELLED}),
    "all of them": (TOGETHER, {"web": WEB, "db": OTHER}),
    "none of them": ([*UNDONE, READ_NOTHING], {}),
    "none of them, and one is being taken down": (
        [*UNDONE, op(Kind.READ, 2, replace(WEB, releasing=True)), READ_NOTHING],
        {},
    ),
    "whether all of them nobody knows": (
        [replace(each, outcome=Outcome.UNKNOWN, loose=True) for each in UNDONE],
        {"web": WEB},
    ),
    "an address given up, and given to another": (
        [ASSIGN, RELEASE, op(Kind.ASSIGN, 5.2, replace(WEB, uid="uid-3"), name="db", node="rack-1")],
        {"db": replace(WEB, uid="uid-3")},
    ),
    "an address whose release nobody knows of, given to another": (
        [ASSIGN, UNKNOWN_RELEASE, op(Kind.ASSIGN, 7, replace(WEB, uid="uid-3"), name="db", node="rack-1")],
        {"db": replace(WEB, uid="uid-3")},
    ),
}

BAD: dict[str, tuple[list[Op], dict[str, Seen], str]] = {
    "lost at the end": ([ASSIGN], {}, "lost"),
    "lost, a read says": ([ASSIGN, READ_NOTHING], {"web": WEB}, "lost"),
    "lost, a release says": ([ASSIGN, MISSING_RELEASE], {}, "lost"),
    "lost, a move says": (
        [ASSIGN, op(Kind.MOVE, 2, outcome=Outcome.REFUSED, why="not-found", node="rack-2")],
        {"web": WEB},
        "lost",
    ),
    "released and there": ([ASSIGN, RELEASE], {"web": WEB}, "released, or never made"),
    "refused and there": (
        [op(Kind.ASSIGN, 1, outcome=Outcome.REFUSED, why="pool-full", node="rack-1")],
        {"web": WEB},
        "is there",
    ),
    "nobody asked for it": ([], {"web": WEB}, "nobody asked"),
    "another address than was acknowledged": ([ASSIGN], {"web": AGAIN}, "is now"),
    "another address, a read says": ([ASSIGN, op(Kind.READ, 3, AGAIN)], {"web": WEB}, "is now"),
    "on a node that it was never moved to": ([ASSIGN], {"web": MOVED}, "its node should be rack-1"),
    "moved, and not there": ([ASSIGN, MOVE], {"web": WEB}, "its node should be rack-2"),
    "two answers to one request": (
        [op(Kind.ASSIGN, 1, WEB, AGAIN, node="rack-1")],
        {"web": WEB},
        "two answers",
    ),
    "another answer when asked again": (
        [ASSIGN, op(Kind.ASSIGN, 2, AGAIN, node="rack-1")],
        {"web": WEB},
        "is now",
    ),
    "another address than was asked for": (
        [op(Kind.ASSIGN, 1, WEB, node="rack-1", addresses=["10.65.0.9"])],
        {"web": WEB},
        "asked for",
    ),
    "held by two": (
        [ASSIGN, op(Kind.ASSIGN, 3, replace(WEB, uid="uid-3"), name="db", node="rack-1")],
        {"web": WEB, "db": replace(WEB, uid="uid-3")},
        "held twice",
    ),
    "held by two for a moment": (
        [ASSIGN, op(Kind.ASSIGN, 3, replace(WEB, uid="uid-3"), name="db", node="rack-1"), RELEASE],
        {"db": replace(WEB, uid="uid-3")},
        "held twice",
    ),
    "relabelled, and it is not": ([ASSIGN, RELABEL], {"web": WEB}, "its mark should be new"),
    "a mark that nobody wrote": ([ASSIGN, op(Kind.READ, 3, RELABELLED)], {"web": WEB}, "its mark"),
    "made and refused": (
        [op(Kind.ASSIGN, 1, WEB, outcome=Outcome.REFUSED, why="pool-full", node="rack-1")],
        {"web": WEB},
        "and then refused",
    ),
    "some of them, an answer says": ([TOGETHER[0], UNDONE[1]], {"web": WEB}, "all or none"),
    "none of them, and one is there": ([*UNDONE, op(Kind.READ, 2, WEB)], {}, "never made"),
    "none of them, and one is there at the end": (UNDONE, {"db": OTHER}, "never made"),
    "all of them, and one is not there": (TOGETHER, {"web": WEB}, "lost"),
    "a controller that failed inside": (
        [op(Kind.READ, 1, outcome=Outcome.UNKNOWN, why="internal")],
        {},
        "failed",
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_what_can_happen_is_accepted(case: str) -> None:
    history, left = GOOD[case]
    assert faults(*history, left=left) == []


@pytest.mark.parametrize("case", BAD)
def test_what_must_not_happen_is_found(case: str) -> None:
    history, left, words = BAD[case]
    found = faults(*history, left=left)
    assert found
    assert any(words in fault for fault in found), found


def test_what_came_late_is_counted() -> None:
    checker = Checker([LOOSE_ASSIGN, RELEASE])
    checker.end(END, {"web": AGAIN})
    assert (checker.faults, checker.late) == ([], ["web"])


def test_a_line_of_the_history_is_read_as_it_was_written() -> None:
    for each in (
        ASSIGN,
        UNKNOWN_RELEASE,
        op(Kind.ASSIGN, 1, WEB, AGAIN, node="rack-1", addresses=["10.65.0.1"]),
    ):
        assert Op.parse(each.line()) == each
