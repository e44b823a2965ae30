"""Documents in YAML or JSON, read strictly: what a person did not mean is refused, with file and line.

YAML is read as its version 1.2 reads it: `yes` is text, and so are dates and `64500:10`, which version 1.1
takes for a number to the base of sixty. Keys are texts and stand once. Merge keys are refused and aliases
counted, so that a small file cannot become a large one.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.failure import Exit, Failure

if TYPE_CHECKING:
    import yaml

MAX_BYTES = 16 << 20
MAX_VALUES = 1_000_000
"""Values in one file, those behind an alias counted each time it stands."""
MAX_DEPTH = 64
SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = "-"
JSON_BEGINS = re.compile(r'[\s[]*\{\s*["}]')
"""An object whose first key is in quotes, or a list of such. YAML may begin with `{kind: pool}`."""

ADVICE = "correct the file; nothing was changed"


class Fields(dict[str, Any]):
    """A mapping that knows the line of each of its keys; JSON's know only where the document begins."""

    lines: dict[str, int]


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    Args:
        source: the file, as it was named.
        number: which of the file's documents it is, from 1.
        line: where it begins, from 1.
        fields: what it holds.
    """

    source: str
    number: int
    line: int
    fields: Fields

    def place(self, *path: str) -> str:
        """Where a field of it is, or else the one around it: `site.yaml, document 2, line 7`."""
        line, inside = self.line, self.fields
        for key in path:
            if not isinstance(inside, Fields) or key not in inside:
                break
            line, inside = inside.lines.get(key, line), inside[key]
        return f"{self.source}, document {self.number}, line {line}"

    def failure(self, what: str, *path: str, code: Exit = Exit.USAGE, advice: str = ADVICE) -> Failure:
        """The failure that this is wrong with it."""
        named = f", {'.'.join(path)}" if path else ""
        return Failure(f"{self.place(*path)}{named}: {what}", code=code, advice=advice)


def plain(value: Any) -> Any:
    """The value without the lines, as others take it."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value


def read_documents(names: Iterable[str]) -> list[Document]:
    """The documents of these files and directories; `-` is standard input.

    Of a directory the files that end in `SUFFIXES`, by name, without those of the directories in it.

    Raises:
        Failure: usage; a file cannot be read or is not what it should be.
    """
    return [each for name in names for file in _files(name) for each in _read(file)]


def parse(text: str, source: str, example: str = "kind: pool") -> list[Document]:
    """The documents of a text: JSON when it begins like it, else YAML. Empty documents are left out.

    Raises `Failure` (usage); where one has no fields it shows the `example`.
    """
    is_json = JSON_BEGINS.match(text) is not None
    found = [
        document
        for number, line, value in (_json if is_json else _yaml)(text, source)
        for document in _documents(source, number, line, value, example)
    ]
    for document in found:
        _bounded(document)
    return found


def _documents(source: str, number: int, line: int, value: object, example: str) -> Iterator[Document]:
    """The one that a value is; of a list, those that are in it."""
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, Fields):
            where = f"{source}, document {number}, line {line}"
            raise Failure(f"{where}: expected fields such as `{example}`", code=Exit.USAGE, advice=ADVICE)
        yield Document(source, number, line, each)


def _files(name: str) -> list[str]:
    path = Path(name)
    if name == STANDARD_INPUT or not path.is_dir():
        return [name]
    files = sorted(str(each) for each in path.iterdir() if each.suffix in SUFFIXES and each.is_file())
    if not files:
        raise Failure(
            f"{name} holds no file that ends in {', '.join(SUFFIXES)}",
            code=Exit.USAGE,
            advice="name the files",
        )
    return files


def _read(name: str) -> list[Document]:
    shown, text = read_text(name)
    return parse(text, shown)


def read_text(name: str) -> tuple[str, str]:
    """A file as it is called in messages, and its text; `-` is standard input.

    Raises:
        Failure: usage; it cannot be read.
    """
    shown = "standard input" if name == STANDARD_INPUT else name
    try:
        if name == STANDARD_INPUT:
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(name).open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise Failure(f"{shown} is larger than {MAX_BYTES >> 20} MiB", code=Exit.USAGE, advice="split it")
        text = raw.decode("utf-8-sig")
    except OSError as fault:
        raise Failure(
            f"{shown}: {fault.strerror}", code=Exit.USAGE, advice="name a file that is there"
        ) from None
    except UnicodeDecodeError as fault:
        raise Failure(f"{shown}: byte {fault.start} is not UTF-8", code=Exit.USAGE, advice=ADVICE) from None
    return shown, text


