"""The commands that every noun of the API has: get, list, delete, and the end of create."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from cli.output import Column
from cli.rest import Json, place
from cli.session import Session, takes_session

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Noun:
    """A kind of thing the API holds.

    Args:
        singular: as in `polder pool`.
        plural: as in `/v1/pools`.
        key: the field that names one.
        columns: what `list` shows.
        used_by: the command that shows what keeps one from being deleted.
    """

    singular: str
    plural: str
    key: str
    columns: tuple[Column, ...]
    used_by: str

    def path(self, name: str) -> str:
        """Where one of them is."""
        return place(self.plural, name)

    def missing(self) -> dict[int, str]:
        """What to do when it is not there."""
        return {404: f"see which there are: polder {self.singular} list"}

    def unchanged(self) -> dict[int, str]:
        """What to do when it was not changed."""
        return {**self.missing(), 409: f"see what there is: polder {self.singular} list"}

    def create(self, session: Session, body: Json) -> None:
        """Create one and print it. Fields that are None are left out: the server has the defaults."""
        given = {key: value for key, value in body.items() if value is not None}
        advice = {
            409: f"see what there is: polder {self.singular} list; "
            f"what of it can be changed: polder {self.singular} set --help"
        }
        session.print_item(session.item("POST", place(self.plural), given, advice=advice))


def name_argument(noun: Noun) -> Callable[[F], F]:
    """The argument that names one, not empty: `/v1/pools/` is another place than `/v1/pools/x`."""
    return click.argument("name", metavar=noun.key.upper(), callback=_not_empty)


def _not_empty(context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not value:
        raise click.BadParameter("is empty")
    return value


def add_get(group: click.Group, noun: Noun) -> None:
    """Add `get` to the group."""

    @group.command("get", help=f"Show one {noun.singular}.")
    @name_argument(noun)
    @takes_session
    def get(session: Session, name: str) -> None:
        session.print_item(session.item("GET", noun.path(name), advice=noun.missing()))


def add_list(group: click.Group, noun: Noun) -> None:
    """Add `list` to the group."""

    @group.command("list", help=f"Show all {noun.plural}.")
    @takes_session
    def list_(session: Session) -> None:
        session.print_list(session.listing(place(noun.plural)), noun.columns)


def add_delete(group: click.Group, noun: Noun) -> None:
    """Add `delete` to the group."""

    @group.command("delete", help=f"Delete a {noun.singular} that nothing uses.")
    @name_argument(noun)
    @takes_session
    def delete(session: Session, name: str) -> None:
        advice = {**noun.missing(), 409: f"see what uses it: {noun.used_by}"}
        session.request("DELETE", noun.path(name), advice=advice)
        session.print_done("deleted", **{noun.singular: name})
