"""Watches over HTTP: server-sent events, and long polls.

A list tells its revision; `since` that revision a watch tells all that came after it, so that between
list and watch nothing is missed. Whoever comes back with the id of the last event he got, at this
controller or another, gets what followed it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain, islice

from controller.answer import Answer
from controller.api.parameter import Number, Parameter
from controller.exchange import argument, current, header
from controller.parts import parts
from controller.principal import principal
from controller.problem import Problem, invalid_parameter
from controller.reading import scan
from controller.watching import asked
from controller.watching.change import PLACE, Place, Told, parse_place
from controller.watching.hub import Hub, revision_now
from controller.watching.hubs import Hubs
from controller.watching.subscription import End, Subscription, Wanted
from controller.watching.topic import Topic
from store.client import Store

EVENTS = f"{asked.EVENT_STREAM}; charset=utf-8"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
HEARTBEAT_S = 15.0
AT_ONCE = 256
"""Events that are given to the connection at a time."""

STREAM_S = 1800.0
"""A stream ends then, and its client comes back."""

DEFAULT_WAIT_S = 30
LOOK_S = 1.0
"""A poll waits so long at the least: the watch that it began must have time to tell what is past."""

WATCH = Parameter(
    "watch",
    "`sse`: the list and then each change, as server-sent events; `poll`: the changes since a revision",
    {"type": "string", "enum": ["sse", "poll"]},
    example="sse",
)
SINCE = Parameter(
    "since",
    "with a watch: only what came after this, the `revision` of a list or the id of an event",
    {"type": "string", "pattern": PLACE},
    "the revision of a list, or the id of an event",
    "1234",
)
WAIT_S = Number(
    "wait_s",
    f"with `watch=poll`: seconds to wait for a change, {DEFAULT_WAIT_S} when not given; 0 counts as 1",
    {"type": "integer", "minimum": 0, "maximum": 60, "default": DEFAULT_WAIT_S},
    example="30",
)
PARAMETERS = (WATCH, SINCE, WAIT_S)
ONLY_LISTS = ("limit", "cursor", "max_age_s")
ONLY_WATCHES = (SINCE.name, WAIT_S.name)

ENDS: Mapping[End, str] = {
    End.EXPIRED: "what came after that revision is no longer known; list again and watch from there",
    End.SLOW: "more happens than this connection takes; go on with Last-Event-ID",
    End.CLOSING: "this controller ends the stream; go on with Last-Event-ID, here or at another",
}


@dataclass(frozen=True, slots=True)
class _Watch:
    """What a request wants to watch, and since when: None is from a list on."""

    topic: Topic
    hubs: Hubs
    hub: Hub
    wanted: Wanted
    place: Place | None


def is_asked() -> bool:
    """Whether the request that is handled now wants to watch.

    Raises:
        Problem: it does not, and says since when.
    """
    if asked.is_asked(current().env):
        return True
    if unfit := [name for name in ONLY_WATCHES if name in current().arguments]:
        raise invalid_parameter(unfit[0], "is for a watch, not for lists; give watch=sse or watch=poll too")
    return False


def answer(topic: Topic, filters: Sequence[Parameter]) -> Answer:
    """The stream or the changes that this request asks for.

    Args:
        topic: what is watched.
        filters: the parameters that say which things of it.

    Raises:
        Problem: it cannot be watched so, or no longer since then.
    """
    if unfit := [name for name in ONLY_LISTS if name in current().arguments]:
        raise invalid_parameter(unfit[0], "is for lists, not for a watch")
    current().give_back()  # who watches has a place among those instead
    hubs = parts().hubs
    watch = _Watch(topic, hubs, hubs.of(topic), _wanted(filters), _place())
    if not hubs.places.acquire(blocking=False):
        raise Problem("busy", "too many watch already", retry_after_s=5)
    with ExitStack() as undo:
        undo.callback(hubs.places.release)
        if argument("watch") == "poll":
            return _poll(watch, undo)
        events = _stream(watch, undo)
        return Answer(_Stream(events, undo.pop_all()), media_type=EVENTS, headers=HEADERS)


def _poll(watch: _Watch, undo: ExitStack) -> Answer:
    wait_s = WAIT_S.given(DEFAULT_WAIT_S)
    if watch.place is None:
        raise invalid_parameter(
            "since", "is required with watch=poll: the `revision` of a list, or of the last poll"
        )
    subscription = watch.hub.subscribe(watch.place, watch.wanted)
    undo.callback(watch.hub.leave, subscription)
    told = subscription.take(max(wait_s, LOOK_S))
    if not principal().lasts():
        raise Problem("unauthorized", "this token ended while it waited")
    if not told and subscription.ended is End.EXPIRED:
        raise Problem("expired", ENDS[End.EXPIRED])
    whole = subscription.taken.next_revision - 1
    items = ",".join(
        f'{{"type":"{each.type}","revision":{each.place.revision},"item":{each.text}}}'
        for each in told
        if each.place.revision <= whole
    )
    return Answer(f'{{"items":[{items}],"revision":{whole}}}')


class _Stream:
    """Events as they are sent, and what is to be undone however they end; even before the first."""

    def __init__(self, events: Iterator[str], undo: ExitStack) -> None:
        self._events = events
        self._undo = undo

    def __iter__(self) -> Iterator[bytes]:
        return (text.encode() for text in self._events)

    def close(self) -> None:
        self._undo.close()


def _stream(watch: _Watch, undo: ExitStack) -> Iterator[str]:
    listed, place = ((), watch.place) if watch.place else watch.hubs.read(lambda store: _listed(store, watch))
    subscription = watch.hub.subscribe(place, watch.wanted)
    undo.callback(watch.hub.leave, subscription)
    return _events(listed, subscription, principal().lasts)


def _events(listed: Iterable[str], subscription: Subscription, lasts: Callable[[], bool]) -> Iterator[str]:
    until = time.monotonic() + STREAM_S
    yield from _pieces(chain(("retry: 1000\n\n",), listed))
    while time.monotonic() < until:
        told = subscription.take(HEARTBEAT_S)
        if not lasts():  # whoever comes back is told why
            break
        if told:
            yield from _pieces(map(_event, told))
        elif subscription.ended:
            break
        else:
            yield ": alive\n\n"
    end = subscription.ended or End.CLOSING
    # An empty id makes a browser forget the last one: it comes back without, and is given the list.
    forget = "id: \n" if end is End.EXPIRED else ""
    yield f"{forget}event: {end}\ndata: {json.dumps({'detail': ENDS[end]})}\n\n"


def _pieces(events: Iterable[str]) -> Iterator[str]:
    """Some events at a time: what a client does not take yet is not made yet."""
    left = iter(events)
    while piece := "".join(islice(left, AT_ONCE)):
        yield piece


def _listed(store: Store, watch: _Watch) -> tuple[Iterable[str], Place]:
    """Everything there is, as events; and the place behind it."""
    found = scan(store, watch.topic.kind)
    texts = watch.topic.show(store, [each for each in found.values if watch.wanted(each)], False)
    puts = (f"event: put\ndata: {text}\n\n" for text in texts)
    place = Place(found.revision)
    sync = f'id: {place}\nevent: sync\ndata: {{"revision":{found.revision}}}\n\n'
    return chain(puts, (sync,)), place


def _event(told: Told) -> str:
    return f"id: {told.place}\nevent: {told.type}\ndata: {told.text}\n\n"


def _wanted(filters: Sequence[Parameter]) -> Wanted:
    """What this request may see, and wants to."""
    scope = principal().scope
    query = current().arguments
    given = [each.where(text) for each in filters if each.where for text in query.get(each.name, ())]
    return lambda value: scope.has(value) and all(each.holds(value) for each in given)


def _place() -> Place | None:
    """Where the request goes on. Raises `Problem` for a place that this store has not reached."""
    last = header("Last-Event-ID")
    text = last or argument("since")
    if text is None:
        return None
    place = parse_place(text)
    if place is None:
        raise invalid_parameter("Last-Event-ID" if last else "since", f"expected {SINCE.expected}")
    if place.revision > parts().hubs.read(revision_now):
        raise Problem("expired", "the store is older than that revision, as after a restore; list again")
    return place
