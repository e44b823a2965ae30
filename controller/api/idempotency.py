"""Idempotency-Key: a request whose answer was lost can be sent again, though it names no id.

The id of what it makes follows from the bearer's name and the key, so that a replay is the same request by
the same rule as any request with an id, at every controller, and nothing more is stored.
"""

from __future__ import annotations

import hashlib
import re

from controller.exchange import header
from controller.principal import principal
from controller.problem import Problem, invalid_parameter

HEADER = "Idempotency-Key"
PATTERN = r"^[!-~]{1,255}$"

REUSED = frozenset({"conflict"})


def key() -> str | None:
    """The key of the request that is handled now; None when it has none. Raises `Problem`."""
    given = header(HEADER)
    if given is not None and not re.fullmatch(PATTERN, given):
        detail = "expected 1 to 255 printable ASCII characters without spaces, such as a UUID"
        raise invalid_parameter(HEADER, detail)
    return given


def derived(given: str, index: int | None = None) -> str:
    """The id of what a request with this key makes: for the item at `index` when it makes many."""
    return derived_for(principal().name, given, index)


def derived_for(bearer: str, given: str, index: int | None = None) -> str:
    """Likewise, for the bearer of the token with this name."""
    text = f"{bearer}\n{given}\n{'' if index is None else index}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def reused(problem: Problem) -> Problem:
    """The problem of a replay: that its id is taken by another request is told as what it is."""
    if problem.kind not in REUSED:
        return problem
    return Problem("key-reused", f"this {HEADER} came with another request before; use a new one")
