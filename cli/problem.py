"""A refused request as a `Failure`: the status becomes the exit code, the problem (RFC 9457) the words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cli.failure import Exit, Failure

CODES: Mapping[int, Exit] = {
    400: Exit.USAGE,
    404: Exit.NOT_FOUND,
    409: Exit.CONFLICT,
    422: Exit.USAGE,
    429: Exit.UNAVAILABLE,
    502: Exit.UNAVAILABLE,
    503: Exit.UNAVAILABLE,
    504: Exit.UNAVAILABLE,
}

ADVICE: Mapping[int, str] = {
    400: "correct the arguments; --help after the command describes them",
    401: "set POLDER_TOKEN to a token that the server knows",
    403: "use a token that has the right to do this",
    422: "correct the arguments; --help after the command describes them",
    502: "try again in a moment",
    503: "try again in a moment",
    504: "try again in a moment",
}


def failure(
    status: int, body: Any, *, retry_after: str = "", advice: Mapping[int, str] | None = None
) -> Failure:
    """The failure that an answer with an error status stands for.

    Args:
        status: the HTTP status, not 2xx.
        body: the decoded answer; anything but a problem document is described by its status alone.
        retry_after: the header's value in seconds, if there was one.
        advice: what to do next for a status, where the caller knows better than the table here.
    """
    problem = body if isinstance(body, dict) else {}
    next_step = {**ADVICE, **(advice or {})}.get(status, "")
    if status in {429, 503} and retry_after.isdecimal():
        next_step = f"try again in {retry_after} s"
    return Failure(
        _sentence(status, problem),
        code=CODES.get(status, Exit.FAILED),
        fields=_fields(problem),
        advice=next_step,
    )


def _sentence(status: int, problem: Mapping[str, Any]) -> str:
    words = [text for key in ("title", "detail") if isinstance(text := problem.get(key), str) and text]
    if not words:
        return f"the server answered {status} without saying why"
    if len(words) == 2 and words[1].startswith(words[0]):
        del words[0]
    return ": ".join(words)


def _fields(problem: Mapping[str, Any]) -> list[tuple[str, str]]:
    errors = problem.get("errors")
    if not isinstance(errors, list):
        return []
    return [
        (str(each.get("pointer", "")) or "/", str(each.get("detail", "")))
        for each in errors
        if isinstance(each, dict)
    ]
