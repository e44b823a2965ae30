"""What the server is asked about all writes of documents before the first of them is made.

It tries them in their order, so each finds what those before it would leave; see POST /v1/impact. It takes
`MOST_FORETOLD` at a time. Endpoints beyond that are tried in further parts, after all that is made or changed
before them. Where that leaves little room in each part the rest is not tried. Nothing else can be in parts:
what a change withdraws is known of all of them together only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

import click

from cli.failure import Exit, Failure
from cli.foresight import ANYTHING, MOST_FORETOLD, foretold
from cli.rest import Json
from cli.session import Session
from cli.step import Step
from cli.wanted import placed

LEAST_ROOM = 100
"""Parts with room for fewer endpoints than these are only asked about where one is enough: each tries all
other objects again."""


def rehearse(session: Session, steps: Sequence[Step], max_withdraw: int) -> None:
    """Refuse what would be refused on the way, and what withdraws too much.

    Raises `Failure`.
    """
    parts = _parts(steps)
    if not parts and max_withdraw < ANYTHING and any(step.there is not None for step in _routed(steps)):
        raise too_many()
    for part in parts:
        _try(session, part, max_withdraw)


def too_many() -> Failure:
    """What so many withdraw together is not known, so nothing is done about it unbidden."""
    return Failure(
        f"what more than {MOST_FORETOLD} objects would withdraw together cannot be weighed",
        code=Exit.USAGE,
        advice="nothing was changed; name fewer at a time, or give --yes whatever they withdraw",
    )


def foretell(session: Session, steps: Sequence[Step]) -> tuple[list[Step], Json | None]:
    """The same steps with what becomes of each, and what all of them would do at the routers.

    That is None where it is not known, or nothing would change. Raises `Failure`.
    """
    told: dict[str, Json] = {}
    impact = None
    parts = _parts(steps)
    if not parts and _routed(steps):
        _say("what they do at routers is not told")
    for number, part in enumerate(parts):
        shown = not number and _routed(part)
        answer = _try(session, part, None if shown else ANYTHING)
        impact = impact or answer["impact"]
        told |= zip((step.wanted.title for step in part), answer["writes"], strict=False)
    after = [replace(step, foretold=told.get(step.wanted.title)) for step in steps]
    return after, impact if any(step.word != "unchanged" for step in after) else None


def _parts(steps: Sequence[Step]) -> list[list[Step]]:
    """What is asked about together; what is left out is said on standard error."""
    writing = [step for step in steps if step.write]
    routed = _routed(steps)
    if len(routed) > MOST_FORETOLD:
        _say(f"more than {MOST_FORETOLD} objects cannot be tried together, so none is tried")
        return []
    parts = [writing[:MOST_FORETOLD]] if writing else []
    left = writing[MOST_FORETOLD:]
    room = MOST_FORETOLD - len(routed)
    if room < min(LEAST_ROOM, len(left)):
        _say(f"{len(left)} endpoints are not tried: {len(routed)} other objects are written before them")
        return parts
    return parts + [routed + left[start : start + room] for start in range(0, len(left), room or 1)]


def _routed(steps: Sequence[Step]) -> list[Step]:
    """Those that can do something at the routers, or to who reaches whom. Endpoints come after them."""
    return [step for step in steps if step.write and step.wanted.noun.foreseen]


def _try(session: Session, part: Sequence[Step], max_withdraw: int | None) -> Json:
    with _placing(part):
        return foretold(session, [write for step in part if (write := step.write)], max_withdraw)


@contextmanager
def _placing(part: Sequence[Step]) -> Iterator[None]:
    """Tell of what is refused where it stands in the files."""
    try:
        yield
    except Failure as fault:
        raise placed(fault, [step.wanted for step in part]) from None


def _say(what: str) -> None:
    click.echo(f"polder: {what}", err=True)
