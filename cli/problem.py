"""A refused request as a `Failure`: the status becomes the exit code, the problem (RFC 9457) the words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.failure import Exit, Failure
from cli.rest import problem_kind

CODES: Mapping[int, Exit] = {
    400: Exit.USAGE,
    404: Exit.NOT_FOUND,
    408: Exit.UNAVAILABLE,
    409: Exit.CONFLICT,
    410: Exit.UNAVAILABLE,
    412: Exit.CONFLICT,
    413: Exit.USAGE,
    422: Exit.USAGE,
    429: Exit.UNAVAILABLE,
    502: Exit.UNAVAILABLE,
    503: Exit.UNAVAILABLE,
    504: Exit.UNAVAILABLE,
}

RESTORING = "restoring"
"""Also somebody who types `polder restore finish` may be waited for: not so many seconds."""

ADVICE: Mapping[int | str, str] = {
    400: "correct the arguments; --help after the command describes them",
    401: "set POLDER_TOKEN to a token that the server knows",
    403: "use a token that has the right to do this",
    408: "try again in a moment",
    422: "correct the arguments; --help after the command describes them",
    412: "somebody changed it meanwhile: run the command again",
    413: "send less at once",
    429: "try again in a moment",
    500: "see the log of the controller, which says why; what was asked may have been done",
    502: "try again in a moment",
    503: "try again in a moment",
    504: "try again in a moment",
    "overlap": "choose a range that is free: polder pool list",
    "address-in-use": "leave the address out to get a free one",
    "pool-full": "name another pool, or make one: polder pool create --help",
    "too-much-withdrawn": "look at it with --dry-run; with --yes it is done all the same",
    "no-such-path": "check the path in --server, and that command and controllers are of one version",
    RESTORING: "see what it waits for, a node or you: polder restore status",
    "releasing": "wait until it is gone: polder endpoint delete waits",
}
"""What to do next, by status or by the last part of the problem's type, which says more."""


def failure(
    status: int, body: Any, *, retry_after: str = "", advice: Mapping[int, str] | None = None
) -> Failure:
    """The failure that an answer with an error status stands for.

    Args:
        status: the HTTP status, not 2xx.
        body: the decoded answer; anything but a problem document is described by its status alone.
        retry_after: the header's value in seconds, if there was one.
        advice: what to do next by status, where the caller knows better than `ADVICE` does by status.
    """
    problem = body if isinstance(body, dict) else {}
    fields = _fields(problem)
    kind = problem_kind(problem)
    known = ADVICE.get(kind) or (advice or {}).get(status)
    next_step = known or ADVICE.get(status, "")
    if status in {429, 503} and retry_after.isdecimal() and kind != RESTORING:
        again = f"try again in {retry_after} s"
        next_step = f"{known}; or {again}" if known else again
    message = _sentence(problem, fields) or f"the server answered {status} without saying why"
    code = Exit.FAILED if kind == "no-such-path" else CODES.get(status, Exit.FAILED)
    return Failure(message, code=code, fields=fields, advice=next_step, status=status)


def _sentence(problem: Mapping[str, Any], fields: list[tuple[str, str]]) -> str:
    """The detail, which is of this very problem; the title where the detail is a field's own."""
    title, detail = (text if isinstance(text := problem.get(key), str) else "" for key in ("title", "detail"))
    if title and any(why and detail.endswith(why) for _, why in fields):
        return title
    return detail or title


def _fields(problem: Mapping[str, Any]) -> list[tuple[str, str]]:
    errors = problem.get("errors")
    if not isinstance(errors, list):
        return []
    return [(_place(each), str(each.get("detail", ""))) for each in errors if isinstance(each, dict)]


def _place(error: Mapping[str, Any]) -> str:
    if "parameter" in error:
        return f"?{error['parameter']}"
    return str(error.get("pointer") or "/")
