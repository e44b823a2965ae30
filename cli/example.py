"""Examples at the end of a command's help. A test runs every one of them against a `polder up`."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """The `epilog` of a command: each line as it is typed. click leaves what follows `\\b` unfolded."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def first_example(epilog: str | None) -> str:
    """The first line below `Examples:`; nothing when there is none."""
    return (epilog or "").partition("Examples:\n")[2].partition("\n")[0].strip()
