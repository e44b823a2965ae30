"""A controller that demands tokens, and a bearer of each role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from werkzeug.test import Client, TestResponse

from controller import secret
from controller.app import create_app
from controller.audit import AuditFile
from controller.auth import Doors
from controller.parts import Parts
from controller.reading import put
from store import keys
from store.memory import MemoryStore
from store.model import Role, Secret, Tenant, Token
from tests.support.client import client_of
from tests.unit.controller.conftest import NOW

ROOT = "0123456789abcdef0123456789abcdef"


@dataclass
class Guarded:
    """The application with tokens demanded, over a store in memory, at a time that tests move."""

    client: Client
    store: MemoryStore
    parts: Parts
    now: list[datetime]
    texts: dict[str, str] = field(default_factory=dict)

    def send(self, who: str | None, method: str, path: str, body: Any = None, **headers: str) -> TestResponse:
        """A request by the bearer of a token: a name that `give` made, or a token's text; None sends none."""
        sent = {} if who is None else {"Authorization": f"Bearer {self.texts.get(who, who)}"}
        given: dict[str, Any] = {} if body is None else {"json": body}
        return self.client.open(path, method=method, headers={**sent, **headers}, **given)

    def made(self, path: str, body: Any, who: str = ROOT) -> Any:
        """Create something that has to be new."""
        answer = self.send(who, "POST", path, body)
        assert answer.status_code == 201, answer.text
        return answer.json

    def give(self, name: str, role: Role, *, tenant: str | None = None, node: str | None = None) -> None:
        """A stored token, known to the controller when this returns. Its tenant need not be there yet."""
        text = self.texts[name] = secret.make(name)
        given = Secret(sha256=secret.digest(text))
        token = Token(name=name, role=role, tenant=tenant, node=node, secrets=(given,), created=self.now[0])
        writes = [put(keys.TOKENS, token, name)]
        if tenant is not None and self.store.get(keys.TENANTS.key(tenant)) is None:
            writes.append(put(keys.TENANTS, Tenant(name=tenant), tenant))
        self.store.txn([], writes)
        self.parts.bearers.settle(name, token)

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now[0] += timedelta(seconds=seconds)

    def stored(self) -> tuple[Any, ...]:
        """The whole store: equal when nothing was written between."""
        return self.store.range("").items


@contextmanager
def guarded(
    writes_per_s: int = 0, strangers_per_s: int = 0, audit_file: AuditFile | None = None
) -> Iterator[Guarded]:
    """A controller whose --token-file holds `ROOT`."""
    store = MemoryStore()
    now = [NOW]
    parts = Parts.build(store, lambda: now[0])
    doors = Doors(
        token_lines=(ROOT.encode(),),
        writes_per_s=writes_per_s,
        strangers_per_s=strangers_per_s,
    )
    app = create_app(store, parts=parts, doors=doors, audit_file=audit_file)
    yield Guarded(client_of(app), store, parts, now)
    parts.close()
