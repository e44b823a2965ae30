"""/healthz, /readyz and /metrics: for those who run the controller."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import BaseModel

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.parts import parts
from store import keys
from store.errors import StoreError

health = Noun()


class Alive(BaseModel):
    """The process answers."""

    alive: bool = True


class NotReady(BaseModel):
    """Something that the controller needs and does not have."""

    what: str
    why: str


class Readiness(BaseModel):
    """Whether requests can be served, and if not what is missing."""

    ready: bool
    not_ready: list[NotReady] = []


@health.operation(Operation("GET", "/healthz", "Is the process alive?", {200: Alive}))
def healthz() -> Answer:
    """Always, while the process answers at all."""
    return Answer(Alive())


@health.operation(Operation("GET", "/readyz", "Can requests be served?", {200: Readiness, 503: Readiness}))
def readyz() -> Answer:
    """200 when the store answers, else 503 with what is not ready and why.

    A store that is full answers: it is read, and each write is refused with the reason.
    """
    shared = parts()
    needs: tuple[tuple[str, Callable[[], object]], ...] = (
        ("etcd", lambda: shared.store.get(keys.POOLS.prefix())),
        ("process", shared.pulse.check),
    )
    missing = [NotReady(what=what, why=why) for what, need in needs if (why := _why_not(need))]
    return Answer(Readiness(ready=not missing, not_ready=missing), 503 if missing else 200)


def _why_not(need: Callable[[], object]) -> str:
    """What the store says against it; nothing when all is well."""
    try:
        need()
    except StoreError as fault:
        return str(fault)
    return ""


@health.plain("/metrics")
def metrics() -> Answer:
    """The text format of Prometheus. With the store away only what this controller counts."""
    shared = parts()
    text = (shared.metrics.render() + shared.session_metrics.render()).decode()
    return Answer(text, media_type="text/plain; version=0.0.4; charset=utf-8")
