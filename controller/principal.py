"""Who makes the request that is handled now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from controller.exchange import current
from controller.scope import EVERYTHING, Scope
from store.model import Role


@dataclass(frozen=True, slots=True)
class Principal:
    """The bearer of a token: a name for the audit log, and what the role is limited to."""

    name: str
    role: Role
    tenant: str | None = None
    """With role tenant: the only tenant whose things exist for it."""
    node: str | None = None
    """With role node: the only node whose things exist for it."""
    lasts: Callable[[], bool] = field(default=lambda: True, compare=False, repr=False)
    """Whether its token is good still: for answers that go on for long."""

    @property
    def scope(self) -> Scope:
        """What exists for it."""
        return EVERYTHING if self.tenant is None and self.node is None else Scope(self.tenant, self.node)


ANYBODY = Principal("anybody", Role.ADMIN)
"""The caller of a controller that demands no token: it listens on loopback only."""


def request_id() -> str:
    """Of the request that is handled now, as it stands in the audit log."""
    return current().request_id


def principal() -> Principal:
    """Of the request that is handled now."""
    return current().principal or ANYBODY
