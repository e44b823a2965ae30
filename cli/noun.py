"""The commands that every noun of the API has: get, list, delete, and the end of create."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from cli.completion import names_of
from cli.example import examples
from cli.foresight import DRY_RUN, bound, bound_options, dry_run_option, show
from cli.name import Named
from cli.output import Form
from cli.rest import Json, place, present
from cli.selection import Filter, listing_options
from cli.session import Session, takes_session

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Noun(Form):
    """A kind of thing the API holds.

    Args:
        used_by: the commands that show what keeps one from being deleted, in which `NAME` stands for it.
        example: the name of one, in the examples of the help.
        replaceable: whether the API has PUT for it.
        foreseen: whether the API tells what a change of it would do.
        checked: whether it says at least what would be refused, as it does of what is foreseen.
        bounded: of those, whether a change of it can withdraw what is announced.
        named: the type of its name as an argument; None is text.
    """

    used_by: str = ""
    example: str = ""
    replaceable: bool = True
    foreseen: bool = False
    checked: bool = False
    bounded: bool = True
    named: Named | None = None

    @property
    def tried(self) -> bool:
        """Whether a write of it can be asked about before it is made."""
        return self.foreseen or self.checked

    def specified(self, item: Json) -> Json:
        """Of an answer, what a document can say: without what the server works out."""
        return {field: item[field] for field in self.document if field in item}

    def path(self, name: str) -> str:
        """Where one of them is."""
        return place(self.plural, name)

    def missing(self) -> dict[int, str]:
        """What to do when it is not there."""
        return {404: f"see which there are: polder {self.singular} list"}

    def in_use(self, name: str) -> dict[int, str]:
        """What to do when something still uses it."""
        return {409: f"see what uses it: {self.used_by.replace('NAME', name)}"}

    def unchanged(self) -> dict[int, str]:
        """What to do when it was not changed."""
        return {**self.missing(), 409: f"see what there is: polder {self.singular} list"}

    def create(self, session: Session, body: Json) -> None:
        """Create one and print it. Fields that are None are left out: the server has the defaults."""
        session.print_item(self.created(session, present(body)), self)

    def created(self, session: Session, body: Json) -> Json:
        """Create one. Idempotent, by the name in the body: sent again when an answer is lost."""
        advice = {
            409: f"see what there is: polder {self.singular} list; "
            f"what of it can be changed: polder {self.singular} set --help"
        }
        return session.item("POST", place(self.plural), body, advice=advice, repeatable=self.key in body)


def name_argument(noun: Noun) -> Callable[[F], F]:
    """The argument that names one."""
    return click.argument(
        "name",
        metavar=noun.key.upper(),
        type=noun.named or Named(noun.singular),
        shell_complete=names_of(noun.plural, noun.key),
    )


def not_empty(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The callback of an argument that must not be empty, such as the name of a file."""
    if value == "":
        raise click.BadParameter("is empty")
    return value


def add_get(group: click.Group, noun: Noun) -> None:
    """Add `get` to the group."""
    command = f"polder {noun.singular} get {noun.example}"

    @group.command("get", help=f"Show one {noun.singular}.", epilog=examples(command, f"{command} -o json"))
    @name_argument(noun)
    @takes_session
    def get(session: Session, name: str) -> None:
        session.print_item(session.item("GET", noun.path(name), advice=noun.missing()), noun)


def add_list(group: click.Group, noun: Form, *filters: Filter, text: str = "") -> None:
    """Add `list` to the group, with an option for each of the filters that the API has for it."""
    command = f"polder {noun.singular} list"
    shown = [command, *(f"{command} {each.example}" for each in filters), f"{command} -o wide"]
    if noun.labelled:
        shown.append(f"{command} -l rack=7 -L app")
    shown.append(f"{command} --watch")

    @group.command("list", help=text or f"Show all {noun.plural}.", epilog=examples(*shown))
    @listing_options(noun, filters)
    @takes_session
    def list_(
        session: Session,
        label_columns: tuple[str, ...],
        query: Mapping[str, object],
        watching: bool,
    ) -> None:
        if watching:
            from cli.watch import watch

            watch(session, noun, query, label_columns)
            return
        session.print_list(session.listing(place(noun.plural), **query), noun, label_columns)


def add_delete(group: click.Group, noun: Noun, text: str = "") -> None:
    """Add `delete` to the group. `text` is its help; nothing when it is for what nothing uses."""
    command = f"polder {noun.singular} delete {noun.example}"
    shown = [command, f"{command} --dry-run"] if noun.foreseen else [command]

    @takes_session
    def delete(
        session: Session, /, name: str, dry_run: bool = False, max_withdraw: int = 0, yes: bool = True
    ) -> None:
        advice = {**noun.missing(), **noun.in_use(name)}
        if dry_run:
            session.refuse_names()
            show(session, session.item("DELETE", noun.path(name), advice=advice, query=DRY_RUN))
            return
        session.request("DELETE", noun.path(name), advice=advice, query=bound(max_withdraw, yes))
        session.print_done("deleted", **{noun.singular: name})

    function = bound_options(delete) if noun.foreseen and noun.bounded else delete
    function = dry_run_option(routers=noun.bounded)(function) if noun.foreseen else function
    help_text = text or f"Delete a {noun.singular} that nothing uses."
    group.command("delete", help=help_text, epilog=examples(*shown))(name_argument(noun)(function))
