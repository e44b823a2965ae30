"""The JSON of values that come one after the other and are mostly alike: what they share is encoded once.

For where a thousand are made for one request: it takes a fifth of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json


class Series:
    """One thread at a time."""

    def __init__(self) -> None:
        self._shared: Mapping[str, Any] | None = None
        self._form = ""

    def text(self, shared: Mapping[str, Any], **blanks: str) -> str:
        """The JSON of the next value.

        Args:
            shared: its fields, in which the name of a blank in braces stands for what differs.
            blanks: what is there instead: names, identifiers, addresses. Nothing in it may need an escape.
        """
        if shared != self._shared:
            form = to_json(shared).decode().replace("%", "%%")
            for name in blanks:
                form = form.replace(f'"{{{name}}}"', f'"%({name})s"')
            self._shared, self._form = shared, form
        return self._form % blanks
