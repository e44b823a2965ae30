"""What the lab asks of a router, whichever program runs it: FRR (`lab.frr`) or BIRD (`lab.bird`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from lab.errors import LabError
from lab.host import Host
from lab.route import Route
from lab.topology import HostSpec, Neighbour


@dataclass(frozen=True, slots=True)
class BgpPath:
    """One path of a BGP table. `peer` is whom it was heard from; communities are written `64511:7`."""

    next_hop: str
    as_path: tuple[int, ...]
    peer: str
    best: bool
    stale: bool
    med: int | None = None
    communities: frozenset[str] = frozenset()
    large_communities: frozenset[str] = frozenset()


class Router(ABC):
    """A ToR router of the lab, not started yet.

    Args:
        host: where it runs.
        spec: the host in the topology.
        neighbours: its BGP neighbours.

    Raises:
        LabError: it has no AS number or no loopback address.
    """

    PROTOCOL: str
    """Of its routes in the kernel, as iproute2 names it."""
    SHOWS: tuple[str, ...]
    """Commands that show its tables and sessions, for people."""

    def __init__(self, host: Host, spec: HostSpec, neighbours: Sequence[Neighbour]) -> None:
        if spec.asn is None or spec.loopback is None:
            raise LabError(f"{spec.name} needs an AS number and a loopback address to be a router")
        self.host = host
        self.asn = spec.asn
        self.router_id = spec.loopback.partition("/")[0]
        self.neighbours = tuple(neighbours)

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it answers. Blocking. Raises LabError."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it in peace. Idempotent. Blocking."""

    @abstractmethod
    def kill(self) -> None:
        """Kill it: sessions and routes are lost without a word. Idempotent. Blocking."""

    @abstractmethod
    def argv(self, command: str) -> list[str]:
        """One command of the router's own shell, to be run on its host."""

    @abstractmethod
    def configure(self, neighbours: Sequence[Neighbour]) -> None:
        """Have these neighbours from now on; the session with one that changes is reset. Raises LabError."""

    @abstractmethod
    def clear(self, address: object) -> None:
        """Reset the session with this peer, as an operator does. Raises LabError."""

    @abstractmethod
    def bgp_summary(self) -> dict[str, str]:
        """The state of each session in the words of the RFC, by the peer's address."""

    @abstractmethod
    def bgp_route(self, prefix: object) -> list[BgpPath]:
        """The paths to exactly this prefix, the best one first; empty when there is none."""

    @abstractmethod
    def bgp_prefixes(self, family: int = 4) -> set[str]:
        """Every prefix of a family (4 or 6) in its BGP table."""

    def shell(self, command: str) -> str:
        """Run one command of the router's own shell. Raises CommandFailed."""
        return self.host.run(*self.argv(command)).stdout

    def established(self, address: object) -> bool:
        """Whether the session with this peer is up."""
        return self.bgp_summary().get(str(address)) == "Established"

    def kernel_routes(self, family: int = 4) -> dict[str, Route]:
        """The routes of a family that it has put into its kernel by BGP, by prefix."""
        return {route.dst: route for route in self.host.routes(family) if route.protocol == self.PROTOCOL}


def family_of(prefix: object) -> int:
    """4 or 6. Raises ValueError for what is no prefix."""
    return ip_network(str(prefix)).version
