"""Polder on a fabric: etcd and the controllers on the management hosts, an agent and a speaker on each node.

The programs are started as a user starts them. The controllers are told over REST what the topology says:
one pool, the nodes, and a peer for each uplink. Then each node joins: it gets a certificate, and rights in
etcd for its own keys.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lab import commands
from lab.etcd_cluster import EtcdCluster
from lab.fabric import Fabric, together
from lab.management import Management, StartController
from lab.program import Program
from lab.rest import Rest
from lab.state import Ledger
from lab.topology import Role
from lab.wait import wait_until

POOL = {"name": "default", "cidr": "10.64.0.0/16"}
SESSIONS_S = 30.0


class Polder:
    """Polder's programs on one fabric. Nothing runs until `management.start`, then `start`."""

    def __init__(self, fabric: Fabric, ledger: Ledger, *, controller: StartController) -> None:
        self._fabric = fabric
        self.management = Management(fabric.hosts, ledger, controller=controller)
        self._nodes = [spec.name for spec in fabric.topology.of(Role.NODE)]
        self.agents = {node: self._agent(node) for node in self._nodes}
        self.speakers = {node: self._speaker(node) for node in self._nodes}

    @property
    def etcd(self) -> EtcdCluster:
        """All members of etcd."""
        return self.management.etcd

    @property
    def controllers(self) -> list[Program]:
        """All controllers: each does all a controller does."""
        return self.management.controllers

    @property
    def apis(self) -> list[Rest]:
        """The API of each controller."""
        return self.management.apis

    @property
    def api(self) -> Rest:
        """The first controller's API."""
        return self.apis[0]

    def start(self) -> None:
        """Register what the topology says, let every node join, wait for every BGP session. Blocking.

        The management runs by now, and the fabric does.
        """
        self.controllers[0].wait_ready()
        self.register()
        together(partial(self._add, *each) for each in enumerate(self._nodes))
        for program in (*self.controllers, *self.agents.values(), *self.speakers.values()):
            program.wait_ready()
        self.wait_sessions()

    def wait_sessions(self, deadline_s: float = SESSIONS_S) -> None:
        """Wait until every node has a session with every ToR. Blocking. Raises NotInTime."""
        for name, tor in self._fabric.tors.items():
            wait_until(
                tor.bgp_summary,
                deadline_s,
                f"the sessions of all nodes with {name}",
                good=lambda summary: set(summary.values()) == {"Established"},
                poll_s=0.1,
            )

    def register(self) -> None:
        """Create the pool, the nodes and the peers. Raises LabError."""
        self.api.do("POST", "/v1/pools", POOL)
        for spec in self._fabric.topology.of(Role.NODE):
            self.api.do("POST", "/v1/nodes", {"name": spec.name, "asn": spec.asn})
        for peer in self.peers():
            self.api.do("POST", "/v1/peers", peer)

    def peers(self) -> list[dict[str, object]]:
        """One peer per uplink, as REST takes it: `node-1-tor-a` and so on."""
        topology = self._fabric.topology
        return [
            {
                "name": f"{neighbour.name}-{tor.name}",
                "address": neighbour.local_address,
                "asn": tor.asn,
                "node": neighbour.name,
                "local_address": neighbour.address,
            }
            for tor in topology.of(Role.TOR)
            for neighbour in topology.neighbours(tor.name)
            if topology.host(neighbour.name).role is Role.NODE
        ]

    def agent_socket(self, node: str) -> Path:
        """The unix socket of a node's agent."""
        return self._run_dir(node) / "agent.sock"

    def agent_api(self, node: str) -> Rest:
        """The API of a node's agent."""
        return Rest.unix(self.agent_socket(node))

    def reap(self) -> None:
        """Collect the members of etcd, which have ended. Idempotent."""
        for member in self.etcd:
            member.kill()

    def _add(self, number: int, node: str) -> None:
        """Let a node join, at one controller or another, and start its programs."""
        first = number % len(self.controllers)
        self.controllers[first].wait_ready()
        token = self.apis[first].do("POST", f"/v1/nodes/{node}:join-token", {})["token"]
        at = (f"--controller={self.management.urls[first]}", f"--dir={self._config(node).parent}")
        join = commands.command_line("agent", "join", "-", *at)
        self._fabric.hosts[node].run(*join, stdin=token, timeout_s=60)
        self.agents[node].launch()
        self.speakers[node].launch()

    def _agent(self, node: str) -> Program:
        argv = commands.node_agent(
            self._config(node), run_dir=self._run_dir(node), ovsdb=self._fabric.switches[node].db
        )
        api = self.agent_api(node)
        return Program(self._fabric.hosts[node], "agent", argv, ready=lambda: api.answers("/readyz"))

    def _speaker(self, node: str) -> Program:
        argv = commands.speaker(self._config(node), run_dir=self._run_dir(node))
        return Program(self._fabric.hosts[node], "speaker", argv)

    def _config(self, node: str) -> Path:
        """The options file that joining writes."""
        return self._fabric.hosts[node].directory / "etc" / "node.conf"

    def _run_dir(self, node: str) -> Path:
        return self._fabric.hosts[node].directory / "polder"
