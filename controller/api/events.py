"""/v1/events: what happened, kept for some hours. Read only."""

from __future__ import annotations

from datetime import timedelta

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation
from controller.api.parameter import Number, Parameter, named, one_of
from controller.parts import parts
from controller.reading import Where
from controller.watching.topic import Topic
from store import keys
from store.model import Event, Severity

events = Noun()

MAX_AGE_S = 7 * 86_400


def _young(given: str) -> Where[Event]:
    since = parts().clock() - timedelta(seconds=MAX_AGE.value(given))
    return Where(lambda event: event.at >= since)


MAX_AGE = Number(
    "max_age_s",
    "only events of the last so many seconds; not with a watch",
    {"type": "integer", "minimum": 0, "maximum": MAX_AGE_S},
    example="3600",
    where=_young,
)
FILTERS = (
    named("noun", "only events about such things: pool, node, uplink, endpoint, address, session", "node"),
    Parameter(
        "name",
        "only events about the thing of this name",
        example="node-1",
        where=lambda given: Where(lambda event: event.name == given),
    ),
    one_of("severity", "only events that matter so much", Severity),
    named("reason", "only events of this kind", "node-lost"),
    named("node", "only events of this node", "node-1"),
    named("tenant", "only events of this tenant", "shop"),
    MAX_AGE,
)


@events.operation(
    Operation(
        "GET",
        "/v1/events",
        "List events",
        {200: Event},
        query=(*listing.PAGING, *FILTERS),
        topic=Topic(keys.EVENTS),
    )
)
def list_events() -> Answer:
    """The events that are kept, oldest first."""
    return listing.stored(keys.EVENTS, filters=FILTERS)
