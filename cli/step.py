"""One object that a document names: what is there, what is written of it, and what that changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff

from cli.colour import styled
from cli.output import to_yaml
from cli.rest import Json, place
from cli.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Step:
    """One object: what is there, None when nothing is, and which fields are written otherwise."""

    wanted: Wanted
    there: Json | None
    changes: Json
    foretold: Json | None = None
    """What the server says that the write makes of it; None where it was not asked."""

    @property
    def word(self) -> str:
        """What is done, or would be."""
        if self.foretold is not None:
            return str(self.foretold["result"])
        if self.there is None:
            return "created"
        return "changed" if self.changes else "unchanged"

    @property
    def patch(self) -> Json:
        """What is sent of something that is there."""
        there = self.there or {}
        return {field: _patched(there.get(field), value) for field, value in self.changes.items()}

    @property
    def write(self) -> Json | None:
        """The write, where the server can try it; None where it cannot, or nothing is to be written."""
        noun = self.wanted.noun
        if self.there is None and noun.tried:
            return {"method": "POST", "path": place(noun.plural), "body": dict(self.changes)}
        if self.changes and self.there is not None and noun.tried:
            return {"method": "PATCH", "path": noun.path(self.wanted.name), "body": self.patch}
        return None


def _patched(there: object, value: object) -> object:
    """In a merge patch (RFC 7396) keys that are to go are null."""
    if isinstance(value, dict) and isinstance(there, dict):
        return {**dict.fromkeys(there.keys() - value.keys()), **value}
    return value


def difference(step: Step) -> Iterator[str]:
    """The difference of what is there and what would be, as `diff -u` prints it."""
    if step.word == "unchanged":
        return
    noun, told = step.wanted.noun, step.foretold or {"before": step.there, "after": None}
    there = noun.documented(told["before"]) if told["before"] else {}
    then = noun.documented(told["after"]) if told["after"] else None
    lines = unified_diff(
        to_yaml(there).splitlines() if there else [],
        to_yaml(then or {"kind": noun.singular, **there, **step.changes}).splitlines(),
        f"{step.wanted.title} (server)",
        f"{step.wanted.title} ({step.wanted.document.place()})",
        lineterm="",
    )
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for number, line in enumerate(lines):
        colour = colours.get(line[:1]) if number > 1 else None
        yield (styled(line, colour) if colour else line) + "\n"
