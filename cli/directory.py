"""`--dir`: where a command has its files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def directory_option(default: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add `--dir`, the parameter `directory`; `what` says what is in it."""
    return click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path),
        metavar="DIR",
        default=default,
        show_default=True,
        help=what,
    )
