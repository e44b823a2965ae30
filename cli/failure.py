"""How a command ends when it did not do what was asked: an exit code that a script can branch on, and one
clear line for a person, with the fields that were wrong and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

from cli.text import printable


class Exit(IntEnum):
    """The exit codes of `polder`."""

    OK = 0
    FAILED = 1
    USAGE = 2
    """The arguments were wrong, found by the command itself or by the server."""
    NOT_FOUND = 3
    CONFLICT = 4
    UNAVAILABLE = 5
    """Nobody answered, or not now: the same command may succeed later."""
    DIFFERENT = 6
    """`apply --dry-run --exit-code`: something would change."""


class Failure(Exception):
    """Ends the command.

    Args:
        message: what went wrong, in one line.
        code: the exit code.
        fields: `(pointer, what is wrong with it)` for each field that the server refused.
        advice: what to do next; empty when there is nothing sensible to say.
        status: the HTTP status of the answer that it stands for; 0 when there was none.
    """

    def __init__(
        self,
        message: str,
        *,
        code: Exit = Exit.FAILED,
        fields: Sequence[tuple[str, str]] = (),
        advice: str = "",
        status: int = 0,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fields = tuple(fields)
        self.advice = advice
        self.status = status

    def lines(self) -> list[str]:
        """What is printed, safe for a terminal."""
        lines = [f"polder: {printable(self.message)}"]
        lines += [f"  {printable(pointer)}: {printable(detail)}" for pointer, detail in self.fields]
        if self.advice:
            lines.append(f"  next: {printable(self.advice)}")
        return lines
