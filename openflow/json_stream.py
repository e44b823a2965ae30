"""A parser of JSON-RPC messages, in the place of that of Open vSwitch's Python library.

The library reads a character at a time in Python unless it was built with its C extension, which its package
on PyPI is not: half a second for a bridge of 500 ports, and half of what an attach costs that thread. Here
the standard library's parser reads a whole message when what has come may be the end of one.
"""

from __future__ import annotations

import json
import re
from typing import Any

_START = re.compile(r"\s*")
_MAY_END = re.compile(r"\}\s*(?:\{|\Z)")
_DECODER = json.JSONDecoder()


class MessageParser:
    """Takes what comes of a stream until one JSON object is whole: the interface of `ovs.json.Parser`."""

    def __init__(self) -> None:
        self._text = ""
        self._found: Any = None
        self._done = False

    def feed(self, text: str) -> int:
        """Take more of the stream; returns how many characters of it belong to this object."""
        before = len(self._text)
        self._text += text
        begin = _at(_START.match(self._text))
        if begin < len(self._text) and self._text[begin] != "{":
            self._found, self._done = f"a message begins with {self._text[begin]!r}", True
            return 0
        if not _MAY_END.search(text):
            return len(text)
        try:
            self._found, end = _DECODER.raw_decode(self._text, begin)
        except json.JSONDecodeError:  # it goes on
            return len(text)
        self._done = True
        return end - before

    def is_done(self) -> bool:
        """Whether the object is whole, or can never be."""
        return self._done

    def finish(self) -> Any:
        """The object, or in words why it is none."""
        return self._found


def _at(match: re.Match[str] | None) -> int:
    return match.end() if match else 0
