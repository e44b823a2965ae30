"""Who plays in the demo: containers on the nodes, and what their addresses and routes should look like."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any

from lab.demo.report import Report
from lab.host import Host
from lab.lab import Lab
from lab.topology import METAL_ADDRESS, Role

BLOCK_PREFIXLEN = 26
TENANT = "shop"
PLACES = {"web-1": "node-1", "web-2": "node-1", "db-1": "node-2", "cache-1": "node-3"}
"""The containers, and the node of each."""


@dataclass(slots=True)
class Container:
    """A container: its namespace, its address, and the node it is on."""

    name: str
    host: Host
    address: str
    node: str

    @property
    def host_prefix(self) -> str:
        """Its /32."""
        return f"{self.address}/32"

    @property
    def block(self) -> str:
        """The block its address is in."""
        return str(IPv4Network((self.address, BLOCK_PREFIXLEN), strict=False))


class Cast:
    """The lab with its containers, created by the `polder` command and attached by the agents."""

    def __init__(self, lab: Lab, report: Report) -> None:
        self.lab = lab
        self.report = report
        report.title("Containers, each with an address of its own")
        self.polder("tenant", "create", TENANT)
        self.containers = {name: self._create(name, node) for name, node in PLACES.items()}

    @property
    def metal(self) -> Host:
        """The bare-metal host behind tor-a."""
        return self.lab.hosts["metal"]

    @property
    def everyone(self) -> dict[str, tuple[Host, str]]:
        """Containers, routers and the bare-metal host, each with its address."""
        found = {one.name: (one.host, one.address) for one in self.containers.values()}
        for spec in self.lab.topology.of(Role.TOR):
            found[spec.name] = (self.lab.hosts[spec.name], str(spec.loopback).partition("/")[0])
        return {**found, "metal": (self.metal, METAL_ADDRESS)}

    def uplink(self, node: str, tor: str) -> str:
        """The node's address on its link to a ToR: the next hop the ToR should have."""
        return next(far.ip for _, far in self.lab.topology.ends(tor) if far.host == node)

    def polder(self, *words: str) -> Any:
        """Run the `polder` command, as a user does."""
        self.report.note(f"$ polder {' '.join(words)}")
        return self.lab.cli(*words).stdout.strip()

    def attach(self, name: str, node: str, host: Host) -> dict[str, Any]:
        """Attach an endpoint to a container on a node."""
        made: dict[str, Any] = self.lab.attach(name, host, node)
        return made

    def _create(self, name: str, node: str) -> Container:
        self.polder("endpoint", "create", name, "--node", node, "--tenant", TENANT, "--label", f"app={name}")
        host = self.lab.container(name)
        made = self.attach(name, node, host)
        container = Container(name, host, made["addresses"][0], node)
        self.report.note(f"  {container.address} on {node}, gateway {made['gateways'][0]}, in {host.netns}")
        return container


def inside(address: str, prefix: str) -> bool:
    """Whether an address, or a prefix, lies in a prefix."""
    mine, other = ip_network(address), ip_network(prefix)
    return isinstance(mine, IPv4Network) and isinstance(other, IPv4Network) and mine.subnet_of(other)
