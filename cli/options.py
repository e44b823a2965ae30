"""The options that every command with a server has: where it is, and how to print.

Imported by `polder --help`, so it imports next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

DEFAULT_URL = "http://127.0.0.1:8080"
FORMATS = ("table", "wide", "json", "yaml", "name")


def output_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `-o`."""
    return click.option(
        "-o", "--output", type=click.Choice(FORMATS), help="What to print.  [default: table]"
    )(function)


def server_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--server`, `--ca`, `--context` and `-o`."""
    for option in (
        output_option,
        click.option(
            "--context", metavar="NAME", help="A context of the config file: see polder context list."
        ),
        click.option(
            "--ca",
            metavar="FILE",
            type=click.Path(),
            help="Trust the certificates of this file (PEM).  [default: $POLDER_CA, or the system's]",
        ),
        click.option(
            "--server",
            metavar="URL[,URL]",
            help=f"The controller, or several to try.  [default: $POLDER_SERVER, the context, {DEFAULT_URL}]",
        ),
    ):
        function = option(function)
    return function


def given(click_context: click.Context, **here: str | None) -> dict[str, str]:
    """What the command line says of the server: after the command's name, else before it."""
    root = click_context.find_root().params
    return {name: value or root.get(name) or "" for name, value in here.items()}


def chosen_output(context: click.Context, output: str | None) -> str:
    """What `-o` says, here or before the command's name."""
    return output or context.find_root().params.get("output") or "table"
