"""If-Match and If-None-Match: what has to be true of a thing for a request about it to be done.

The entity tag of a thing is the store's revision at which it was last written, so whoever acts on what he
read compares that very revision in his transaction: between the check and the write nobody comes.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from controller.exchange import header
from controller.problem import Fault, Problem

ANY = "*"

HEADERS = ("If-Match", "If-None-Match")

_TAG = r'(W/)?"[!#-~]*"'
PATTERN = rf"^(\*|[ \t,]*{_TAG}([ \t]*,[ \t,]*{_TAG})*[ \t,]*)$"
"""What both of them may be: a list of entity tags (RFC 9110 §8.8.3, §5.6.1.2), or `*`."""


def tag(revision: int) -> str:
    """The entity tag of what was last written at a revision."""
    return f'"{revision}"'


@dataclass(frozen=True, slots=True)
class Match:
    """The preconditions of a request (RFC 9110 §13.1). None of both is: whatever there is."""

    wanted: AbstractSet[str] | None = None
    """If-Match: the tags of which it has to have one, `*` for any."""
    refused: AbstractSet[str] | None = None
    """If-None-Match: the tags of which it must have none, `*` for any."""

    def demand(self, what: str, revision: int | None) -> None:
        """Refuse a thing that was last written at `revision`, None for one that is not there.

        Raises:
            Problem: `stale`. It was changed, deleted or created since the caller read it.
        """
        if self._holds(revision):
            return
        there = f"{what} is at {tag(revision)} now" if revision else f"there is no {what} now"
        headers = {"ETag": tag(revision)} if revision else {}
        raise Problem("stale", f"{there}; read it again and decide anew", headers=headers)

    def _holds(self, revision: int | None) -> bool:
        # RFC 9110 §13.1.1: with *, or a tag, a thing that does not exist never matches
        names = {ANY, tag(revision)} if revision else set()
        return (self.wanted is None or not names.isdisjoint(self.wanted)) and (
            self.refused is None or names.isdisjoint(self.refused)
        )


WHATEVER = Match()


def match() -> Match:
    """The preconditions of the request that is handled now. Raises `Problem` for what is none."""
    if all(header(name) is None for name in HEADERS):
        return WHATEVER
    return Match(_tags("If-Match"), _tags("If-None-Match", weak=True))


def demanded_match() -> Match:
    """Likewise, of a request that replaces a whole thing. Raises `Problem` also when it has none of both."""
    found = match()
    if found is WHATEVER:
        detail = (
            "say what is replaced: If-Match with the ETag that you read, If-None-Match: * to create, "
            "or If-Match: * for whatever is there"
        )
        raise Problem("precondition-required", detail)
    return found


def refuse_any() -> None:
    """Refuse a write that has preconditions where none is looked at: it must not be done without them.

    RFC 9110 §13.1: a method is not performed whose condition does not hold. Raises `Problem`.
    """
    detail = "this request does not look at it; leave it out, or use a method that does"
    if faults := [Fault(detail, parameter=name) for name in HEADERS if header(name) is not None]:
        raise Problem("invalid", f"{faults[0].parameter}: {detail}", errors=faults)


def is_known(revision: int) -> bool:
    """Whether the caller has said with If-None-Match that he has what was last written at a revision."""
    known = _tags("If-None-Match", weak=True)
    return known is not None and not known.isdisjoint({ANY, tag(revision)})


def _tags(name: str, *, weak: bool = False) -> set[str] | None:
    sent = header(name)
    if sent is None:
        return None
    if not re.fullmatch(PATTERN, sent):
        detail = f"expected * or entity tags as they were sent, each in double quotes, not {sent[:64]!r}"
        raise Problem("invalid", f"{name}: {detail}", errors=[Fault(detail, parameter=name)])
    # RFC 9110 §13.1: If-Match compares strongly, and a weak tag then never matches
    tags = {each[0] for each in re.finditer(_TAG, sent)} or {ANY}
    return {each.removeprefix("W/") for each in tags} if weak else tags
