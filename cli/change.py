"""The `set` commands: the options that were given become a merge patch (RFC 7396).

An option is named as the field it changes. What is not given stays, and an empty value takes the field
out, so that the server's default holds again. A field without a default refuses an empty value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import click

from cli.labels import labels_option, no_labels_option
from cli.noun import Noun, name_argument
from cli.rest import Json
from cli.session import Session, takes_session

Option = Callable[[Callable[..., Any]], Callable[..., Any]]


class Taken(Enum):
    """Stands for an empty value: None already means that an option was not given."""

    OUT = "out"


class OrEmpty(click.ParamType[Any]):
    """A type whose empty value takes the field out."""

    def __init__(self, inner: click.ParamType[Any]) -> None:
        self.inner = inner
        self.name = inner.name

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str | None:
        """As the inner type shows it: the choices of a choice."""
        return self.inner.get_metavar(param, ctx)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value, or `Taken.OUT` for an empty one."""
        return Taken.OUT if value in ("", Taken.OUT) else self.inner.convert(value, param, ctx)


class Filled(click.ParamType[str]):
    """Text that is not empty."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text. Ends the command with a usage error when it is empty."""
        return str(value) if value else self.fail("is required and cannot be taken out", param, ctx)


def labels_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--label` and `--no-label`: labels that are named in neither stay."""
    return labels_option(no_labels_option(function))


def add_set(group: click.Group, noun: Noun, *options: Option, text: str) -> None:
    """Add `set` to the group.

    Args:
        group: the noun's commands.
        noun: what is changed.
        options: each adds one option or more, named as the fields they change.
        text: the help; its first line stands in the list of commands.
    """

    @takes_session
    def set_(session: Session, /, name: str, **fields: object) -> None:
        patch = merge_patch(fields)
        if not patch:
            raise click.UsageError(f"nothing to change: give {_names(fields)}")
        session.print_item(session.item("PATCH", noun.path(name), patch, advice=noun.unchanged()))

    function: Callable[..., Any] = set_
    for option in reversed(options):
        function = option(function)
    group.command("set", help=text, short_help=text.partition("\n")[0])(name_argument(noun)(function))


def merge_patch(fields: Mapping[str, object]) -> Json:
    """The patch of what was given: None is left out, `Taken.OUT` is null, `no_labels` are nulls in `labels`.

    Raises:
        click.UsageError: a label is both given and taken out.
    """
    given = {name: value for name, value in fields.items() if value is not None}
    patch: Json = {name: None if value is Taken.OUT else value for name, value in given.items()}
    removed = patch.pop("no_labels", {})
    if both := sorted(removed.keys() & patch.get("labels", {}).keys()):
        raise click.UsageError(f"label {both[0]!r} is both in --label and in --no-label")
    if removed:
        patch["labels"] = {**patch.get("labels", {}), **removed}
    return patch


def _names(fields: Mapping[str, object]) -> str:
    """The options of these fields, for a sentence."""
    parameters = click.get_current_context().command.params
    names = [each.opts[0] for each in parameters if each.name in fields]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
