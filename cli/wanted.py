"""Documents as what they want: a noun, a name, and fields of that noun. Checked before anything is asked.

A document is the fields of the API with `kind` in front:

    kind: pool
    name: default
    cidr: 10.64.0.0/16
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from cli.document import ADVICE, Document, plain
from cli.failure import Exit, Failure
from cli.noun import Noun
from cli.rest import present

KINDS: Mapping[str, str] = {
    "tenant": "cli.tenant:TENANT",
    "pool": "cli.pool:POOL",
    "node": "cli.node:NODE",
    "peer": "cli.peer:PEER",
    "service": "cli.service:SERVICE",
    "policy": "cli.policy:POLICY",
    **dict.fromkeys(("endpoint", "vm", "host"), "cli.endpoint:ENDPOINT"),
}
"""What a document can be of, each after those it may name."""

Fault = tuple[str, str]
"""Where something is wrong in a file, and what."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one document wants there to be."""

    noun: Noun
    name: str
    fields: Mapping[str, Any]
    """As the API names them; `kind` is there when it is one of the noun's own kinds."""
    document: Document

    @property
    def title(self) -> str:
        """`pool/default`."""
        return self.noun.name({self.noun.key: self.name})

    @property
    def given(self) -> dict[str, Any]:
        """The fields that have a value: null stands for the default, which is the server's to know."""
        return present(self.fields)

    def differing(self, there: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that are written otherwise than what is there: the server knows what means the same."""
        written = self.noun.documented(dict(there))
        return {
            field: value
            for field, value in self.fields.items()
            if field in written and value != written[field]
        }


def wanted(documents: Iterable[Document]) -> list[Wanted]:
    """What the documents want, in an order in which each comes after what it names.

    Raises:
        Failure: usage; it lists all that is wrong with all of them.
    """
    faults: list[Fault] = []
    found = [each for document in documents if (each := _read(document, faults))]
    faults += _twice(found)
    refuse(faults)
    order = list(KINDS)
    return sorted(found, key=lambda each: order.index(each.noun.singular))


def refuse(faults: Sequence[Fault]) -> None:
    """Raise the `Failure` (usage) that lists these faults, if there are some."""
    if faults:
        raise Failure("the documents are not valid", code=Exit.USAGE, fields=faults, advice=ADVICE)


def placed(fault: Failure, asked: Sequence[Wanted]) -> Failure:
    """What was refused of several writes that were asked about together, with its place in the files."""
    found = ((re.match(r"/items/(\d+)/body(?:/|$)", pointer), pointer, why) for pointer, why in fault.fields)
    fields = [
        (_place(asked[int(item[1])], pointer[item.end() :]), why) if item else (pointer, why)
        for item, pointer, why in found
    ]
    message = re.sub(
        r"^item (\d+): ",
        lambda item: f"{asked[int(item[1])].document.place()}, {asked[int(item[1])].title}: ",
        fault.message,
    )
    advice = "; ".join(filter(None, ("nothing was changed", fault.advice)))
    if fault.code is Exit.USAGE:
        advice = ADVICE
    return Failure(message, code=fault.code, fields=fields, advice=advice, status=fault.status)


def _place(each: Wanted, pointer: str) -> str:
    path = [part for part in pointer.split("/") if part]
    return ", ".join(filter(None, (each.document.place(*path), each.title, ".".join(path))))


def _read(document: Document, faults: list[Fault]) -> Wanted | None:
    noun = _noun(document, faults)
    if noun is None:
        return None
    name = document.fields.get(noun.key)
    if not isinstance(name, str) or not name:
        missing = f"there is no `{noun.key}`, which every {noun.singular} has"
        what = missing if name in (None, "") else "is no text; write it in quotes"
        faults.append((document.place(noun.key), what))
        return None
    if "/" in name:
        faults.append((document.place(noun.key), f"{name!r} is no {noun.key}: it has a slash"))
        return None
    fields = {field: plain(value) for field, value in document.fields.items() if field != "kind"}
    for field in fields:
        if field not in noun.document:
            faults.append((document.place(field), _unknown(f"field {field}", field, noun.document)))
    if (kind := str(document.fields["kind"]).lower()) in noun.kinds:
        fields["kind"] = kind
    return Wanted(noun, name, fields, document)


def _noun(document: Document, faults: list[Fault]) -> Noun | None:
    kind = document.fields.get("kind")
    if isinstance(kind, str) and kind.lower() in KINDS:
        module, _, attribute = KINDS[kind.lower()].partition(":")
        noun: Noun = getattr(import_module(module), attribute)
        return noun
    what = (
        "there is no `kind`; it is one of " + ", ".join(KINDS)
        if kind is None
        else _unknown("kind", kind, KINDS)
    )
    faults.append((document.place("kind"), what))
    return None


def _unknown(what: str, given: object, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(str(given), names, n=1)
    if near:
        return f"unknown {what}; did you mean {near[0]}?"
    return f"unknown {what}; there are {', '.join(names)}"


def _twice(found: Sequence[Wanted]) -> list[Fault]:
    first: dict[str, Wanted] = {}
    return [
        (each.document.place(each.noun.key), f"{each.title} stands in {before.document.place()} already")
        for each in found
        if (before := first.setdefault(each.title, each)) is not each
    ]
