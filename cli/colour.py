"""Colour for what is printed without a table: on a terminal, unless NO_COLOR is set (https://no-color.org)."""

from __future__ import annotations

import os
import sys

import click


def coloured() -> bool:
    """Whether standard output takes colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, colour: str) -> str:
    """The text in that colour, where colours are taken."""
    return click.style(text, fg=colour) if coloured() else text
