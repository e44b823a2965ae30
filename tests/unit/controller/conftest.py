"""A controller's application over a store in memory, with a clock that tests move."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from controller.app import create_app
from controller.parts import Parts
from store import keys
from store.memory import MemoryStore
from tests.support.client import client_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Clock:
    """Seconds, moved by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(frozen=True)
class Api:
    """A client of the application, and what is behind it."""

    client: Client
    store: MemoryStore
    parts: Parts
    clock: Clock

    def send(self, method: str, path: str, body: Any = None) -> TestResponse:
        """A request with a JSON body, if one is given."""
        given = {} if body is None else {"json": body}
        return self.client.open(path, method=method, **given)

    def made(self, path: str, body: Any) -> Any:
        """Create something that has to be new."""
        answer = self.send("POST", path, body)
        assert answer.status_code == 201, answer.text
        return answer.json

    def get(self, path: str) -> Any:
        """Read something that has to be there."""
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json

    def stored(self) -> tuple[Any, ...]:
        """The whole store but for its mark: equal when nothing was written between."""
        return tuple(item for item in self.store.range("").items if item.key != keys.CLUSTER.key())

    def wait(self, seconds: float) -> None:
        """Let time pass, and leases end."""
        self.clock.now_s += seconds
        self.store.expire()


@pytest.fixture
def api() -> Iterator[Api]:
    """An empty controller."""
    clock = Clock()
    store = MemoryStore(clock)
    parts = Parts.build(store, lambda: NOW)
    app = create_app(store, parts=parts)
    yield Api(client_of(app), store, parts, clock)
    parts.close()


@pytest.fixture
def plant(api: Api) -> Api:
    """A pool of two blocks with four addresses each, and three nodes."""
    api.made("/v1/pools", {"name": "default", "cidr": "10.64.0.0/29", "block_prefixlen": 30, "cooldown_s": 5})
    for number, mtu_bytes in enumerate((1500, 1500, 9000), start=1):
        api.made("/v1/nodes", {"name": f"node-{number}", "asn": 64510 + number, "mtu_bytes": mtu_bytes})
    return api
