"""A field of a noun as an option of `create` and of `set`: said once, with what each of them makes of it.

An option is named as its field. In `set` an empty value takes the field out, so that the default holds
again; what has no default refuses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import click
from click.shell_completion import CompletionItem

from cli.completion import names_of
from cli.labels import parse_keys, parse_labels
from cli.rest import present

Option = Callable[[Callable[..., Any]], Callable[..., Any]]

INSIDE = "__"
"""Between a field and one inside it, in the name of an option's value: `qos__dscp`."""


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

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """As the inner type is completed."""
        return self.inner.shell_complete(ctx, param, incomplete)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value, or `Taken.OUT` for an empty one."""
        return Taken.OUT if value in ("", Taken.OUT) else self.inner.convert(value, param, ctx)


class Filled(click.ParamType[str]):
    """Text that is not empty."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text. Ends the command with a usage error when it is empty."""
        return str(value) if value else self.fail("is required and cannot be taken out", param, ctx)


@dataclass(frozen=True, slots=True)
class Setting:
    """One field.

    Args:
        field: its name.
        metavar: what stands for its value in the help; empty where the type says it, as a choice does.
        text: the help, for `create` and `set` alike.
        kind: the type of the value.
        default: what the server takes when it is not given, for the help of `create`.
        required: whether `create` needs it; `set` then cannot take it out.
        fixed: whether it stays as it was created, so that `set` has no option for it.
        of: the plural of what it names, for completion.
    """

    field: str
    metavar: str
    text: str
    kind: click.ParamType[Any] = click.STRING
    default: str = ""
    required: bool = False
    fixed: bool = False
    of: str = ""

    def to_create(self) -> Option:
        """The option of `create`."""
        default = f"  [default: {self.default}]" if self.default else ""
        return self._option(self.kind, self.text + default, required=self.required)

    def to_set(self) -> Option:
        """The option of `set`."""
        filled = Filled() if self.kind is click.STRING else self.kind
        return self._option(filled if self.required else OrEmpty(self.kind), self.text, required=False)

    def _option(self, kind: click.ParamType[Any], text: str, *, required: bool) -> Option:
        return click.option(
            f"--{self.field.replace('_', '-')}",
            self.field,
            metavar=self.metavar or None,
            type=kind,
            required=required,
            help=text,
            shell_complete=names_of(self.of) if self.of else None,
        )


@dataclass(frozen=True, slots=True)
class Switch:
    """A field that is on or off: `--borrow` and `--no-borrow`, or two words of its own."""

    field: str
    flags: str
    text: str

    def to_create(self) -> Option:
        """The option of `create`, and of `set` alike."""
        return click.option(self.flags, self.field, default=None, help=self.text)

    to_set = to_create


@dataclass(frozen=True, slots=True)
class Several:
    """A field that is a list: the option is given once for each, and in `set` replaces the whole list."""

    field: str
    option: str
    metavar: str
    text: str
    parse: Callable[[str], Any] = str
    """Makes a value of what was given, or raises `click.BadParameter`."""

    def to_create(self) -> Option:
        """The option of `create`."""
        return self._option("", lambda context, parameter, given: [*map(self.parse, given)] or None)

    def to_set(self) -> Option:
        """The option of `set`: a single empty value empties the list."""
        return self._option(' They replace all; "" removes all.', self._replaced)

    def _replaced(
        self, context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
    ) -> list[Any] | Taken | None:
        return Taken.OUT if given == ("",) else [*map(self.parse, given)] or None

    def _option(self, more: str, callback: Callable[..., Any]) -> Option:
        text = f"{self.text}; give it again for another.{more}"
        return click.option(
            self.option, self.field, metavar=self.metavar, multiple=True, callback=callback, help=text
        )


@dataclass(frozen=True, slots=True)
class Labelling:
    """A field of keys and values: `--label app=web` adds or replaces, `--no-label app` removes."""

    field: str = "labels"
    name: str = "label"
    text: str = "A label"

    def to_create(self) -> Option:
        """The option of `create`."""
        return click.option(
            f"--{self.name}",
            self.field,
            metavar="KEY=VALUE",
            multiple=True,
            callback=parse_labels,
            help=f"{self.text}; give it again for another.",
        )

    def to_set(self) -> Option:
        """The two options of `set`: labels that are named in neither stay."""
        remove = click.option(
            f"--no-{self.name}",
            f"no_{self.field}",
            metavar="KEY",
            multiple=True,
            callback=parse_keys,
            help=f"The key of a --{self.name} to remove; give it again for another.",
        )
        add = self.to_create()
        return lambda function: add(remove(function))


class AnySetting(Protocol):
    """A field as an option of `create` and of `set`."""

    @property
    def field(self) -> str:
        """Its name."""
        ...

    def to_create(self) -> Option:
        """The option of `create`."""
        ...

    def to_set(self) -> Option:
        """The options of `set`."""
        ...


def fixed(settings: Iterable[AnySetting]) -> tuple[str, ...]:
    """The fields of those that stay as they were created."""
    return tuple(each.field for each in settings if isinstance(each, Setting) and each.fixed)


def merge_patch(fields: Mapping[str, object]) -> dict[str, Any]:
    """The patch (RFC 7396) of what was given.

    None is left out, `Taken.OUT` is null; the keys of `no_labels` are null in `labels`.

    Raises:
        click.UsageError: a label is both given and taken out.
    """
    patch: dict[str, Any] = {
        name: None if value is Taken.OUT else value for name, value in present(fields).items()
    }
    for name in [name for name in patch if name.startswith("no_")]:
        field, removed = name.removeprefix("no_"), patch.pop(name)
        if both := sorted(removed.keys() & patch.get(field, {}).keys()):
            raise click.UsageError(f"label {both[0]!r} is both given and taken out")
        patch[field] = {**patch.get(field, {}), **removed}
    return nested(patch)


def nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields with those inside others where they belong: `qos__dscp` is `dscp` in `qos`."""
    made: dict[str, Any] = {}
    for name, value in fields.items():
        outer, inside, inner = name.partition(INSIDE)
        if inside:
            made.setdefault(outer, {})[inner] = value
        else:
            made[name] = value
    return made
