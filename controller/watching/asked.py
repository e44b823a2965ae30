"""Whether a request asks to watch: one decision, for the gateway and for the application.

The gateway has to know before the application reads the request, since what waits for long has to be on a
stack of the loop (`controller.waiting`): in a thread it would keep that from all others. The application
watches only where this says so, so that no watch is anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from falcon import InvalidMediaRange
from falcon.uri import parse_query_string
from falcon.util.mediatypes import quality

from controller.answer import JSON

EVENT_STREAM = "text/event-stream"

NOUNS = (
    "pools",
    "nodes",
    "peers",
    "services",
    "policies",
    "tenants",
    "endpoints",
    "blocks",
    "addresses",
    "tokens",
    "events",
    "drains",
)
PATHS = frozenset(f"/v1/{noun}" for noun in NOUNS)
"""Where there is something to watch; a test holds them to what the nouns declare."""


def is_asked(environ: Mapping[str, Any]) -> bool:
    """Whether the request with this WSGI environment (PEP 3333) asks to watch."""
    if environ["REQUEST_METHOD"] != "GET" or environ["PATH_INFO"] not in PATHS:
        return False
    given = parse_query_string(environ.get("QUERY_STRING", ""), keep_blank=True)
    return "watch" in given or _streams(environ.get("HTTP_ACCEPT", "").lower())


def _streams(accept: str) -> bool:
    """Whether an Accept header names a stream and likes it no less than a list (RFC 9110 §12.5.1)."""
    if EVENT_STREAM not in accept:  # `*/*` is what those send who know of none
        return False
    try:
        liked = quality(EVENT_STREAM, accept)
        return liked > 0 and liked >= quality(JSON, accept)
    except InvalidMediaRange:
        return False
