"""What callers asked to be attached: the desired attachments of this node.

A want is made by the socket API or adopted from the switch at start, where the ports' `external_ids` keep
it across restarts. The pass of the agent makes it true, and forgets it when the endpoint is gone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from store.model import Attachment, EndpointKind, IPAddress

log = logging.getLogger(__name__)


class Stage(Enum):
    """Where a want is in its life."""

    HOLDING = "holding"
    """The attachment is being written to the store; the pass leaves the want alone."""
    WANTED = "wanted"
    DETACHING = "detaching"


@dataclass(frozen=True, slots=True)
class Want:
    """An endpoint to be attached: to an interface in a namespace, to a port, or with others behind a port.

    `netns_id` tells a namespace from a later one at the same path. `port` is a link or a port of the bridge
    that the caller has made, `via` the neighbour behind it, one address for each family: what is not meant is
    empty.
    """

    endpoint: str
    netns: str = ""
    netns_id: str = ""
    ifname: str = ""
    stage: Stage = field(default=Stage.WANTED, compare=False)
    port: str = ""
    via: tuple[IPAddress, ...] = ()

    @property
    def where(self) -> str:
        """Where it is, in words."""
        if self.via:
            return f"what is behind {', '.join(map(str, self.via))} on port {self.port}"
        return f"port {self.port}" if self.port else f"{self.ifname} in {self.netns}"

    def attachment(self, node: str, addresses: tuple[IPAddress, ...], boot_id: str) -> Attachment:
        """What is said of it in the store."""
        return Attachment(
            endpoint=self.endpoint,
            node=node,
            addresses=addresses,
            netns=self.netns or None,
            ifname=self.ifname or None,
            port=self.port or None,
            via=self.via,
            boot_id=boot_id,
        )


def fits(want: Want, kind: EndpointKind) -> bool:
    """Whether an endpoint of this kind is attached in this way."""
    match kind:
        case EndpointKind.CONTAINER:
            return bool(want.netns)
        case EndpointKind.VM:
            return bool(want.port and not want.via)
        case EndpointKind.HOST:
            return bool(want.port)


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
            Refused: 409, the endpoint is wanted somewhere else or is being detached, or its port is taken.
        """
        with self._changed:
            present = self._wants.get(want.endpoint)
            if present is not None and (present != want or present.stage is Stage.DETACHING):
                doing = "being detached from" if present.stage is Stage.DETACHING else "attached to"
                raise Refused(409, f"endpoint {want.endpoint} is {doing} {present.where}; detach it first")
            if present is None and want.port:
                self._refuse_port_of_another(want)
            if present is None:
                self._wants[want.endpoint] = want
                self._refused.pop(want.endpoint, None)
            return present is None

    def _refuse_port_of_another(self, want: Want) -> None:
        for other in self._wants.values():
            if other.port == want.port and not (other.via and want.via):
                raise Refused(
                    409, f"port {want.port} is endpoint {other.endpoint}'s; name another, or detach it"
                )

    def advance(self, endpoint: str, stage: Stage) -> bool:
        """Move a want to another stage; there is no way back from DETACHING. Returns false without a want."""
        with self._changed:
            want = self._wants.get(endpoint)
            if want is None:
                return False
            if want.stage is Stage.DETACHING:
                return True
            self._wants[endpoint] = replace(want, stage=stage)
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

    def attached(self, endpoints: Collection[str]) -> None:
        """Say that the wants of these endpoints are true now, if they are wanted still."""
        with self._changed:
            for endpoint in frozenset(endpoints) - self._attached:
                want = self._wants.get(endpoint)
                if want is None or want.stage is not Stage.WANTED:
                    continue
                self._attached.add(endpoint)
                log.info("attached endpoint=%s to=%s", endpoint, want.where)
            self._changed.notify_all()

    def all(self) -> Mapping[str, Want]:
        """The wants as they are now."""
        with self._changed:
            return dict(self._wants)

    def has_port(self, name: str) -> bool:
        """Whether a want is on the port of this name."""
        with self._changed:
            return any(want.port == name for want in self._wants.values())

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
