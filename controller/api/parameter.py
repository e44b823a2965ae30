"""The parameters of a query: what they mean, what they take, and what a list filters by them.

One declaration checks the request and describes it in the document.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import TypeAdapter

from controller.exchange import argument
from controller.reading import Where
from controller.validation import SHAPES
from store.model.value import LabelKey, LabelValue, Name, Network, is_inside, parse_network

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query."""

    name: str
    text: str
    """What it means, for people."""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string", "maxLength": 1024})
    expected: str = ""
    """What it takes, in words: the end of "expected ..."."""
    example: str = ""
    many: bool = False
    """It may be given several times."""
    required: bool = False
    """It has to be given."""
    where: Callable[[str], Where[Any]] | None = None
    """What a list holds then, where it filters."""

    def fault(self, given: str) -> str | None:
        """Why it does not take this text; None when it does."""
        if given not in self.schema.get("enum", (given,)):
            return f"expected {' or '.join(self.schema['enum'])}"
        if "pattern" in self.schema and not re.fullmatch(self.schema["pattern"], given):
            return f"expected {self.expected}"
        return None if len(given) <= self.schema.get("maxLength", len(given)) else "is too long"


class Number(Parameter):
    """A whole number, from the `minimum` of its schema to the `maximum`."""

    def fault(self, given: str) -> str | None:
        """Why it does not take this text; None when it does."""
        try:
            self.value(given)
        except ValueError as fault:
            return str(fault)
        return None

    def value(self, given: str) -> int:
        """The number that is given, in ASCII digits. Raises `ValueError` for one that it does not take."""
        low, high = self.schema["minimum"], self.schema["maximum"]
        digits = given.lstrip("0") or given[-1:]
        # Counted first: int() takes no text of some thousand digits.
        if digits.isascii() and digits.isdigit() and len(digits) <= len(str(high)):
            number = int(digits)
            if low <= number <= high:
                return number
        raise ValueError(f"expected a whole number from {low} to {high}")

    def given(self, otherwise: T) -> int | T:
        """What the request gives to it, or `otherwise`."""
        text = argument(self.name)
        return otherwise if text is None else self.value(text)


def named(name: str, text: str, example: str) -> Parameter:
    """A filter by a field that holds a name, or None."""
    schema = TypeAdapter(Name).json_schema()
    return Parameter(
        name,
        text,
        schema,
        SHAPES[schema["pattern"]],
        example,
        where=_field(name),
    )


def one_of(name: str, text: str, values: type[StrEnum]) -> Parameter:
    """A filter by a field that holds one of few words."""
    words = [each.value for each in values]
    return Parameter(
        name,
        text,
        {"type": "string", "enum": words},
        example=words[0],
        where=_field(name),
    )


def _field(name: str) -> Callable[[str], Where[Any]]:
    return lambda given: Where(lambda value: getattr(value, name) == given, (f'"{name}":"{given}"'.encode(),))


class Inside(Parameter):
    """A filter by a prefix: what is that prefix, or inside it."""

    def fault(self, given: str) -> str | None:
        """Why it does not take this text; None when it does."""
        try:
            parse_network(given)
        except ValueError as fault:
            return str(fault)
        return None


def inside(name: str, text: str) -> Parameter:
    """A filter by the `prefix` of values."""
    schema = TypeAdapter(Network).json_schema()
    return Inside(name, text, schema, example="10.64.0.0/16", where=_inside)


def _inside(given: str) -> Where[Any]:
    outer = parse_network(given)
    return Where(lambda value: is_inside(value.prefix, outer))


def in_pool(text: str) -> Parameter:
    """A filter by the pools of an endpoint's addresses."""
    return replace(
        named("pool", text, "default"),
        where=lambda given: Where(lambda value: given in value.pools, (f'"{given}"'.encode(),)),
    )


def _unanchored(shape: Any) -> str:
    return str(TypeAdapter(shape).json_schema()["pattern"]).removeprefix("^").removesuffix("$")


def _selected(selector: str) -> Where[Any]:
    key, sign, wanted = selector.partition("=")
    if key.endswith("!"):
        key = key.removesuffix("!")
        return Where(lambda value: value.labels.get(key) != wanted)
    if not sign:
        return Where(lambda value: key in value.labels, (f'"{key}":'.encode(),))
    return Where(lambda value: value.labels.get(key) == wanted, (f'"{key}":"{wanted}"'.encode(),))


LABEL = Parameter(
    "label",
    "only those with this label: `app=web`, `app` for any value, `app!=web` for another value or none; "
    "may be given several times, and all have to hold",
    {"type": "string", "pattern": f"^{_unanchored(LabelKey)}(!?={_unanchored(LabelValue)})?$"},
    "app=web, app or app!=web, with a label's key and value",
    "app=web",
    many=True,
    where=_selected,
)
