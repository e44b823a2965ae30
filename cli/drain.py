"""`drain` and `undrain` of nodes and peers, and `polder drain list`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from cli.completion import names_of
from cli.example import examples
from cli.failure import Exit, Failure
from cli.group import Group
from cli.name import Named
from cli.noun import Noun, add_list
from cli.output import Column, Form, field
from cli.problem import failure
from cli.rest import Json, call, place, present
from cli.session import Session, takes_session
from cli.setting import Option
from cli.text import printable
from cli.times import Duration, lasted

POLL_S = 0.5
LATE_S = 30
"""So many seconds after the time to withdraw a speaker has certainly withdrawn, if it lives."""

OVER = "over"
STAGES = {
    "graceful": "routes carry GRACEFUL_SHUTDOWN",
    "withdrawing": "routes are being withdrawn",
    "drained": "nothing is announced any more",
}

DRAIN: Form = Form(
    "drain",
    "drains",
    "name",
    (
        Column("WHAT", lambda item: DRAIN.name(item)),
        field("stage"),
        Column("FOR", lambda item: lasted(item.get("since"), datetime.now(UTC))),
        field("announced"),
        field("until"),
        field("by", wide=True),
    ),
    of="noun",
)


@click.group(cls=Group)
def command() -> None:
    """Nodes and peers that traffic is led away from."""


add_list(command, DRAIN, text="Show every node and peer that is drained, and how far that is.")


def add_drain(group: click.Group, noun: Noun) -> None:
    """Add `drain` and `undrain` to the group of a noun."""
    _add_drain(group, noun)
    _add_undrain(group, noun)


def _add_drain(group: click.Group, noun: Noun) -> None:
    name = f"polder {noun.singular}"
    shown = [f"{name} drain {noun.example} --wait 0s", f"{name} drain {noun.example} --for 30m --detach"]
    if noun.labelled:
        shown.append(f"{name} drain -l rack=7 --detach")

    @group.command(
        "drain",
        short_help=f"Lead traffic away from a {noun.singular}, then withdraw its routes.",
        epilog=examples(*shown),
    )
    @_which(noun)
    @click.option(
        "--wait",
        "wait_s",
        metavar="TIME",
        type=Duration(),
        default="60s",
        show_default=True,
        help="How long routes carry GRACEFUL_SHUTDOWN before they are withdrawn: 90s, 5m.",
    )
    @click.option("--for", "for_s", metavar="TIME", type=Duration(), help="End it by itself after this: 30m.")
    @click.option("--detach", is_flag=True, help="Do not wait until it is done.")
    @takes_session
    def drain(
        session: Session,
        names: tuple[str, ...],
        wait_s: int,
        for_s: int | None,
        detach: bool,
        selectors: tuple[str, ...] = (),
    ) -> None:
        """Lead traffic away, then withdraw the routes, and report.

        First the routes carry GRACEFUL_SHUTDOWN (RFC 8326), so that routers that heed it choose others while
        these still work; after --wait they are withdrawn. undrain announces as usual again.
        """
        chosen = _chosen(session, noun, names, selectors)
        body = present({"wait_s": wait_s, "for_s": for_s})
        report = Report(session, noun.singular)
        try:
            for each in chosen:
                path = f"{noun.path(each)}:drain"
                report.tell(each, session.item("POST", path, body, advice=noun.missing(), repeatable=True))
            if not detach:
                with _going_on(noun, chosen):
                    _follow(report, set(chosen), time.monotonic() + wait_s + LATE_S)
        finally:
            report.end()


def _add_undrain(group: click.Group, noun: Noun) -> None:
    name = f"polder {noun.singular}"

    @group.command(
        "undrain",
        help=f"Announce what concerns a {noun.singular} as usual again.",
        epilog=examples(f"{name} undrain {noun.example}"),
    )
    @_which(noun)
    @takes_session
    def undrain(session: Session, names: tuple[str, ...], selectors: tuple[str, ...] = ()) -> None:
        chosen = _chosen(session, noun, names, selectors)
        with session.each_done(several=len(chosen) > 1) as done:
            for each in chosen:
                session.request("POST", f"{noun.path(each)}:undrain", advice=noun.missing(), repeatable=True)
                done("undrained", **{noun.singular: each})


def _which(noun: Noun) -> Option:
    """The names, and for what has labels a selector."""
    argument = click.argument(
        "names",
        metavar=f"[{noun.key.upper()}]...",
        nargs=-1,
        type=Named(noun.singular),
        shell_complete=names_of(noun.plural, noun.key),
    )
    if not noun.labelled:
        return argument
    selector = click.option(
        "-l", "--selector", "selectors", metavar="LABEL", multiple=True, help="All with this label: rack=7."
    )
    return lambda function: argument(selector(function))


def _chosen(
    session: Session, noun: Noun, names: tuple[str, ...], selectors: tuple[str, ...]
) -> tuple[str, ...]:
    """What is named, or has the labels, each once.

    Raises:
        click.UsageError: nothing is named.
        Failure: something that is named is not there, or nothing has the labels.
    """
    if bool(names) == bool(selectors):
        raise click.UsageError(f"name a {noun.singular}{', or a label with -l' if noun.labelled else ''}")
    if names:
        _refuse_absent(session, noun, names)
        return tuple(dict.fromkeys(names))
    found = [item[noun.key] for item in session.listing(place(noun.plural), label=list(selectors))["items"]]
    if not found:
        raise Failure(f"no {noun.singular} has {', '.join(selectors)}", advice=f"polder {noun.singular} list")
    return tuple(found)


def _refuse_absent(session: Session, noun: Noun, names: Sequence[str]) -> None:
    """All is there before anything is done to one. Raises `Failure` that names what is not."""
    absent = []
    for name in dict.fromkeys(names):
        answer = call(session.link, "GET", noun.path(name))
        if answer.absent:
            absent.append(name)
        elif not answer.ok:
            raise failure(answer.status, answer.body, retry_after=answer.retry_after)
    if absent:
        raise Failure(
            f"there is no {noun.singular} {', '.join(absent)}",
            code=Exit.NOT_FOUND,
            advice=f"nothing was done; {noun.missing()[404]}",
        )


class Report:
    """What is told of drains: each new stage, and at the end for programs how they were last."""

    def __init__(self, session: Session, noun: str) -> None:
        self.session, self.noun = session, noun
        self.last: dict[str, Json] = {}
        self._people = session.for_people
        self._told: dict[str, str] = {}

    def tell(self, name: str, drain: Json | None) -> str:
        """The stage of one, which is told where it is new; None is not drained any more."""
        stage = str(drain["stage"]) if drain else OVER
        if drain:
            self.last[name] = drain
        if self._told.get(name) != stage:
            self._told[name] = stage
            said = STAGES.get(stage, "it is not drained any more")
            click.echo(f"{self.noun}/{printable(name)}: {said}", err=not self._people)
        return stage

    def end(self) -> None:
        """Print them as `-o` says, where lines are not all."""
        if not self._people:
            self.session.print_list({"items": list(self.last.values())}, DRAIN)


@contextmanager
def _going_on(noun: Noun, names: Sequence[str]) -> Iterator[None]:
    """Say on Ctrl-C that only this command ends. Raises `Failure`."""
    try:
        yield
    except KeyboardInterrupt:
        undrain = f"polder {noun.singular} undrain {' '.join(names)}"
        raise Failure(
            "interrupted; the drain goes on without this command", advice=f"end it: {undrain}"
        ) from None


def _follow(report: Report, left: set[str], until: float) -> None:
    """Report each stage until all are drained. Raises `Failure` for what is not in time."""
    while left:
        drains = {each["name"]: each for each in _drains(report.session, report.noun)}
        left = {name for name in sorted(left) if report.tell(name, drains.get(name)) not in {"drained", OVER}}
        if left and time.monotonic() > until:
            rest = ", ".join(f"{name} ({drains[name]['announced']})" for name in sorted(left))
            raise Failure(
                f"routes are still announced: {rest}", advice="does its speaker live? polder bgp summary"
            )
        if left:
            time.sleep(POLL_S)


def _drains(session: Session, noun: str) -> Iterator[Json]:
    items = session.listing(place("drains"))["items"]
    return (each for each in items if each["noun"] == noun)
