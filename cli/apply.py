"""`polder apply` and `polder delete`: make it so as documents say, and undo that.

What a document names is made so, and what it does not name stays. Everything is read, checked and compared
before the first write; the server checks each new value with the models that check the write itself. Both
commands can be repeated at any time: what is so already is left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

from cli.document import Document, echo_read_nothing, read_documents
from cli.endpoint import ACCEPTED, ENDPOINT, await_gone
from cli.example import examples
from cli.failure import Exit, Failure
from cli.foresight import ANYTHING, MOST_FORETOLD, bound_options, foretold, show
from cli.output import print_json, print_yaml
from cli.peer import PEER
from cli.problem import failure
from cli.rest import Answer, call, place, present
from cli.service import SERVICE
from cli.session import Session, takes_session
from cli.step import Step, difference
from cli.trial import foretell, rehearse, too_many
from cli.wanted import Fault, Wanted, refuse, wanted

FORBIDDEN = 403
"""Who may not write this is told so when the writes are tried; who only reads may try all the same."""

NEVER = '"0"'
"""An entity tag that nothing has: with it in If-Match a valid request ends with 412 and writes nothing."""

files_option = click.option(
    "-f",
    "--file",
    "files",
    metavar="FILE",
    multiple=True,
    required=True,
    type=click.Path(),
    help="YAML or JSON, any number of documents; a directory of such files; - is standard input. Repeatable.",
)


@click.command(
    epilog=examples(
        "polder apply -f site.yaml",
        "polder apply -f site.yaml --dry-run",
        "polder pool list -o yaml | polder apply -f -",
    )
)
@files_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Show what would change as a diff, and what would happen at each router; change nothing.",
)
@click.option(
    "--exit-code",
    is_flag=True,
    help=f"With --dry-run: end with {Exit.DIFFERENT} when something would change.",
)
@bound_options
@takes_session
def apply(
    session: Session, files: tuple[str, ...], dry_run: bool, exit_code: bool, max_withdraw: int, yes: bool
) -> None:
    """Make it so as documents say.

    A document is the fields of the API with `kind` in front, as `-o yaml` prints it. What it names is made
    so; what it does not name stays. All documents are checked before the first write.
    """
    if exit_code and not dry_run:
        raise click.UsageError("--exit-code goes with --dry-run, which tells whether something would change")
    documents = read_documents(files)
    echo_read_nothing(documents)
    steps = _steps(session, documents)
    if not dry_run:
        rehearse(session, steps, ANYTHING if yes else max_withdraw)
        _apply(session, steps)
        return
    if _show_dry_run(session, steps) and exit_code:
        raise SystemExit(Exit.DIFFERENT)


@click.command(
    epilog=examples("polder delete -f site.yaml", "polder endpoint list -o yaml | polder delete -f -")
)
@files_option
@bound_options
@takes_session
def delete(session: Session, files: tuple[str, ...], max_withdraw: int, yes: bool) -> None:
    """Delete what documents name.

    In the order in which nothing is in use any more: endpoints first, and each is waited for. What is not
    there is left alone.
    """
    documents = read_documents(files)
    echo_read_nothing(documents)
    found = list(reversed(wanted(documents)))
    if not yes:
        _weigh_deletes(session, found, max_withdraw)
    _report(session, _each(found, lambda each: (each.title, _deleted(session, each)), "deleted"))


def _show_dry_run(session: Session, steps: Sequence[Step]) -> bool:
    """Print what would change; returns whether something would."""
    steps, impact = foretell(session, steps)
    differs = any(step.word != "unchanged" for step in steps)
    done = [(step.wanted.title, f"{step.word} (dry run)") for step in steps]
    if session.output in {"json", "yaml"}:
        items = [{"object": title, "result": word} for title, word in done]
        session.print_item({"items": items, "impact": impact})
        return differs
    if session.output != "name":
        for step in steps:
            click.echo("".join(difference(step)), nl=False)
    _report(session, done)
    if impact is not None and session.output != "name":
        show(session, impact)
    return differs


def _weigh_deletes(session: Session, found: Sequence[Wanted], max_withdraw: int) -> None:
    """Refuse to close too many sessions or end too many services, before anything is deleted.

    Nothing uses the rest when it goes. Raises `Failure` (conflict).
    """
    writes = []
    for noun in (SERVICE, PEER):
        if named := [each.name for each in found if each.noun is noun]:
            there = {item[noun.key] for item in session.listing(place(noun.plural))["items"]}
            writes += [{"method": "DELETE", "path": noun.path(each)} for each in named if each in there]
    if len(writes) > MOST_FORETOLD:
        raise too_many()
    if writes:
        try:
            foretold(session, writes, max_withdraw)
        except Failure as fault:
            if fault.code is not Exit.CONFLICT:
                raise
            advice = "nothing was deleted; with --yes all of it is"
            raise Failure(fault.message, code=fault.code, advice=advice, status=fault.status) from None


def _step(session: Session, each: Wanted) -> Step:
    answer = call(session.link, "GET", each.noun.path(each.name))
    if answer.absent:
        return Step(each, None, each.given)
    if not answer.ok or not isinstance(answer.body, dict):
        raise failure(answer.status, answer.body, retry_after=answer.retry_after)
    return Step(each, answer.body, each.differing(answer.body))


def _faults(session: Session, step: Step) -> Iterator[Fault]:
    noun = step.wanted.noun
    if not noun.replaceable:
        return
    body = present({**noun.specified(step.there or {}), **step.wanted.fields})
    answer = call(session.link, "PUT", noun.path(step.wanted.name), body, headers={"If-Match": NEVER})
    if answer.status in {400, 422}:
        yield from _refusals(step.wanted, answer)
    elif answer.status not in {412, FORBIDDEN}:
        raise failure(answer.status, answer.body, retry_after=answer.retry_after)


def _refusals(each: Wanted, answer: Answer) -> Iterator[Fault]:
    refused = failure(answer.status, answer.body)
    if not refused.fields:
        yield each.document.place(), refused.message
    for pointer, detail in refused.fields:
        path = [part for part in pointer.split("/") if part]
        yield each.document.place(*path), f"{'.'.join(path)}: {detail}" if path else detail


def _steps(session: Session, documents: Sequence[Document]) -> list[Step]:
    """What documents want, compared with what is there. Raises `Failure` that lists all that cannot be."""
    steps = [_step(session, each) for each in wanted(documents)]
    refuse([fault for step in steps if step.word != "unchanged" for fault in _faults(session, step)])
    return steps


def _apply(session: Session, steps: Sequence[Step]) -> None:
    _report(session, _each(steps, lambda step: (step.wanted.title, _done(session, step)), "applied"))


def apply_documents(session: Session, documents: Sequence[Document], *, dry_run: bool = False) -> None:
    """Make it so as documents say, of things of which nothing is announced, or show what that would change.

    Raises:
        Failure: it cannot be.
    """
    steps = _steps(session, documents)
    if dry_run:
        _show_dry_run(session, steps)
    else:
        rehearse(session, steps, ANYTHING)
        _apply(session, steps)


def _each(steps: Sequence[Any], do: Callable[[Any], Any], word: str) -> Iterator[Any]:
    """Do one after the other; a failure says how far it came."""
    for number, step in enumerate(steps):
        each: Wanted = step.wanted if isinstance(step, Step) else step
        try:
            yield do(step)
        except Failure as fault:
            raise Failure(
                f"{each.document.place()}, {each.title}: {fault.message}",
                code=fault.code,
                fields=fault.fields,
                advice=f"{number} of {len(steps)} are {word}; "
                + ("correct the file, then " if fault.code is Exit.USAGE else "")
                + "the same command again goes on from there"
                + (f"; {fault.advice}" if fault.advice and fault.code is not Exit.USAGE else ""),
            ) from None


def _done(session: Session, step: Step) -> str:
    noun = step.wanted.noun
    if step.there is None:
        noun.created(session, dict(step.changes))
    elif step.changes:
        after = session.item("PATCH", noun.path(step.wanted.name), step.patch)
        return "unchanged" if noun.specified(after) == noun.specified(step.there) else "changed"
    return step.word


def _deleted(session: Session, each: Wanted) -> str:
    advice = each.noun.in_use(each.name)
    answer = call(session.link, "DELETE", each.noun.path(each.name))
    if answer.absent:
        return "absent"
    if not answer.ok:
        raise failure(answer.status, answer.body, retry_after=answer.retry_after, advice=advice)
    if each.noun is ENDPOINT and answer.status == ACCEPTED:
        await_gone(session, each.name)
    return "deleted"


def _report(session: Session, done: Iterable[tuple[str, str]]) -> None:
    """Print what was done to each: at once where lines are printed, else at the end, however it ends."""
    if session.output in {"json", "yaml"}:
        items: list[object] = []
        try:
            for title, word in done:
                items.append({"object": title, "result": word})
        finally:
            print_json({"items": items}) if session.output == "json" else print_yaml([{"items": items}])
        return
    for title, word in done:
        click.echo(title if session.output == "name" else f"{title} {word}")
