"""Where an endpoint is to be attached: what a caller says, checked against this host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from agents.kernel import given
from agents.kernel.netlink import KernelError
from agents.kernel.netns import NetnsGone
from agents.node.pairs import LINK_PREFIX
from agents.node.wants import Refused, Stage, Want, fits
from intent.names import BRIDGE
from openflow.errors import BridgeError
from store.model import Endpoint, EndpointKind, IPAddress, Value
from store.model.endpoint import NetnsPath
from store.model.value import Identifier, Ifname, UnicastAddress

NAMES = {
    EndpointKind.CONTAINER: "netns, the path of its network namespace",
    EndpointKind.VM: "port, the name of its tap or of its port of the bridge",
    EndpointKind.HOST: "port, the physical port that it is behind, and via, if others are behind it too",
}
"""What each kind of endpoint is attached to."""


class AttachRequest(Value):
    """The body of `POST /v1/attachments`: `netns` or `port`; and `via`, if several are behind the port."""

    endpoint: Identifier
    netns: NetnsPath | None = None
    ifname: Ifname = "eth0"
    port: Ifname | None = None
    via: Annotated[tuple[UnicastAddress, ...], Field(max_length=2)] = ()

    @model_validator(mode="after")
    def _one_place(self) -> AttachRequest:
        if self.via and self.port is None:
            raise ValueError(
                "via needs port, the link that the neighbour is behind, which the bridge takes; on "
                "a link that the node itself uses, such as an uplink, no policy could hold"
            )
        if (self.netns is None) == (self.port is None):
            raise ValueError("give netns or port")
        if len({each.version for each in self.via}) < len(self.via):
            raise ValueError("via names at most one neighbour of each family")
        if any(each.is_link_local for each in self.via):
            raise ValueError("via is an address of more than one link; name one that is not link-local")
        return self


@dataclass(frozen=True, slots=True)
class Places:
    """What this host says of a request. Every method may be called from any thread. Blocking, briefly.

    Args:
        netns_id: which namespace a path stands for.
        holds: whether the bridge has a port of this name, whoever has added it.
    """

    netns_id: Callable[[str], str]
    holds: Callable[[str], bool]

    def want(self, request: AttachRequest, endpoint: Endpoint) -> Want:
        """The want of a request.

        Raises:
            Refused: it cannot be, as this host or the endpoint's kind is.
        """
        netns, port = request.netns or "", request.port or ""
        ifname = request.ifname if netns else ""
        netns_id = self._netns_id(netns) if netns else ""
        made = Want(endpoint.id, netns, netns_id, ifname, Stage.HOLDING, port, request.via)
        if not fits(made, endpoint.kind):
            raise Refused(
                422, f"endpoint {endpoint.id} is of kind {endpoint.kind}: name its {NAMES[endpoint.kind]}"
            )
        try:
            if port:
                self._check_port(port)
            if request.via:
                _check_neighbours(request.via, port, endpoint)
            if endpoint.membership is not None:
                self._check_uplink(endpoint.membership.segment.uplink, made)
        except (KernelError, BridgeError) as fault:
            raise Refused(503, f"this host cannot be asked now: {fault}; ask again") from fault
        return made

    def _netns_id(self, path: str) -> str:
        try:
            return self.netns_id(path)
        except NetnsGone as fault:
            raise Refused(422, f"netns {path} is not a network namespace on this node") from fault

    def _check_port(self, port: str) -> None:
        if port.startswith(LINK_PREFIX) and self.holds(port):
            raise Refused(409, f"port {port} is this agent's own; name another")
        if not given.exists(port) and not self.holds(port):
            raise Refused(
                422, f"port {port} is neither a link of this node nor a port of {BRIDGE}; make it first"
            )
        if (why := given.why_not(port)) is not None:
            raise Refused(409, f"port {port} cannot be used: {why}")

    def _check_uplink(self, uplink: str, want: Want) -> None:
        if want.via:
            raise Refused(
                422, "an endpoint on a segment is not behind a neighbour: it is on the segment itself"
            )
        if uplink == want.port:
            raise Refused(409, f"port {uplink} is the uplink of the endpoint's segment; name another")
        if not given.exists(uplink) and not self.holds(uplink):
            raise Refused(409, f"uplink {uplink} of the endpoint's segment is no link of this node")
        if (why := given.why_not(uplink)) is not None:
            raise Refused(409, f"uplink {uplink} of the endpoint's segment cannot be used: {why}")


def _check_neighbours(via: tuple[IPAddress, ...], port: str, endpoint: Endpoint) -> None:
    lacks = {each.version for each in endpoint.addresses} - {each.version for each in via}
    if lacks:
        families = ", ".join(f"IPv{version}" for version in sorted(lacks))
        raise Refused(422, f"endpoint {endpoint.id} has {families} as well: name a neighbour of that family")
    for each in via:
        link = given.link_of(each)
        if link not in {None, BRIDGE, port}:
            raise Refused(409, f"via {each} is a neighbour of this node itself, on {link}, not behind {port}")
