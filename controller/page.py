"""/docs: the document of the API as one page for people, made once, that needs no network and no framework.

Its only script hides what does not match the search. Both script and style are known by their hashes, so
that the page allows nothing else to run (Content-Security-Policy).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from controller.cures import CURES
from controller.problem import TITLES

Document = Mapping[str, Any]

STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
code,pre{font-family:ui-monospace,monospace;font-size:.875em}
pre{background:var(--soft);padding:.75rem;overflow-x:auto;border-radius:4px}
input{font:inherit;width:100%;padding:.5rem;box-sizing:border-box;border:1px solid var(--line)}
header{position:sticky;top:0;background:Canvas;padding:.5rem 0;z-index:1}
details{border-top:1px solid var(--line);padding:.5rem 0}
summary{cursor:pointer}
summary b{display:inline-block;min-width:4.5rem;font-family:ui-monospace,monospace}
table{border-collapse:collapse;width:100%;margin:.5rem 0}
td,th{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;border-top:1px solid var(--soft)}
[hidden]{display:none}
"""

SCRIPT = """
const box=document.getElementById("search");
const parts=[...document.querySelectorAll("[data-text]")];
const find=()=>{const words=box.value.toLowerCase().split(/\\s+/);
for(const each of parts)each.hidden=!words.every(word=>each.dataset.text.includes(word))};
box.addEventListener("input",find);
const open=()=>{const there=document.getElementById(location.hash.slice(1));if(there)there.open=true};
addEventListener("hashchange",open);open();
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page(document: Document) -> str:
    """The page that shows a document made by `controller.openapi`."""
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    models = [_model(name, schema) for name, schema in sorted(document["components"]["schemas"].items())]
    problems = [_problem(kind) for kind in TITLES]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Polder API</title>'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{STYLE}</style></head><body><header><h1>Polder API</h1>"
        '<input id="search" type="search" placeholder="Search paths, fields, problems" aria-label="Search">'
        "</header><p>For machines: <code>/v1/openapi.json</code>. Bodies are JSON; errors are "
        "<code>application/problem+json</code> (RFC 9457).</p>"
        f"{_section('Operations', operations)}{_section('Problems', problems)}{_section('Models', models)}"
        f"<script>{SCRIPT}</script></body></html>"
    )


def _section(title: str, parts: Iterable[str]) -> str:
    return f'<h2 id="{title.lower()}">{title}</h2>{"".join(parts)}'


def _part(anchor: str, summary: str, body: str, text: str) -> str:
    searched = escape(text.lower(), quote=True)
    return (
        f'<details id="{escape(anchor, quote=True)}" data-text="{searched}"><summary>{summary}</summary>'
        f"{body}</details>"
    )


def _operation(path: str, method: str, operation: Document) -> str:
    summary = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
    body = "".join(
        (
            f"<p>{escape(operation.get('description', ''))}</p>",
            _parameters(operation["parameters"]),
            _request(operation.get("requestBody")),
            _table(("answer", "", ""), map(_answer, operation["responses"].items())),
        )
    )
    names = " ".join(each["name"] for each in operation["parameters"])
    return _part(operation["operationId"], summary, body, f"{method} {path} {operation['summary']} {names}")


def _parameters(parameters: Iterable[Document]) -> str:
    rows = [
        (
            f"<code>{escape(each['name'])}</code>",
            escape(each["in"] + (", required" if each["required"] else "")),
            escape(each.get("description", "")) + _sample(each.get("example")),
        )
        for each in parameters
    ]
    return _table(("parameter", "in", ""), rows)


def _sample(example: Any) -> str:
    if not example:
        return ""
    return f" <code>{escape(' '.join(example) if isinstance(example, list) else str(example))}</code>"


def _request(request: Document | None) -> str:
    if request is None:
        return ""
    kind, content = next(iter(request["content"].items()))
    text = json.dumps(content["example"], indent=2)
    return f"<p>Body, <code>{escape(kind)}</code>:</p><pre>{escape(text)}</pre>"


def _answer(answer: tuple[str, Document]) -> tuple[str, str, str]:
    status, described = answer
    contents: list[Document] = list(described.get("content", {}).values())
    schema: Document = contents[0].get("schema", {}) if contents else {}
    headers = ", ".join(described.get("headers", {}))
    return (
        f"<b>{status}</b>",
        escape(described["description"]) + (f" ({escape(headers)})" if headers else ""),
        _type(schema),
    )


def _type(schema: Document) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2], quote=True)
        return f'<a href="#{name}">{name}</a>'
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " or ".join(map(_type, choices))
    if "enum" in schema:
        return escape(" | ".join(map(str, schema["enum"])))
    if schema.get("type") == "array" and "items" in schema:
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object" and "items" in schema.get("properties", {}):
        return _type(schema["properties"]["items"])
    return escape(str(schema.get("type", "")))


def _model(name: str, schema: Document) -> str:
    rows = [
        (
            f"<code>{escape(field)}</code>",
            _type(described) + ("" if field in schema.get("required", ()) else ", optional"),
            escape(described.get("description", "")),
        )
        for field, described in schema.get("properties", {}).items()
    ]
    about = f"<p>{escape(schema.get('description', ''))}</p>"
    body = about + (_table(("field", "", ""), rows) if rows else f"<p>{_type(schema)}</p>")
    fields = " ".join(schema.get("properties", {}))
    return _part(name, f"<code>{escape(name)}</code>", body, f"{name} {fields}")


def _problem(kind: str) -> str:
    (status, title), cure = TITLES[kind], CURES.get(kind, "")
    summary = f"<b>{status}</b> <code>/problems/{kind}</code> {escape(title)}"
    return _part(f"problem-{kind}", summary, f"<p>{escape(cure)}</p>", f"{status} {kind} {title} {cure}")


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["".join(f"<td>{cell}</td>" for cell in row) for row in rows]
    if not lines:
        return ""
    top = "".join(f"<th>{head}</th>" for head in heads)
    return f"<table><tr>{top}</tr>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"
