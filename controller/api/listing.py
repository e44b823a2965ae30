"""Lists: `{"items": [...], "revision": N}`, in pages where a limit is given, filtered where asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TypeVar

from flask import request
from pydantic import BaseModel

from controller.api.noun import Answer
from controller.problem import Fault, Problem
from controller.reading import Listing, page
from controller.services import services
from store.keys import Kind
from store.model import Value

MAX_LIMIT = 10_000

PAGING: Mapping[str, str] = {
    "limit": f"at most so many items, 1 to {MAX_LIMIT}; all of them when not given",
    "after": "only items behind this name: `next` of the page before",
}

V = TypeVar("V", bound=Value)


def paged(kind: Kind[V], *parts: object) -> Listing[V]:
    """The page of a kind that the request asks for."""
    after = request.args.get("after", "")
    key = kind.key(*parts, after) if after else ""
    return page(services().store, kind, *parts, limit=_limit(), after=key)


def render(items: Iterable[BaseModel], revision: int, following: str = "") -> Answer:
    """The answer that holds these items; `following` is the `after` of the next page."""
    texts = ",".join(item.model_dump_json() for item in items)
    tail = f',"next":{json.dumps(following)}' if following else ""
    return Answer(f'{{"items":[{texts}],"revision":{revision}{tail}}}')


def following(kind: Kind[V], listing: Listing[V]) -> str:
    """The `after` of the next page; empty on the last."""
    parts = kind.parts(listing.last_key) if listing.last_key else None
    return parts[-1] if parts else ""


def _limit() -> int:
    text = request.args.get("limit")
    if text is None:
        return 0
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= MAX_LIMIT:
        return int(text)
    detail = f"expected a whole number from 1 to {MAX_LIMIT}"
    raise Problem("invalid", f"limit: {detail}", errors=[Fault(detail, parameter="limit")])
