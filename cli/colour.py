"""Colour for what is printed: on a terminal, unless NO_COLOR is set (https://no-color.org)."""

from __future__ import annotations

import os
import sys

import click


def coloured() -> bool:
    """Whether standard output takes colours."""
    return styles_work() and not os.environ.get("NO_COLOR")


def styles_work() -> bool:
    """Whether standard output takes bold text, which NO_COLOR is not about."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def styled(text: str, colour: str) -> str:
    """The text in that colour, where colours are taken."""
    return click.style(text, fg=colour) if coloured() else text
