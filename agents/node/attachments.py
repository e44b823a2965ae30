"""Attach and detach, as a caller sees them: ask, and wait until the dataplane says that it is so.

The work is done by the agent's pass. Here a request is checked, its attachment is written to the store,
and the pass is woken.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from agents.knowledge import Knowledge
from agents.node.pairs import host_ifname
from agents.node.places import AttachRequest, Places
from agents.node.wants import Refused, Stage, Want, Wants
from intent.mtu import mtu_of
from intent.names import gateway
from intent.policy import is_told
from store import keys
from store.client import Exists, Put, Store
from store.codec import encode
from store.errors import PermissionDenied, Unavailable
from store.model import Attachment, Endpoint, EndpointState, host_prefix

log = logging.getLogger(__name__)

KNOWN_WAIT_S = 3.0
"""How long an endpoint that was just created may take to reach this node's feed."""
ATTACH_WAIT_S = 10.0
DETACH_WAIT_S = 10.0
RESTORING = "a backup of etcd was restored, and lacks what nodes hold until it is completed; ask again"


@dataclass(frozen=True, slots=True)
class Attachments:
    """The operations of the socket API. Every method may be called from any thread. Blocking."""

    node: str
    boot_id: str
    store: Store
    knowledge: Knowledge
    wants: Wants
    wake: Callable[[], None]
    written: Callable[[str, Attachment, int], None]
    """Told of an attachment that was written: its key, and the revision."""
    recheck: Callable[[], None]
    """Told when an attachment that was written is not wanted any more, and perhaps never was reported."""
    places: Places

    def attach(self, request: AttachRequest) -> tuple[dict[str, object], bool]:
        """Attach an endpoint; returns what it got, and whether it is new.

        Idempotent: the same request again answers the same.

        Raises:
            Refused: with the HTTP status that says whose fault it is; nothing is left behind but for 503,
                where the work goes on and the same request may be repeated.
        """
        endpoint = self._endpoint(request.endpoint)
        want = self.places.want(request, endpoint)
        self._refuse_mac_of_another(endpoint, want)
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
            raise Refused(
                503, f"endpoint {endpoint.id} is not ready yet; {self._why_not(endpoint)}, and ask again"
            )
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

    def _refuse_mac_of_another(self, endpoint: Endpoint, want: Want) -> None:
        """On one bridge a MAC is one endpoint's, or that of a machine which several are behind."""
        snapshot = self.knowledge.snapshot()
        for name, there in self.wants.all().items():
            other = snapshot.endpoints.get(name) if snapshot else None
            if there.via and want.via and there.port == want.port:
                continue
            if other is not None and other.id != endpoint.id and other.mac == endpoint.mac:
                raise Refused(
                    409,
                    f"MAC {endpoint.mac} is endpoint {name}'s on this node; create it with another",
                )

    def _as_it_is(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint as it is known now: it may have been deleted and made anew since the caller asked."""
        snapshot = self.knowledge.snapshot()
        return snapshot.endpoints.get(endpoint.id, endpoint) if snapshot else endpoint

    def _why_not(self, endpoint: Endpoint) -> str:
        snapshot = self.knowledge.snapshot()
        if snapshot is None or is_told(snapshot, endpoint):
            return "see /readyz"
        return "no controller has told this node which policies are for it: see that one runs"

    def _hold(self, want: Want, endpoint: Endpoint) -> None:
        """Write the attachment before anything is made, so that the address is not released meanwhile.

        With the store away the attach goes on: the endpoint is known, and the report follows.
        """
        held = want.attachment(self.node, endpoint.addresses, self.boot_id)
        key = keys.ATTACHMENTS.key(self.node, endpoint.id)
        try:
            result = self.store.txn(
                (Exists(keys.NODE_ENDPOINTS.key(self.node, endpoint.id)),), (Put(key, encode(held)),)
            )
        except (Unavailable, PermissionDenied) as fault:
            log.warning("attaching without the store endpoint=%s why=%s", endpoint.id, fault)
            return
        if not result.succeeded:
            detail = f"endpoint {endpoint.id} was deleted or moved meanwhile"
            gone = Refused(503, RESTORING) if self.knowledge.waits_for else Refused(404, detail)
            self.wants.remove(endpoint.id, gone)
            raise gone
        self.written(key, held, result.revision)


def _render(node: str, endpoint: Endpoint, want: Want) -> dict[str, object]:
    """What a caller has to know: of a machine that configures itself, what it is to configure."""
    return {
        "endpoint": endpoint.id,
        "node": node,
        **_place(endpoint, want),
        "addresses": [str(address) for address in endpoint.addresses],
        **_way(endpoint),
        "mac": endpoint.mac,
        "mtu_bytes": mtu_of(endpoint),
    }


def _place(endpoint: Endpoint, want: Want) -> dict[str, object]:
    if want.via:
        return {"port": want.port, "via": [str(address) for address in want.via]}
    if want.port:
        return {"port": want.port}
    return {"netns": want.netns, "ifname": want.ifname, "host_ifname": host_ifname(endpoint.id)}


def _way(endpoint: Endpoint) -> dict[str, object]:
    """Which addresses are on-link, and who knows the way to the others."""
    on = endpoint.membership
    if on is not None:
        pairs = zip(endpoint.addresses, on.networks, strict=True)
        prefixes = [f"{address}/{network.prefixlen}" for address, network in pairs]
        return {"prefixes": prefixes, "gateways": [str(each) for each in on.gateways]}
    prefixes = [str(host_prefix(address)) for address in endpoint.addresses]
    gateways = [str(gateway(address.version)) for address in endpoint.addresses]
    return {"prefixes": prefixes, "gateways": gateways}
