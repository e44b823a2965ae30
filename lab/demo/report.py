"""What the demo prints: titles, notes, and one line for each check, at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lab.errors import LabError


class Failed(LabError):
    """A check found something else than it should."""


class Report:
    """Prints as things happen, and counts."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n== {text}", flush=True)

    def note(self, text: str) -> None:
        """Tell something that is no check."""
        print(f"   {text}", flush=True)

    @contextmanager
    def check(self, claim: str) -> Iterator[list[str]]:
        """Check one claim: it fails when the block raises LabError. The list takes what was measured."""
        measured: list[str] = []
        try:
            yield measured
        except LabError as fault:
            self.failed += 1
            print(f"   FAIL  {claim}", flush=True)
            for line in str(fault).splitlines():
                print(f"         {line}", flush=True)
        else:
            self.passed += 1
            print(f"   ok    {claim}" + (f": {', '.join(measured)}" if measured else ""), flush=True)

    def close(self) -> int:
        """Print the last line. Returns the exit status."""
        print(f"\ndemo: {self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0


def expect(true: object, otherwise: str) -> None:
    """Fail the check under way unless `true`."""
    if not true:
        raise Failed(otherwise)
