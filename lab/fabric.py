"""The bare fabric: hosts, links, ToR routers with BGP between them, a switch on each node. No Polder."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

from lab import bird, frr, netns, wiring
from lab.claim import Claim
from lab.errors import LabError
from lab.host import Host
from lab.ovs import Switch
from lab.router import Router
from lab.topology import Role, Software, Topology
from lab.wait import wait_until

CONVERGED_S = 15.0
ROUTERS: dict[Software, type[Router]] = {Software.FRR: frr.Frr, Software.BIRD: bird.Bird}


class Fabric:
    """The hosts of one claimed lab, and what runs on them."""

    def __init__(self, claim: Claim, topology: Topology) -> None:
        self.topology = topology
        self.hosts: dict[str, Host] = {}
        self.tors: dict[str, Router] = {}
        self.switches: dict[str, Switch] = {}
        self._claim = claim

    def namespace(self, host: str) -> str:
        """The name of a host's network namespace."""
        return f"{self._claim.name}-{host}"

    def wire(self) -> None:
        """Make the hosts and the links between them; nothing runs on them."""
        names = [host.name for host in self.topology.hosts]
        self._make_namespaces(names)
        self.hosts = {name: self._host(name) for name in names}
        wiring.build(self.topology, self.namespace)
        for spec in self.topology.of(Role.TOR):
            neighbours = self.topology.neighbours(spec.name)
            self.tors[spec.name] = ROUTERS[spec.software](self.hosts[spec.name], spec, neighbours)
        for spec in self.topology.of(Role.NODE):
            self.switches[spec.name] = Switch(self.hosts[spec.name])

    def start(self) -> None:
        """Start routers and switches, wait until each ToR routes to what the others have. Blocking."""
        together(
            [*(tor.start for tor in self.tors.values()), *(each.start for each in self.switches.values())]
        )
        for name, tor in self.tors.items():
            self._await_routes(name, tor)

    def container(self, name: str) -> Host:
        """Make one more host: a namespace with nothing but loopback. Raises LabError for a name in use."""
        if name in self.hosts:
            raise LabError(f"there is a host {name} already")
        self._make_namespaces([name])
        wiring.apply_settings(self.namespace(name), forwards=False)
        self.hosts[name] = self._host(name)
        return self.hosts[name]

    def remove_container(self, name: str) -> None:
        """Remove a container's namespace, whatever is in it. Idempotent. Raises LabError for a fixed host."""
        if any(spec.name == name for spec in self.topology.hosts):
            raise LabError(f"{name} is part of the lab; only containers can be removed")
        self.hosts.pop(name, None)
        netns.remove([self.namespace(name)])

    def _make_namespaces(self, hosts: Iterable[str]) -> None:
        names = [self.namespace(host) for host in hosts]
        netns.require_free(names)
        for name in names:
            self._claim.ledger.namespace(name)
        netns.create(names)

    def _host(self, name: str) -> Host:
        return Host(name, self.namespace(name), self._claim.directory / name, self._claim.ledger)

    def _await_routes(self, name: str, tor: Router) -> None:
        others = [far.name for far in tor.neighbours if self.topology.host(far.name).role is Role.TOR]
        wanted = {p for other in others for p in self.topology.connected(other)} - self.topology.connected(
            name
        )

        wait_until(
            lambda: wanted - set(tor.kernel_routes()),
            CONVERGED_S,
            f"routes at {name} to all that {', '.join(others)} has; missing are those",
            good=operator.not_,
            poll_s=0.1,
        )


def together(calls: Iterable[Callable[[], None]]) -> None:
    """Make several blocking calls at once; after all have ended, raises what the first failed one raised."""
    calls = list(calls)
    with ThreadPoolExecutor(max_workers=max(1, len(calls))) as threads:
        for running in [threads.submit(call) for call in calls]:
            running.result()
