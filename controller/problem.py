"""Everything that can be refused, as RFC 9457 problem details.

A `Problem` is raised where the fault is found and rendered at one place in the application. Its `type`
is stable: programs branch on it, people read `detail` and `errors`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

MEDIA_TYPE = "application/problem+json"

TITLES: Mapping[str, tuple[int, str]] = {
    "malformed": (400, "The request cannot be read"),
    "too-deep": (400, "The body is nested too deeply"),
    "duplicate-key": (400, "The body names a field twice"),
    "cursor": (400, "The cursor is not one of this list"),
    "unauthorized": (401, "A bearer token is needed"),
    "forbidden": (403, "The token's role may not do this"),
    "join-refused": (403, "The join token is not good"),
    "not-found": (404, "There is no such thing"),
    "no-such-path": (404, "There is no such path"),
    "method-not-allowed": (405, "The path does not take this method"),
    "timeout": (408, "The request did not come whole"),
    "conflict": (409, "It conflicts with something that is there"),
    "overlap": (409, "The range overlaps a pool"),
    "in-use": (409, "It is in use"),
    "address-in-use": (409, "The address is not free"),
    "pool-full": (409, "The pool has no free address"),
    "over-quota": (409, "The tenant's quota is used up"),
    "not-begun": (409, "It has not begun yet"),
    "not-set-up": (409, "The controllers are not set up for this"),
    "undone": (409, "Another request of the batch was refused"),
    "too-much-withdrawn": (409, "It would withdraw too much of what is announced"),
    "releasing": (409, "The endpoint is being deleted"),
    "stale": (412, "It is not what the precondition demands"),
    "expired": (410, "It is too old to go on from"),
    "too-large": (413, "The body is too large"),
    "media-type": (415, "The body is of the wrong type"),
    "invalid": (422, "The request is not valid"),
    "key-reused": (422, "The Idempotency-Key came with another request"),
    "precondition-required": (428, "A precondition is needed"),
    "rate-limited": (429, "Too many writes"),
    "corrupt": (500, "A stored value cannot be read"),
    "internal": (500, "The controller failed"),
    "unavailable": (503, "The store does not answer"),
    "no-answer": (503, "The node does not answer"),
    "restoring": (503, "A backup was restored and is being completed"),
    "busy": (503, "Too many requests want the same thing"),
}
"""Status and title by the last part of the type."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request: where, and what would be right.

    `pointer` is a JSON pointer (RFC 6901) into the body; `parameter` names a query parameter instead.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None

    def body(self) -> dict[str, str]:
        """As it is sent."""
        place = {"pointer": self.pointer} if self.parameter is None else {"parameter": self.parameter}
        return {key: value for key, value in {**place, "detail": self.detail}.items() if value is not None}


class Problem(Exception):
    """A request that is refused.

    Args:
        kind: a key of `TITLES`.
        detail: one sentence for people: what is wrong, and what to do.
        errors: the places in the request that are wrong.
        retry_after_s: seconds after which a repetition may succeed.
        headers: header fields that the answer needs beside its own.
        members: extension members, for programs.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        errors: Iterable[Fault] = (),
        retry_after_s: int | None = None,
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.status, self.title = TITLES[kind]
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s
        self.extra_headers = headers or {}
        self.members = members

    def headers(self) -> dict[str, str]:
        """The header fields that belong to it."""
        headers = {**self.extra_headers, "Content-Type": MEDIA_TYPE}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == 401:
            headers.setdefault("WWW-Authenticate", 'Bearer realm="polder"')
        return headers

    def body(self) -> str:
        """The document that is sent."""
        document: dict[str, Any] = {
            "type": f"/problems/{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [fault.body() for fault in self.errors]
        return json.dumps({**self.members, **document}) + "\n"


def quoted(value: object) -> str:
    """A value of a document as a sentence quotes it: text in quotes, all else as JSON."""
    return repr(value) if isinstance(value, str) else json.dumps(value)


def inside(place: str, problem: Problem, detail: str = "") -> Problem:
    """The problem of a part of a body, with its faults where they stand in the whole.

    Args:
        place: the JSON pointer to the part.
        detail: in place of its own.
    """
    return Problem(
        problem.kind,
        detail or problem.detail,
        errors=[
            Fault(each.detail, f"{place}{each.pointer or ''}", each.parameter) for each in problem.errors
        ],
        retry_after_s=problem.retry_after_s,
        **problem.members,
    )


def invalid(pointer: str, detail: str) -> Problem:
    """One field of the body is wrong."""
    return Problem("invalid", detail, errors=[Fault(detail, pointer)])


def invalid_parameter(name: str, detail: str) -> Problem:
    """One parameter of the query, or of the header, is wrong."""
    return Problem("invalid", f"{name}: {detail}", errors=[Fault(detail, parameter=name)])


def name_taken(name: str) -> Problem:
    """Something that the caller does not see has the name."""
    detail = f"the name {name} is taken; use another name"
    return Problem("conflict", detail, errors=[Fault(detail, "/name")])


def not_found(noun: str, name: str, existing: Iterable[str] = ()) -> Problem:
    """Nothing has this name; what is nearest is named."""
    return Problem("not-found", f"there is no {noun} {name[:128]!r}{nearby(name, existing)}")


def unknown_reference(pointer: str, noun: str, name: str, existing: Iterable[str] = ()) -> Problem:
    """A field of the body names something that does not exist."""
    return invalid(pointer, f"there is no {noun} {name!r}{nearby(name, existing)}")


def nearby(name: str, existing: Iterable[str]) -> str:
    """What exists, as the end of a sentence: the nearest names, or the first few."""
    names = sorted(existing)
    shown = names if len(names) <= 5 else get_close_matches(name, names, n=3) or names[:5]
    if not shown:
        return ""
    return f"; there {'is' if len(names) == 1 else 'are'} {', '.join(shown)}" + (
        "" if len(shown) == len(names) else f" ({len(names)} in all)"
    )
