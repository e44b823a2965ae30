"""Text from elsewhere, made safe for a terminal.

A name, a label or a BGP reason may hold escape sequences that move the cursor, set the title or hide what
follows. Nothing that a server or a file says reaches the terminal without passing here.
"""

from __future__ import annotations

import unicodedata


def printable(text: object) -> str:
    r"""The text, with what does not print (controls, bidi marks, surrogates) written as `\x1b`, `\u202e`."""
    given = str(text)
    if given.isprintable():
        return given
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "surrogatepass").decode()
        for each in given
    )


def columns_of(text: str) -> int:
    """How many columns of a terminal the text takes: characters of East Asia take two, accents none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(each) in {"W", "F"} for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) > 0 for each in text)


def shown(value: object) -> str:
    """One value of an answer in a table: `-` when there is none, lists and labels joined by commas."""
    if value is None or value in ("", [], {}):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ",".join(f"{printable(key)}={_inner(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ",".join(_inner(each) for each in value)
    return printable(value)


def _inner(value: object) -> str:
    return f"({shown(value)})" if isinstance(value, dict) else shown(value)
