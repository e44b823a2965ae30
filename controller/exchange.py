"""The request that is handled now, and what is noted of it on its way through the controller.

Handlers are plain functions of the parts of their path and of their body. What else they need of the
request they ask for here. A context variable holds it: one for each thread, and one for each stack of the
event loop (`controller.waiting`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cached_property
from typing import TYPE_CHECKING, Any

from falcon import Request, RequestOptions

if TYPE_CHECKING:
    from controller.parts import Parts
    from controller.principal import Principal

READS = frozenset({"GET", "HEAD", "OPTIONS"})
"""The methods of requests that change nothing."""


class Exchange(Request):
    """A request with a place for what each part of the controller notes of it.

    Attributes:
        began: when it came, in seconds of a clock that never goes back.
        request_id: as it stands in the audit log.
        principal: who makes it; None while nobody has asked.
        rate_headers: what its bearer is told of his rate.
        places: those that are free to wait for the store, of which it holds one; None when it holds none.
        parts: what the handlers work with.
    """

    parts: Parts

    def __init__(self, env: dict[str, Any], options: RequestOptions | None = None) -> None:
        super().__init__(env, options)
        self.began = time.perf_counter()
        self.request_id = ""
        self.principal: Principal | None = None
        self.rate_headers: Mapping[str, str] = {}
        self.places: list[None] | None = None

    @cached_property
    def arguments(self) -> Mapping[str, list[str]]:
        """What the query gives to each of its parameters, in its order."""
        return {name: [given] if isinstance(given, str) else given for name, given in self.params.items()}

    def give_back(self) -> None:
        """Give the place to another, as this request will not wait for the store any more. Idempotent."""
        places, self.places = self.places, None
        if places is not None:
            places.append(None)


_current: ContextVar[Exchange] = ContextVar("exchange")


def begin(exchange: Exchange) -> None:
    """This is the request that is handled from here on."""
    _current.set(exchange)


def current() -> Exchange:
    """The request that is handled now. Raises `LookupError` where none is."""
    return _current.get()


def argument(name: str) -> str | None:
    """What the query gives to a parameter, the first time that it does; None when it does not."""
    given = current().arguments.get(name)
    return given[0] if given else None


def header(name: str) -> str | None:
    """A field of the header, save those of the body; None when it is not there."""
    given: str | None = current().env.get("HTTP_" + name.upper().replace("-", "_"))
    return given
