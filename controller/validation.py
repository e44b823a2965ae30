"""From bytes to a checked value, or to a problem that says in plain words what is wrong and where.

pydantic finds the faults; its own wording is replaced, as it speaks of Python types to people who sent
JSON. A rule over several fields begins its message with the field it is about, which gives the pointer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, from_json

from controller.problem import Fault, Problem, quoted

M = TypeVar("M", bound=BaseModel)

NESTED = (dict, list)

MAX_FAULTS = 100
"""More of them help nobody. And so many are not even looked for: an array is left at its first wrong element
(`fail_fast`), and no object has more than `MAX_FIELDS`, for a body of 4 MiB can hold two million faults, and
pydantic makes 2 KB of each in one go."""

MAX_FIELDS = 1000
TOO_MANY = float("inf")

SHAPES: Mapping[str, str] = {
    r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$": (
        "1 to 63 lower-case letters, digits, dots and hyphens, with a letter or digit at both ends"
    ),
    r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$": (
        "1 to 128 letters, digits, dots, underscores and hyphens, with a letter or digit at both ends"
    ),
    r"^[A-Za-z0-9]([A-Za-z0-9._/-]{0,126}[A-Za-z0-9])?$": (
        "a label key: 1 to 128 letters, digits and ._/- with a letter or digit at both ends"
    ),
    r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$": (
        "a label value: up to 63 letters, digits and ._- with a letter or digit at both ends"
    ),
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$": (
        "the name of a network interface: up to 15 letters, digits, dots, underscores and hyphens"
    ),
    r"^[0-9a-f]{32}$": "the uid of an endpoint: 32 digits of 0-9a-f",
}
"""The patterns of `store.model.value` in words; a test holds the two together."""

Words = Callable[[Mapping[str, Any]], str]

WORDS: Mapping[str, Words] = {
    "missing": lambda ctx: "is required",
    "int_type": lambda ctx: "expected a whole number",
    "string_type": lambda ctx: "expected text",
    "bool_type": lambda ctx: "expected true or false",
    "dict_type": lambda ctx: "expected an object",
    "tuple_type": lambda ctx: "expected an array",
    "model_type": lambda ctx: "expected an object",
    "greater_than_equal": lambda ctx: f"expected at least {ctx['ge']}",
    "less_than_equal": lambda ctx: f"expected at most {ctx['le']}",
    "string_pattern_mismatch": lambda ctx: f"expected {SHAPES.get(ctx['pattern'], ctx['pattern'])}",
    "ip_v4_address": lambda ctx: "expected an IPv4 address as text, such as 192.0.2.1",
    "enum": lambda ctx: f"expected {ctx['expected']}",
    "too_short": lambda ctx: f"expected at least {ctx['min_length']} of them",
    "too_long": lambda ctx: _too_many(ctx["max_length"], ctx["actual_length"]),
    "value_error": lambda ctx: str(ctx["error"]),
}


def _too_many(most: int, given: int | None) -> str:
    """`given` is None for an object, whose fields are not counted to the end."""
    return f"expected at most {most} of them, not {'more' if given is None else given}"


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises `Problem`."""
    try:
        given = from_json(data, allow_inf_nan=False)
    except ValueError as fault:
        if "recursion" in str(fault):
            raise Problem("too-deep", "the body is nested too deeply; no value is so deep") from None
        detail = f"the body is not JSON: {fault}" if data else "the body is empty; expected a JSON object"
        raise Problem("malformed", detail) from None
    # RFC 8259 §4 leaves open which of two fields of one name counts; so neither does. No fast parser tells.
    fields = _fields(given)
    if fields == TOO_MANY:
        place, detail = _wide(given) or "", f"expected at most {MAX_FIELDS} fields in one object"
        raise Problem("invalid", f"{place[1:] or 'body'}: {detail}", errors=[Fault(detail, place)])
    if data.count(b":") != fields:
        _TWINS.decode(data.decode())
    if not isinstance(given, dict):
        detail = f"expected a JSON object, not {_json_type(given)}"
        raise Problem("invalid", detail, errors=[Fault(detail, "")])
    return given


def _wide(given: Any, *path: str | int) -> str | None:
    """Where an object has too many fields; None when none has."""
    if isinstance(given, dict) and len(given) > MAX_FIELDS:
        return pointer(path)
    parts = given.items() if isinstance(given, dict) else enumerate(given) if isinstance(given, list) else ()
    inner = (_wide(each, *path, name) for name, each in parts if isinstance(each, NESTED))
    return next((found for found in inner if found is not None), None)


def _fields(given: Any) -> float:
    """How many fields a document has; `TOO_MANY` when one object of it has more than `MAX_FIELDS`.

    Each has a colon: with as many of these none is given twice.
    """
    if isinstance(given, dict):
        if len(given) > MAX_FIELDS:
            return TOO_MANY
        return len(given) + sum([_fields(each) for each in given.values() if isinstance(each, NESTED)])
    return sum(map(_fields, given)) if isinstance(given, list) else 0


def _refuse_twins(pairs: list[tuple[str, Any]]) -> None:
    names = {name for name, _ in pairs}
    if len(names) < len(pairs):
        twin = next(name for index, (name, _) in enumerate(pairs) if name in dict(pairs[:index]))
        raise Problem("duplicate-key", f"the field {twin[:128]!r} is given twice in one object; give it once")