def _bounded(document: Document) -> None:
    """Refuse what is too large or too deep once its aliases are written out."""
    left = MAX_VALUES
    stack: list[tuple[object, int]] = [(document.fields, 0)]
    while stack:
        value, depth = stack.pop()
        left -= 1
        if left < 0 or depth > MAX_DEPTH:
            raise document.failure(f"holds more than {MAX_VALUES} values, or is deeper than {MAX_DEPTH}")
        if isinstance(value, dict):
            stack += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list):
            stack += [(each, depth + 1) for each in value]


def _json(text: str, source: str) -> Iterator[tuple[int, int, object]]:
    at, number = 0, 0
    while at < len(text) and (rest := text[at:].lstrip()):
        at = len(text) - len(rest)
        number += 1
        line = text.count("\n", 0, at) + 1
        try:
            value, at = json.JSONDecoder(
                object_pairs_hook=_pairs(line), parse_constant=_no_constant
            ).raw_decode(text, at)
        except json.JSONDecodeError as fault:
            raise _unreadable(source, number, fault.lineno, fault.msg) from None
        except (ValueError, RecursionError) as fault:
            what = "is nested too deep" if isinstance(fault, RecursionError) else str(fault)
            raise _unreadable(source, number, line, what) from None
        yield number, line, value


def _pairs(line: int) -> Callable[[list[tuple[str, Any]]], Fields]:
    def fields(pairs: list[tuple[str, Any]]) -> Fields:
        made = Fields(pairs)
        if len(made) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for place, key in enumerate(keys) if key in keys[:place])
            raise ValueError(f"the key {twice!r} stands twice")
        made.lines = dict.fromkeys(made, line)
        return made

    return fields


def _no_constant(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _yaml(text: str, source: str) -> Iterator[tuple[int, int, object]]:
    import yaml

    number = 1
    try:
        loader = _loader()(text)
        while loader.check_node():
            node = loader.get_node()
            value = None if node is None else loader.construct_document(node)
            if node is not None and value is not None:
                yield number, node.start_mark.line + 1, value
            number += 1
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise _unreadable(source, number, mark.line + 1 if mark else 1, fault.problem or "") from None
    except yaml.reader.ReaderError as fault:
        line = text.count("\n", 0, fault.position) + 1
        raise _unreadable(source, number, line, f"character {fault.character!a}: {fault.reason}") from None
    except RecursionError:
        raise _unreadable(source, number, 1, "is nested too deep") from None


def _unreadable(source: str, number: int, line: int, what: str) -> Failure:
    return Failure(f"{source}, document {number}, line {line}: {what}", code=Exit.USAGE, advice=ADVICE)


@cache
def _loader() -> type[yaml.SafeLoader]:
    """A safe loader with the rules of this module."""
    import yaml

    class Strict(yaml.SafeLoader):
        """Builds `Fields`, and refuses what is no plain data."""

        yaml_implicit_resolvers: dict[str, Any] = {}

    def mapping(loader: Strict, node: yaml.MappingNode) -> Fields:
        made = Fields()
        made.lines = {}
        for key_node, value_node in node.value:
            key = loader.construct_object(key_node, deep=True)
            if key == "<<":
                raise _wrong("merge keys are not read; write the fields out", key_node)
            if not isinstance(key, str):
                raise _wrong(f"the key {key!r} is no text; write it in quotes", key_node)
            if key in made:
                raise _wrong(f"the key {key!r} stands twice", key_node)
            made[key] = loader.construct_object(value_node, deep=True)
            made.lines[key] = key_node.start_mark.line + 1
        return made

    def _wrong(what: str, node: yaml.Node) -> yaml.constructor.ConstructorError:
        return yaml.constructor.ConstructorError(None, None, what, node.start_mark)

    Strict.add_constructor("tag:yaml.org,2002:map", mapping)
    for tag, pattern, first in (
        ("null", r"~|null|", ["~", "n", ""]),
        ("bool", r"true|false", list("tf")),
        ("int", r"[-+]?(0|[1-9][0-9]{0,99})", list("-+0123456789")),
        ("float", r"[-+]?(0|[1-9][0-9]*)\.[0-9]+([eE][-+][0-9]+)?", list("-+0123456789")),
    ):
        Strict.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
    return Strict


def echo_read_nothing(documents: list[Document]) -> None:
    """Say on standard error that the files hold no document: an empty file is seldom meant."""
    if not documents:
        click.echo("polder: the files hold no document", err=True)
