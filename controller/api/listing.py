"""Lists: `{"items": [...], "revision": N, "next": "..."}`, filtered, in pages of one revision."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel
from pydantic_core import to_json

from controller.answer import Answer
from controller.api import cursor
from controller.api.cursor import Cursor
from controller.api.parameter import Number, Parameter
from controller.exchange import argument, current
from controller.parts import parts
from controller.principal import principal
from controller.reading import Listing, Where, page, scan_at
from store.errors import Compacted, Invalid
from store.keys import Kind
from store.model import Value

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 10_000

LIMIT = Number(
    "limit",
    f"at most so many items, {DEFAULT_LIMIT} when not given",
    {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    example="500",
)
CURSOR = Parameter("cursor", "`next` of the page before, with the same filters")
PAGING = (LIMIT, CURSOR)

V = TypeVar("V", bound=Value)


def paged(kind: Kind[V], part: str | None = None, *, filters: Sequence[Parameter] = ()) -> Listing[V]:
    """The page that the request asks for, of the values whose key begins with this part; None is all.

    Raises:
        Problem: the cursor is of another list, or its revision is gone.
    """
    return page_at(begin(), kind, [kind.prefix() if part is None else kind.prefix(part)], filters)


def stored(kind: Kind[V], part: str | None = None, *, filters: Sequence[Parameter] = ()) -> Answer:
    """The answer that shows that page as its values are stored."""
    found = paged(kind, part, filters=filters)
    return render(found.values, found)


def begin() -> Cursor:
    """Where the page begins that the request asks for. Raises `Problem`."""
    given = argument(CURSOR.name)
    return Cursor() if given is None else cursor.parse(given, _scope())


def as_of(start: Cursor, kind: Kind[V]) -> Listing[V]:
    """Every value of a kind, of the revision that a page begins at. Raises `Problem` when it is gone."""
    with _of_a_revision(start):
        return scan_at(parts().store, kind, kind.prefix(), start.revision)


def page_at(
    start: Cursor, kind: Kind[V], prefixes: Sequence[str], filters: Sequence[Parameter]
) -> Listing[V]:
    """Likewise, of the values below any of these prefixes."""
    with _of_a_revision(start):
        return page(
            parts().store,
            kind,
            prefixes,
            limit=LIMIT.given(DEFAULT_LIMIT),
            after=start.after,
            revision=start.revision,
            where=[*_own(kind), *_wanted(filters)],
        )


@contextmanager
def _of_a_revision(start: Cursor) -> Iterator[None]:
    try:
        yield
    except (Compacted, Invalid):  # gone; or not there yet, as the store is an older copy of itself
        if not start.revision:
            raise
        raise cursor.expired() from None


def render(items: Sequence[BaseModel | Mapping[str, Any]], found: Listing[V]) -> Answer:
    """The answer that shows what was found: values, or their fields."""
    texts = to_json(items).decode()
    following = Cursor(found.revision, found.last_key).text(_scope()) if found.last_key else ""
    tail = f',"next":{json.dumps(following)}' if following else ""
    return Answer(f'{{"items":{texts},"revision":{found.revision}{tail}}}')


def _own(kind: Kind[V]) -> list[Where[V]]:
    """What a list holds for this caller: what exists for it."""
    scope = principal().scope
    return [] if scope.whole else [Where(scope.has, scope.marks(kind.model))]


def _wanted(filters: Sequence[Parameter]) -> list[Where[V]]:
    asked = current().arguments
    return [each.where(given) for each in filters if each.where for given in asked.get(each.name, ())]


def _scope() -> str:
    """What makes a list another one: the path and the filters, in whatever order they come."""
    given = sorted(
        (name, text)
        for name, texts in current().arguments.items()
        for text in texts
        if name not in {LIMIT.name, CURSOR.name}
    )
    return json.dumps([current().path, given])
