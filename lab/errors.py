"""What the lab cannot do, in one line that says what to do about it."""

from __future__ import annotations

from collections.abc import Sequence


class LabError(Exception):
    """The lab cannot go on; the message says why and what to do."""


class InUse(LabError):
    """Another process builds, runs or removes the lab: `holder` is its pid."""

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            f"lab {name} is in use by process {holder}: wait until that has ended, or choose another name "
            "with 'python -m lab ... --name NAME'"
        )
        self.holder = holder


class CommandFailed(LabError):
    """A command inside the lab ended with a failure or did not end in time."""

    def __init__(self, where: str, argv: Sequence[str], why: str) -> None:
        super().__init__(f"{where}: {' '.join(argv)}: {why.strip()}")
