"""What callers asked to be attached: the desired attachments of this node.

A want is made by the socket API or adopted from the switch at start, where the ports' `external_ids` keep
it across restarts. The pass of the agent makes it true, and forgets it when the endpoint is gone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

log = logging.getLogger(__name__)


class Stage(Enum):
    """Where a want is in its life."""

    HOLDING = "holding"
    """The attachment is being written to the store; the pass leaves the want alone."""
    WANTED = "wanted"
    DETACHING = "detaching"


@dataclass(frozen=True, slots=True)
class Want:
    """An endpoint to be attached to an interface inside a network namespace.

    `netns_id` tells a namespace from a later one at the same path.
    """

    endpoint: str
    netns: str
    netns_id: str
    ifname: str
    stage: Stage = field(default=Stage.WANTED, compare=False)


class Refused(Exception):
    """The want could not be made true. `status` is the HTTP status that says whose fault it is."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Wants:
    """The wants by endpoint id. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._wants: dict[str, Want] = {}
        self._attached: set[str] = set()
        self._refused: dict[str, Refused] = {}

    def add(self, want: Want) -> bool:
        """Take a want. Returns false when the same is there already.

        Raises:
            Refused: 409, the endpoint is wanted somewhere else or is being detached.
        """
        with self._changed:
            present = self._wants.get(want.endpoint)
            if present is not None and (present != want or present.stage is Stage.DETACHING):
                where = f"{present.ifname} in {present.netns}"
                doing = "being detached from" if present.stage is Stage.DETACHING else "attached to"
                raise Refused(409, f"endpoint {want.endpoint} is {doing} {where}; detach it first")
            if present is None:
                self._wants[want.endpoint] = want
                self._refused.pop(want.endpoint, None)
            return present is None

    def advance(self, endpoint: str, stage: Stage) -> bool:
        """Move a want to another stage; there is no way back from DETACHING. Returns false without a want."""
        with self._changed:
            want = self._wants.get(endpoint)
            if want is None:
                return False
            if want.stage is Stage.DETACHING:
                return True
            self._wants[endpoint] = Want(want.endpoint, want.netns, want.netns_id, want.ifname, stage)
            if stage is not Stage.WANTED:
                self._attached.discard(endpoint)
            return True

    def remove(self, endpoint: str, why: Refused | None = None) -> None:
        """Forget a want; whoever waits for it is told why. Idempotent."""
        with self._changed:
            if self._wants.pop(endpoint, None) is not None and why is not None:
                self._refused[endpoint] = why
            self._attached.discard(endpoint)
            self._changed.notify_all()

    def attached(self, endpoint: str) -> None:
        """The want is true now, if it is wanted still."""
        with self._changed:
            want = self._wants.get(endpoint)
            if want is None or want.stage is not Stage.WANTED or endpoint in self._attached:
                return
            self._attached.add(endpoint)
            log.info("attached endpoint=%s netns=%s ifname=%s", endpoint, want.netns, want.ifname)
            self._changed.notify_all()

    def all(self) -> Mapping[str, Want]:
        """The wants as they are now."""
        with self._changed:
            return dict(self._wants)

    def wait_attached(self, endpoint: str, timeout_s: float) -> bool:
        """Wait until the want is true; false when that takes longer than `timeout_s` seconds.

        Raises:
            Refused: the want could not be made true, and is forgotten.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: endpoint in self._attached or endpoint not in self._wants, timeout_s
            )
            if endpoint not in self._wants:
                raise self._refused.pop(endpoint, Refused(409, f"endpoint {endpoint} was detached meanwhile"))
            return endpoint in self._attached

    def wait_removed(self, endpoint: str, timeout_s: float) -> bool:
        """Wait until the want is forgotten; false when that takes longer than `timeout_s` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: endpoint not in self._wants, timeout_s)
