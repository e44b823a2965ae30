"""What the fields of models, and words that are chosen from, mean: the text below each in the code."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import lru_cache
from types import ModuleType
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

MEANT = "x-meant"


class Worded(GenerateJsonSchema):
    """Schemas of models with the texts of their fields as descriptions."""

    def model_schema(self, schema: Any) -> dict[str, Any]:
        """That of one model; of a nested one too."""
        made: dict[str, Any] = super().model_schema(schema)
        for name, text in field_words(schema["cls"]).items():
            if name in made.get("properties", ()):
                made["properties"][name].setdefault("description", text)
        return made

    def enum_schema(self, schema: Any) -> dict[str, Any]:
        """That of a set of words: below its own text each word with what it means, where that is said."""
        made: dict[str, Any] = super().enum_schema(schema)
        words = field_words(schema["cls"])
        made[MEANT] = [
            f"`{each.value}`: {words[each.name]}" for each in schema["members"] if each.name in words
        ]
        return made

    def generate_definitions(self, inputs: Any) -> Any:
        """All of them. What words mean follows here: the description of their set is written over late."""
        places, found = super().generate_definitions(inputs)
        for each in found.values():
            if meant := each.pop(MEANT, []):
                each["description"] = "\n".join((each.get("description", ""), *meant))
        return places, found


def field_words(model: type) -> dict[str, str]:
    """The texts of a class's own fields, or members, and of those that it inherits, by name."""
    words: dict[str, str] = {}
    for each in reversed(model.__mro__):
        module = sys.modules.get(each.__module__)
        if module is not None and each.__module__.partition(".")[0] in {"controller", "store"}:
            words |= _of_module(module).get(each.__name__, {})
    return words


@lru_cache
def _of_module(module: ModuleType) -> dict[str, dict[str, str]]:
    """The texts of the fields of each class at the top of a module."""
    tree = ast.parse(inspect.getsource(module))
    return {each.name: dict(_of_class(each)) for each in tree.body if isinstance(each, ast.ClassDef)}


def _of_class(found: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(found.body, found.body[1:], strict=False):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, " ".join(text.split())
