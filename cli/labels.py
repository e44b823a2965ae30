"""Labels as arguments: `--label app=web`, and `--no-label app`, any number of times."""

from __future__ import annotations

import click


def parse_labels(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str] | None:
    """`KEY=VALUE` of each, None when there is none. Ends the command with a usage error."""
    labels: dict[str, str] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{each!r} is not KEY=VALUE")
        if key in labels:
            raise click.BadParameter(f"{key!r} is given twice")
        labels[key] = value
    return labels or None


def parse_keys(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, None] | None:
    """Each key with None, as a merge patch removes it; None when there is none."""
    for key in given:
        if not key or "=" in key:
            raise click.BadParameter(f"{key!r} is not a KEY")
    return dict.fromkeys(given) or None
