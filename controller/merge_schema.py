"""The JSON schema of a merge patch (RFC 7396), made from that of what it is applied to. Pure.

A patch may leave out everything, also inside of an object, and null takes a field away that need not be
there. It has no defaults: what is absent stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Schema = Mapping[str, Any]

NOT_OF_PATCHES = frozenset({"default", "required", "minProperties", "maxProperties"})
"""What a whole value has, and has to have, a part of it need not."""

NULL: Schema = {"type": "null"}


def merge_schema(model: Schema, fields: Iterable[str], schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """What a patch of an object may be.

    Args:
        model: the schema of the object.
        fields: those that can be changed.
        schemas: what its references lead to, by the last part of each.
    """
    properties = {name: _field(model, name, schemas) for name in fields}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _field(model: Schema, name: str, schemas: Mapping[str, Schema]) -> Schema:
    given = _patched(model["properties"][name], schemas)
    return given if name in model.get("required", ()) else _or_null(given)


def _patched(schema: Schema, schemas: Mapping[str, Schema]) -> dict[str, Any]:
    """What may stand in place of a value: an array and what is no object is given whole."""
    whole = _resolved(schema, schemas)
    found = {key: value for key, value in whole.items() if key not in NOT_OF_PATCHES}
    if "anyOf" in whole:
        found["anyOf"] = [_patched(each, schemas) for each in whole["anyOf"]]
    if "properties" in whole:
        found["properties"] = {name: _field(whole, name, schemas) for name in whole["properties"]}
    if "patternProperties" in whole:
        found["patternProperties"] = {
            pattern: _or_null(_patched(value, schemas))
            for pattern, value in whole["patternProperties"].items()
        }
    return found


def _resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """An object in place of a reference to one."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if schemas.get(name, {}).get("type") != "object":
        return schema
    return {**schemas[name], **{key: value for key, value in schema.items() if key != "$ref"}}


def _or_null(schema: Schema) -> Schema:
    if NULL in schema.get("anyOf", ()):
        return schema
    # Not as one more of its own choices: what stands beside those holds for all of them.
    return {"anyOf": [schema, NULL]}
