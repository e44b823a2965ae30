"""Labels as arguments: `--label app=web`, and `--no-label app`, any number of times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def labels_option(function: F) -> F:
    """Add `--label KEY=VALUE`; the command gets `labels`, a dictionary, or None when there is none."""
    return click.option(
        "--label",
        "labels",
        metavar="KEY=VALUE",
        multiple=True,
        callback=_parse,
        help="A label; give it again for another.",
    )(function)


def no_labels_option(function: F) -> F:
    """Add `--no-label KEY`; the command gets `no_labels`, each key with None, or None when there is none."""
    return click.option(
        "--no-label",
        "no_labels",
        metavar="KEY",
        multiple=True,
        callback=_keys,
        help="A label to remove; give it again for another.",
    )(function)


def _parse(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{each!r} is not KEY=VALUE")
        if key in labels:
            raise click.BadParameter(f"{key!r} is given twice")
        labels[key] = value
    return labels or None


def _keys(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, None] | None:
    for key in given:
        if not key or "=" in key:
            raise click.BadParameter(f"{key!r} is not a KEY")
    return dict.fromkeys(given) or None
