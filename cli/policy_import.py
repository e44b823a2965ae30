"""`polder policy import`: policies of Kubernetes, or lines of rules, as policies of Polder.

Everything is translated and checked before anything is printed or written; what has no translation is an
error that says where it stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from cli.document import ADVICE, STANDARD_INPUT, Document, Fields, parse, read_text
from cli.example import examples
from cli.failure import Exit, Failure
from cli.kubernetes import REST_ORDER, is_network_policy, translated
from cli.labels import parse_labels
from cli.noun import not_empty
from cli.output import print_json, print_yaml
from cli.policy_lines import is_lines, policy_of_lines
from cli.rest import Json
from cli.session import Session, takes_session
from cli.text import printable

F = TypeVar("F", bound=Callable[..., Any])


def add_import(group: click.Group) -> None:
    """Add `import` to the group."""

    @group.command(
        "import",
        epilog=examples(
            "polder policy import netpol.yaml",
            "polder policy import netpol.yaml --tenant shop --dry-run",
            "polder policy import netpol.yaml --tenant shop --apply",
            "polder policy import allowed.txt --tenant shop --selector app=web",
        ),
    )
    @click.argument("file", metavar="FILE", callback=not_empty, type=click.Path())
    @_translating
    @click.option("--apply", "applying", is_flag=True, help="Write them, as polder apply does.")
    @click.option("--dry-run", is_flag=True, help="Show what writing them would change, and change nothing.")
    @takes_session
    def import_(
        session: Session,
        file: str,
        tenant: str | None,
        tenant_in_name: bool,
        selector: dict[str, str] | None,
        name: str | None,
        applying: bool,
        dry_run: bool,
    ) -> None:
        """Translate policies of Kubernetes, or lines of rules.

        FILE holds NetworkPolicy documents (networking.k8s.io/v1), in YAML or JSON, or lines such as "allow
        ingress tcp/443 from 10.0.0.0/8"; - is standard input. They are printed as YAML, or written (--apply).
        """
        source, made = _read(file, tenant, tenant_in_name, selector or {}, name)
        if not (applying or dry_run):
            _print(session, [{"kind": "policy", **each} for each in made])
            return
        from cli.apply import apply_documents

        documents = [_document(each, source, number) for number, each in enumerate(made, 1)]
        apply_documents(session, documents, dry_run=dry_run)


def _print(session: Session, made: Sequence[Json]) -> None:
    """The documents as YAML unless `-o` says otherwise: `apply` takes a list of JSON too."""
    if session.output == "json":
        print_json(made)
    elif session.output == "name":
        click.echo("".join(f"policy/{printable(each['name'])}\n" for each in made), nl=False)
    else:
        print_yaml(made)


def _translating(command: F) -> F:
    """The options that say how a file is translated."""
    for option in (
        click.option("--name", metavar="NAME", help="Of lines: the policy's name.  [default: the file's]"),
        click.option(
            "--selector",
            metavar="KEY=VALUE",
            multiple=True,
            callback=parse_labels,
            help="Of lines: which endpoints they are for; give it again for another label.",
        ),
        click.option(
            "--tenant-in-name",
            is_flag=True,
            help="Of documents: names begin with the tenant (shop-web), as namespaces may use the same ones.",
        ),
        click.option(
            "--tenant",
            metavar="NAME",
            help="Of all of them.  [default: the namespace of each; of lines, none]",
        ),
    ):
        command = option(command)
    return command


def _read(
    file: str, tenant: str | None, tenant_in_name: bool, selector: dict[str, str], name: str | None
) -> tuple[str, list[Json]]:
    """What the file is called, and the policies that it amounts to. Raises `UsageError`, `Failure`."""
    source, text = read_text(file)
    if is_lines(text):
        if tenant_in_name:
            raise click.UsageError("--tenant-in-name is for documents; lines have --name")
        return source, [policy_of_lines(text, source, name or _name(file), tenant, selector)]
    if selector or name:
        raise click.UsageError(
            "--selector and --name are for lines of rules, of which the first begins with allow or deny: "
            f"not so {source}; documents have their own"
        )
    return source, _of_documents(parse(text, source), tenant, tenant_in_name)


def _of_documents(documents: Sequence[Document], tenant: str | None, tenant_in_name: bool) -> list[Json]:
    """Those that allow first: nothing is denied before what is allowed is written."""
    if not documents:
        raise Failure("the file holds no document", code=Exit.USAGE, advice=ADVICE)
    faults: list[tuple[str, str]] = []
    made: list[Json] = []
    for document in _unlisted(documents):
        if is_network_policy(document):
            made += translated(document, tenant, faults, tenant_in_name=tenant_in_name)
        else:
            faults.append((document.place("kind"), "is no NetworkPolicy of networking.k8s.io/v1"))
    faults += _twice(made)
    if faults:
        raise Failure("not all of it can be translated", code=Exit.USAGE, fields=faults, advice=ADVICE)
    return sorted(made, key=lambda each: each.get("order") == REST_ORDER)


def _twice(made: Sequence[Json]) -> Iterator[tuple[str, str]]:
    tenants: dict[str, list[str]] = {}
    for each in made:
        tenants.setdefault(each["name"], []).append(each["tenant"])
    for name, whose in sorted(tenants.items()):
        if len(whose) > 1:
            apart = len(set(whose)) == len(whose)
            yield name, "is the name of two policies" + ("; give --tenant-in-name" if apart else "")


def _unlisted(documents: Sequence[Document]) -> Iterator[Document]:
    """The documents, those of a List (`kubectl get -o yaml`) one by one."""
    for document in documents:
        items = document.fields.get("items")
        if str(document.fields.get("kind", "")).endswith("List") and isinstance(items, list):
            for item in items:
                if isinstance(item, Fields):
                    yield Document(document.source, document.number, document.line, item)
        else:
            yield document


def _name(file: str) -> str:
    if file == STANDARD_INPUT:
        raise click.UsageError("give --name: standard input has none")
    return re.sub(r"[^a-z0-9.-]+", "-", Path(file).stem.lower()).strip(".-")


def _document(policy: Json, source: str, number: int) -> Document:
    fields = Fields({"kind": "policy", **policy})
    fields.lines = {}
    return Document(f"{source} as translated", number, 1, fields)
