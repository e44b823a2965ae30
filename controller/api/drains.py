"""/v1/drains, and `:drain` and `:undrain` of nodes and peers: traffic is led away before work on them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation
from controller.draining import announced
from controller.ipam.unit import Unit
from controller.parts import parts
from controller.principal import principal
from controller.problem import Problem
from controller.reading import find, put, read, stored
from controller.watching.topic import Topic
from store import keys
from store.client import Absent, Compare, Delete, Exists, Store, Unchanged
from store.keys import Kind
from store.model import Drain, Drained, Severity
from store.model.drain import MAX_WAIT_S

drains = Noun()

ATTEMPTS = 16
MAX_FOR_S = 31 * 86_400


class Draining(BaseModel):
    """How to drain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    wait_s: Annotated[int, Field(strict=True, ge=0, le=MAX_WAIT_S)] = 60
    """Seconds with GRACEFUL_SHUTDOWN (RFC 8326), before the routes are withdrawn."""
    for_s: Annotated[int, Field(strict=True, ge=1, le=MAX_FOR_S)] | None = None
    """Seconds after which it ends by itself; not before `:undrain` when not given."""


class DrainView(Drain):
    """A drain, and what is left to do."""

    announced: int
    """Routes that the speakers say are announced still."""


def _watched(store: Store, shown: Sequence[Drain], settled: bool) -> list[str]:
    return [_view(store, each).model_dump_json() for each in shown]


@drains.operation(
    Operation(
        "GET",
        "/v1/drains",
        "List what is drained",
        {200: DrainView},
        query=listing.PAGING,
        topic=Topic(keys.DRAINS, _watched),
    )
)
def list_drains() -> Answer:
    """Every node and every peer that is being drained, or is."""
    found = listing.paged(keys.DRAINS)
    return listing.render([_view(parts().store, each) for each in found.values], found)


def _add(plural: str, noun: Drained, kind: Kind[Any]) -> None:
    """The two routes of a noun."""

    @drains.operation(
        Operation(
            "POST",
            f"/v1/{plural}/{{name}}:drain",
            f"Drain a {noun}: GRACEFUL_SHUTDOWN, then withdraw",
            {200: DrainView, 201: DrainView},
            body=Draining,
            refuses=(404,),
        )
    )
    def drain(name: str, wanted: Draining) -> Answer:
        """One that is drained already stays at its stage, and ends when this one says. Idempotent."""
        return _written(noun, kind, name, wanted)

    @drains.operation(
        Operation(
            "POST",
            f"/v1/{plural}/{{name}}:undrain",
            f"Announce what concerns a {noun} as usual again",
            {204: None},
            refuses=(404,),
        )
    )
    def undrain(name: str) -> Answer:
        """Also a drain that cannot be read ends, and one of a backup that is not believed yet. Idempotent."""
        shared = parts()
        find(shared.store, kind, name)
        for _ in range(ATTEMPTS):
            item = stored(shared.store, keys.DRAINS, noun.value, name)
            if item is None:
                return Answer(status=204)
            if shared.naming.commit(Unit((Unchanged(item.key, item.mod_revision),), (Delete(item.key),))):
                _record(noun, name, "drain-over", "its routes are announced as usual again")
                return Answer(status=204)
        raise _busy(name)


def _written(noun: Drained, kind: Kind[Any], name: str, wanted: Draining) -> Answer:
    shared = parts()
    until = shared.clock() + timedelta(seconds=wanted.for_s) if wanted.for_s is not None else None
    for _ in range(ATTEMPTS):
        registered = find(shared.store, kind, name)
        before = read(shared.store, keys.DRAINS, noun.value, name)
        if before is None:
            drain = Drain(
                noun=noun,
                name=name,
                since=shared.clock(),
                wait_s=wanted.wait_s,
                until=until,
                by=principal().name,
            )
            unchanged: Compare = Absent(keys.DRAINS.key(noun.value, name))
        else:
            drain = before.value.model_copy(update={"wait_s": wanted.wait_s, "until": until})
            unchanged = before.unchanged()
        op = put(keys.DRAINS, drain, noun.value, name)
        # Not while a restored backup is completed: speakers see it after that, when its time may be over.
        if shared.committer.commit(Unit((unchanged, Exists(registered.key)), (op,))):
            if before is None:
                _record(
                    noun, name, "drain-begun", f"its routes carry GRACEFUL_SHUTDOWN for {wanted.wait_s} s"
                )
            return Answer(_view(shared.store, drain), status=201 if before is None else 200)
    raise _busy(name)


def _busy(name: str) -> Problem:
    return Problem("busy", f"others drain {name} at the same time", retry_after_s=1)


def _record(noun: Drained, name: str, reason: str, detail: str) -> None:
    node = name if noun is Drained.NODE else None
    parts().events.record(Severity.INFO, reason, noun.value, name, detail, node=node)


def _view(store: Store, drain: Drain) -> DrainView:
    return DrainView(**drain.model_dump(), announced=announced(store, drain))


_add("nodes", Drained.NODE, keys.NODES)
_add("peers", Drained.PEER, keys.PEERS)
