"""Polder on a fabric: etcd with TLS and two controllers in `mgmt`, an agent and a speaker on each node.

The programs are started as a user starts them, and told over REST what the topology says: one pool,
the nodes, and a peer for each uplink.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lab import commands
from lab.commands import EtcdAccess
from lab.etcd import EtcdServer, EtcdTls
from lab.fabric import Fabric
from lab.pki import Authority
from lab.program import Program
from lab.rest import Rest
from lab.state import Ledger
from lab.topology import MGMT_ADDRESS, Role
from lab.wait import wait_until

POOL = {"name": "default", "cidr": "10.64.0.0/16"}
API_ADDRESS = "127.0.0.1"
API_PORTS = (8080, 8081)
"""In the namespace of `mgmt`, one for each controller; both do all a controller does."""
SESSIONS_S = 30.0


class Polder:
    """Polder's programs on one fabric. Nothing runs until `start`."""

    def __init__(self, fabric: Fabric, ledger: Ledger) -> None:
        self._fabric = fabric
        self._ledger = ledger
        mgmt = fabric.hosts["mgmt"]
        self.etcd, access = _secured_etcd(mgmt.directory, mgmt.netns)
        self.url = f"http://{API_ADDRESS}:{API_PORTS[0]}"
        self.apis = [Rest.inside(mgmt.netns, API_ADDRESS, port) for port in API_PORTS]
        self.controllers = [
            Program(
                mgmt,
                f"controller-{number}",
                commands.controller(access, listen=f"{API_ADDRESS}:{port}"),
                ready=partial(api.answers, "/readyz"),
            )
            for number, (port, api) in enumerate(zip(API_PORTS, self.apis, strict=True), start=1)
        ]
        nodes = [spec.name for spec in fabric.topology.of(Role.NODE)]
        self.agents = {node: self._agent(node, access) for node in nodes}
        self.speakers = {node: self._speaker(node, access) for node in nodes}

    @property
    def api(self) -> Rest:
        """The first controller's API."""
        return self.apis[0]

    def start(self) -> None:
        """Start all, register what the topology says, wait for every BGP session. Blocking."""
        self.etcd.start()
        self._ledger.process(self.etcd.pid)
        programs = [*self.controllers, *self.agents.values(), *self.speakers.values()]
        for program in programs:
            program.launch()
        self.controllers[0].wait_ready()
        self.register()
        for program in programs:
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
        """Collect etcd, which has ended. Idempotent."""
        self.etcd.kill()

    def _agent(self, node: str, access: EtcdAccess) -> Program:
        argv = commands.node_agent(
            access, node=node, run_dir=self._run_dir(node), ovsdb=self._fabric.switches[node].db
        )
        api = self.agent_api(node)
        return Program(self._fabric.hosts[node], "agent", argv, ready=lambda: api.answers("/readyz"))

    def _speaker(self, node: str, access: EtcdAccess) -> Program:
        argv = commands.speaker(access, node=node, run_dir=self._run_dir(node))
        return Program(self._fabric.hosts[node], "speaker", argv)

    def _run_dir(self, node: str) -> Path:
        return self._fabric.hosts[node].directory / "polder"


def _secured_etcd(directory: Path, namespace: str) -> tuple[EtcdServer, EtcdAccess]:
    """An etcd that demands client certificates, and what Polder's programs need to use it."""
    authority = Authority.create(directory / "pki")
    server = authority.server("etcd", [MGMT_ADDRESS])
    client = authority.client("polder")
    tls = EtcdTls(authority.ca, server.cert, server.key, client.cert, client.key)
    etcd = EtcdServer(directory / "etcd", address=MGMT_ADDRESS, netns=namespace, tls=tls)
    return etcd, EtcdAccess(etcd.endpoints, authority.ca, client.cert, client.key)
