"""Attach and detach, as a caller sees them: ask, and wait until the dataplane says that it is so.

The work is done by the agent's pass. Here a request is checked, its attachment is written to the store,
and the pass is woken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from agents.kernel.netns import NetnsGone
from agents.knowledge import Knowledge
from agents.node.plug import host_ifname
from agents.node.wants import Refused, Stage, Want, Wants
from intent.names import gateway
from store import keys
from store.client import Exists, Put, Store
from store.codec import encode
from store.errors import PermissionDenied, Unavailable
from store.model import Attachment, Endpoint, EndpointState, Value, host_prefix
from store.model.endpoint import Ifname, NetnsPath
from store.model.value import Identifier

log = logging.getLogger(__name__)

KNOWN_WAIT_S = 3.0
"""How long an endpoint that was just created may take to reach this node's feed."""
ATTACH_WAIT_S = 10.0
DETACH_WAIT_S = 10.0
RESTORING = "a backup of etcd was restored, and lacks what nodes hold until it is completed; ask again"


class AttachRequest(Value):
    """The body of `POST /v1/attachments`."""

    endpoint: Identifier
    netns: NetnsPath
    ifname: Ifname = "eth0"


@dataclass(frozen=True, slots=True)
class Attachments:
    """The operations of the socket API. Every method may be called from any thread. Blocking."""

    node: str
    boot_id: str
    store: Store
    knowledge: Knowledge
    wants: Wants
    wake: Callable[[], None]
    recheck: Callable[[], None]
    """Told when an attachment that was written is not wanted any more, and perhaps never was reported."""
    netns_id: Callable[[str], str]

    def attach(self, request: AttachRequest) -> tuple[dict[str, object], bool]:
        """Attach an endpoint; returns what it got, and whether it is new.

        Idempotent: the same request again answers the same.

        Raises:
            Refused: with the HTTP status that says whose fault it is; nothing is left behind but for 503,
                where the work goes on and the same request may be repeated.
        """
        endpoint = self._endpoint(request.endpoint)
        try:
            netns_id = self.netns_id(request.netns)
        except NetnsGone as fault:
            raise Refused(422, f"netns {request.netns} is not a network namespace on this node") from fault
        want = Want(endpoint.id, request.netns, netns_id, request.ifname, Stage.HOLDING)
        new = self.wants.add(want)
        if new:
            self._hold(want, endpoint)
            self.wants.advance(endpoint.id, Stage.WANTED)
        self.wake()
        try:
            attached = self.wants.wait_attached(endpoint.id, ATTACH_WAIT_S)
        except Refused:
            self.recheck()
            raise
        if not attached:
            raise Refused(503, f"endpoint {endpoint.id} is not ready yet; see /readyz, and ask again")
        return _render(self.node, self._as_it_is(endpoint), want), new

    def detach(self, endpoint: str) -> None:
        """Detach an endpoint; nothing happens when it is not attached. Idempotent.

        Raises:
            Refused: 503 when it takes too long; it goes on, and may be asked for again.
        """
        if not self.wants.advance(endpoint, Stage.DETACHING):
            return
        self.wake()
        if not self.wants.wait_removed(endpoint, DETACH_WAIT_S):
            raise Refused(503, f"endpoint {endpoint} is not detached yet; see /readyz, and ask again")

    def all(self) -> list[dict[str, object]]:
        """What is attached or about to be."""
        snapshot = self.knowledge.snapshot()
        known = {**snapshot.departing, **snapshot.endpoints} if snapshot else {}
        found = []
        for want in self.wants.all().values():
            endpoint = known.get(want.endpoint)
            if endpoint is not None:
                found.append(_render(self.node, endpoint, want))
        return found

    def _endpoint(self, name: str) -> Endpoint:
        self.knowledge.wait_for(lambda snapshot: name in snapshot.endpoints, KNOWN_WAIT_S)
        snapshot = self.knowledge.snapshot()
        if snapshot is None and self.knowledge.waits_for:
            raise Refused(503, RESTORING)
        if snapshot is None:
            raise Refused(503, "the store has not answered since the agent started; check etcd")
        endpoint = snapshot.endpoints.get(name)
        if endpoint is None:
            raise Refused(
                404, f"endpoint {name} is not assigned to node {self.node}; create it there, or move it"
            )
        if endpoint.state is not EndpointState.ASSIGNED:
            raise Refused(409, f"endpoint {name} is being released")
        return endpoint

    def _as_it_is(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint as it is known now: it may have been deleted and made anew since the caller asked."""
        snapshot = self.knowledge.snapshot()
        return snapshot.endpoints.get(endpoint.id, endpoint) if snapshot else endpoint

    def _hold(self, want: Want, endpoint: Endpoint) -> None:
        """Write the attachment before anything is made, so that the address is not released meanwhile.

        With the store away the attach goes on: the endpoint is known, and the report follows.
        """
        held = Attachment(
            endpoint=endpoint.id,
            node=self.node,
            addresses=endpoint.addresses,
            netns=want.netns,
            ifname=want.ifname,
            boot_id=self.boot_id,
        )
        put = Put(keys.ATTACHMENTS.key(self.node, endpoint.id), encode(held))
        try:
            result = self.store.txn((Exists(keys.NODE_ENDPOINTS.key(self.node, endpoint.id)),), (put,))
        except (Unavailable, PermissionDenied) as fault:
            log.warning("attaching without the store endpoint=%s why=%s", endpoint.id, fault)
            return
        if not result.succeeded:
            detail = f"endpoint {endpoint.id} was deleted or moved meanwhile"
            gone = Refused(503, RESTORING) if self.knowledge.waits_for else Refused(404, detail)
            self.wants.remove(endpoint.id, gone)
            raise gone


def _render(node: str, endpoint: Endpoint, want: Want) -> dict[str, object]:
    return {
        "endpoint": endpoint.id,
        "node": node,
        "netns": want.netns,
        "ifname": want.ifname,
        "host_ifname": host_ifname(endpoint.id),
        "addresses": [str(address) for address in endpoint.addresses],
        "prefixes": [str(host_prefix(address)) for address in endpoint.addresses],
        "gateways": [str(gateway(address.version)) for address in endpoint.addresses],
        "mac": endpoint.mac,
        "mtu_bytes": endpoint.mtu_bytes,
    }
