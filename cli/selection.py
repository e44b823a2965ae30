"""The options of `list`: which items the server is asked for, and the label columns of the table."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from cli.completion import names_of
from cli.output import Form


@dataclass(frozen=True, slots=True)
class Filter:
    """A parameter of the API's list, as an option of the same name.

    Args:
        name: the parameter.
        text: the option's help.
        value: a value for the example in the help.
        of: the plural of what it names, for completion; nothing when it is not a name.
        choices: the values there are, when it is not a name.
    """

    name: str
    text: str
    value: str
    of: str = ""
    choices: tuple[str, ...] = ()

    @property
    def example(self) -> str:
        """As it is typed."""
        return f"{self.option} {self.value}"

    @property
    def option(self) -> str:
        """The option."""
        return f"--{self.name.replace('_', '-')}"


OF_NODE = Filter("node", "Only those of this node.", "node-1", "nodes")
OF_POOL = Filter("pool", "Only those of this pool.", "default", "pools")
OF_TENANT = Filter("tenant", "Only those of this tenant.", "shop", "tenants")


def in_state(*states: str) -> Filter:
    """Only those in one of these states."""
    return Filter("state", "Only those in this state.", states[0], choices=states)


def listing_options(form: Form, filters: tuple[Filter, ...]) -> Callable[..., Any]:
    """Add the options; the command gets `label_columns` and the `query` of the list."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: Any, **given: Any) -> Any:
            query = {each.name: given.pop(each.name) for each in filters}
            query["label"] = list(given.pop("selectors", ())) or None
            return function(*args, label_columns=given.pop("label_columns", ()), query=query, **given)

        wrapped: Callable[..., Any] = run
        if form.labelled:
            wrapped = _label_options(wrapped)
        wrapped = click.option(
            "-w", "--watch", "watching", is_flag=True, help="Go on with each change, until Ctrl-C."
        )(wrapped)
        for each in reversed(filters):
            complete = names_of(each.of) if each.of else None
            wrapped = click.option(
                each.option,
                metavar=None if each.choices else "SECONDS" if each.name.endswith("_s") else "NAME",
                type=click.Choice(each.choices) if each.choices else None,
                help=each.text,
                shell_complete=complete,
            )(wrapped)
        return wrapped

    return decorate


def _label_options(function: Callable[..., Any]) -> Callable[..., Any]:
    selector = click.option(
        "-l",
        "--selector",
        "selectors",
        metavar="LABEL",
        multiple=True,
        help="Only those with this label: app=web, app (any value), app!=web. Repeatable; all have to hold.",
    )
    columns = click.option(
        "-L",
        "--label-column",
        "label_columns",
        metavar="KEY",
        multiple=True,
        help="A column for this label; give it again for another.",
    )
    return selector(columns(function))
