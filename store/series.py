"""The JSON of values that come one after the other and are mostly alike: what they share is encoded once.

For where a thousand are made for one request: it takes a fifth of the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from pydantic_core import to_json


class Form:
    """The JSON of values that differ in some texts only."""

    def __init__(self, pieces: Iterable[str]) -> None:
        """`pieces` are what stands before, between and behind the texts."""
        self._parts = [part for piece in pieces for part in (piece, "")][:-1]

    def of(self, *texts: str) -> str:
        """The JSON of the value with these texts, in order.

        Nothing in a text may need an escape: they are names, identifiers, addresses.
        """
        parts = self._parts.copy()
        parts[1::2] = texts
        return "".join(parts)


class Series:
    """Remembers the form of the last value. Safe to use from many threads."""

    def __init__(self, names: Iterable[str], apart: Mapping[str, Any]) -> None:
        """
        Args:
            names: the fields of a value, in their order.
            apart: those of them that are not asked for: each as it is in all values, or a blank, which is
                the name of the field in braces where a text is to be.
        """
        self._names = tuple(names)
        self._apart = {name: apart[name] for name in self._names if name in apart}
        if list(self._apart) != list(apart):
            raise ValueError("what is apart has to be in the order of the fields")
        self._shared = itemgetter(*(name for name in self._names if name not in apart))
        self._last: tuple[Any, Form] = None, Form(())

    def form(self, fields: Mapping[str, Any]) -> Form:
        """What the JSON of a value with these fields is made of, and the texts of the blanks."""
        shared = self._shared(fields)
        known, form = self._last
        if shared != known:
            whole = to_json({**{name: fields.get(name) for name in self._names}, **self._apart}).decode()
            pieces = []
            for name in self._apart:
                before, blank, behind = whole.partition(f'"{{{name}}}"')
                if blank:
                    pieces.append(before + '"')
                    whole = '"' + behind
            form = Form([*pieces, whole])
            self._last = shared, form
        return form