_TWINS = json.JSONDecoder(object_pairs_hook=_refuse_twins)


def validate(model: type[M], given: Mapping[str, Any]) -> M:
    """A value of the model. Raises `Problem` that lists every fault."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        places = [each["loc"] for each in errors]
        faults = [
            _fault(model, each) for each in errors[:MAX_FAULTS] if not _is_too_short_of_faults(each, places)
        ]
    raise Problem("invalid", _summary(faults), errors=faults)


def refuse_told(given: Mapping[str, Any], told: Set[str]) -> None:
    """Refuse what is only told, and so cannot be written. Raises `Problem`."""
    detail = "is told by the server and cannot be written; leave it out"
    if faults := [Fault(detail, pointer((name,))) for name in given if name in told]:
        raise Problem("invalid", _summary(faults), errors=faults)


def merge(model: type[M], current: M, patch: Mapping[str, Any], mutable: Sequence[str]) -> M:
    """The value after a merge patch (RFC 7396).

    Raises:
        Problem: a field is unknown or cannot be changed, or the result is not valid.
    """
    document = current.model_dump(mode="json")
    merged = _merged(model, document, patch)
    kept = [name for name in document if name not in mutable and _stays(model, document, merged, name)]
    merged |= {name: document[name] for name in kept}
    _refuse_fixed(document, merged, mutable)
    return validate(model, merged)


def replaced(current: M, wanted: M, mutable: Sequence[str]) -> M:
    """`wanted` in place of `current`. Raises `Problem` when they differ in what cannot be changed."""
    _refuse_fixed(current.model_dump(mode="json"), wanted.model_dump(mode="json"), mutable)
    return wanted


def pointer(path: Sequence[str | int]) -> str:
    """A JSON pointer (RFC 6901); the empty path is the whole document."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _refuse_fixed(current: Mapping[str, Any], wanted: Mapping[str, Any], mutable: Sequence[str]) -> None:
    faults = [
        Fault(f"cannot be changed (it is {quoted(value)}); only {', '.join(mutable)} can", pointer((name,)))
        for name, value in current.items()
        if name not in mutable and wanted.get(name) != value
    ]
    if faults:
        raise Problem("invalid", _summary(faults), errors=faults)


def _stays(model: type[BaseModel], document: Mapping[str, Any], merged: Mapping[str, Any], name: str) -> bool:
    """Whether a field that cannot be changed is as it was, however it is written. A list of such has one part
    of each address family: its order says nothing."""
    if name in merged and merged[name] == document[name]:
        return True
    others = {other: value for other, value in document.items() if other != name}
    given = {name: merged[name]} if name in merged else {}
    try:
        written = model.model_validate({**others, **given}).model_dump(mode="json").get(name)
    except ValidationError:
        return False
    return bool(_unordered(written) == _unordered(document[name]))


def _unordered(value: Any) -> Any:
    return sorted(value) if isinstance(value, list) else value


def _merged(model: type[BaseModel] | None, target: Any, patch: Mapping[str, Any]) -> dict[str, Any]:
    """`model` is None where any name can be a field. What it does not know stays, for its check to refuse."""
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None and (model is None or name in model.model_fields):
            result.pop(name, None)
        elif isinstance(value, dict):
            part = _part_of(model, (name,)) if model is not None else None
            result[name] = _merged(part if part is not model else None, result.get(name), value)
        else:
            result[name] = value
    return result


def _is_too_short_of_faults(error: ErrorDetails, places: Sequence[tuple[int | str, ...]]) -> bool:
    """Whether an array is too short only because elements of it are wrong."""
    array = error["loc"]
    return error["type"] == "too_short" and any(
        len(each) > len(array) and each[: len(array)] == array for each in places
    )


def _fault(model: type[BaseModel], error: ErrorDetails) -> Fault:
    path = [part for part in error["loc"] if part != "[key]"]
    context = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        return Fault(_unknown_field(_part_of(model, path[:-1]), str(path[-1])), pointer(path))
    known = WORDS.get(error["type"])
    words = known(context) if known else error["msg"]
    about = re.match(r"[a-z_]+", words)
    part = _part_of(model, path)
    whole = not path or isinstance(path[-1], int) or part is not _part_of(model, path[:-1])
    if whole and about and about[0] in part.model_fields:
        path = [*path, about[0]]
    return Fault(words, pointer(path))


def _part_of(model: type[BaseModel], path: Sequence[str | int]) -> type[BaseModel]:
    """The model that stands at a path: of a field, or of the elements of a list."""
    for part in path:
        known = model.model_fields.get(str(part))
        inner = [known.annotation, *get_args(known.annotation)] if known else []
        model = next(
            (each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)), model
        )
    return model


def _unknown_field(model: type[BaseModel], name: str) -> str:
    fields = list(model.model_fields)
    near = get_close_matches(name, fields, n=1)
    return (
        f"unknown field; did you mean {near[0]}?"
        if near
        else f"unknown field; the fields are {', '.join(fields)}"
    )


def _summary(faults: Sequence[Fault]) -> str:
    return "; ".join(f"{(fault.pointer or '')[1:] or 'body'}: {fault.detail}" for fault in faults[:3]) + (
        f"; and {len(faults) - 3} more" if len(faults) > 3 else ""
    )


def _json_type(given: Any) -> str:
    names = {list: "an array", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(given), "null")
