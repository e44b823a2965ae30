"""The `create` and `set` commands of a noun, made from its settings.

`create` posts what was given; `set` sends it as a merge patch (RFC 7396), and what is not given stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from cli.example import examples
from cli.foresight import DRY_RUN, bound, bound_options, dry_run_option, show
from cli.noun import Noun, name_argument
from cli.rest import place, present
from cli.session import Session, takes_session
from cli.setting import AnySetting, Option, fixed, merge_patch


def add_create(
    group: click.Group, noun: Noun, settings: Sequence[AnySetting], text: str, *shown: str
) -> None:
    """Add `create` to the group.

    Args:
        group: the noun's commands.
        noun: what is made.
        settings: its fields beside the name.
        text: the help; its first line stands in the list of commands.
        shown: examples.
    """

    @takes_session
    def create(session: Session, /, name: str, dry_run: bool = False, **fields: object) -> None:
        body = {noun.key: name, **fields}
        if not dry_run:
            noun.create(session, body)
            return
        session.refuse_names()
        path = place(noun.plural)
        show(session, session.item("POST", path, present(body), query=DRY_RUN, repeatable=True))

    options = [each.to_create() for each in settings]
    _add(
        group,
        "create",
        noun,
        create,
        [*options, *([dry_run_option(routers=noun.bounded)] if noun.foreseen else [])],
        text,
        shown,
    )


def add_set(group: click.Group, noun: Noun, settings: Sequence[AnySetting], text: str, *shown: str) -> None:
    """Add `set` to the group, with the settings that can change."""

    @takes_session
    def set_(
        session: Session,
        /,
        name: str,
        dry_run: bool = False,
        max_withdraw: int = 0,
        yes: bool = True,
        **fields: object,
    ) -> None:
        patch = merge_patch(fields)
        if not patch:
            raise click.UsageError(f"nothing to change: give {_names(fields)}")
        if dry_run:
            session.refuse_names()
        query = DRY_RUN if dry_run else bound(max_withdraw, yes)
        answer = session.item("PATCH", noun.path(name), patch, advice=noun.unchanged(), query=query)
        if dry_run:
            show(session, answer)
        else:
            session.print_item(answer, noun)

    stay = fixed(settings)
    options = [each.to_set() for each in settings if each.field not in stay]
    more = [dry_run_option(routers=noun.bounded)] if noun.foreseen else []
    more += [bound_options] if noun.foreseen and noun.bounded else []
    _add(group, "set", noun, set_, [*options, *more], text, shown)


def _add(
    group: click.Group,
    verb: str,
    noun: Noun,
    function: Callable[..., Any],
    options: Iterable[Option],
    text: str,
    shown: Sequence[str],
) -> None:
    for option in reversed(list(options)):
        function = option(function)
    short = text.partition("\n")[0]
    group.command(verb, help=text, short_help=short, epilog=examples(*shown))(name_argument(noun)(function))


def _names(fields: Mapping[str, object]) -> str:
    """The options of these fields, for a sentence."""
    parameters = click.get_current_context().command.params
    names = [each.opts[0] for each in parameters if each.name in fields]
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
