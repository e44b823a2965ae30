"""Nodes with a real agent, kernel and Open vSwitch over the etcd of a `Service`, for rows about many nodes.

Each is a namespace of a lab; its agent reaches etcd by a relay. A flow monitor (ovs-ofctl) tells when the
bridge's flows change, a dump whether they are what they should be.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from bench.relay import Relay
from intent.held import Held
from intent.names import BRIDGE
from lab import tools
from lab.errors import LabError
from lab.host import Host
from lab.lab import Lab
from lab.program import Program
from lab.rest import Rest, Unanswered
from lab.topology import HostSpec, Role, Topology
from lab.wait import wait_until
from openflow.bridge import Bridge
from openflow.flow import Flow, FlowKey
from openflow.switch import Switch
from store.model import Endpoint

CONNECT_S = 10.0
READY_S = 300.0
ATTACHED_AT_A_TIME = 4


class RealNode:
    """One node; use `RealNodes`."""

    def __init__(self, lab: Lab, name: str, etcd: str) -> None:
        self.name = name
        self._lab = lab
        host, ovs = lab.hosts[name], lab.fabric.switches[name]
        self._management = ovs.directory / f"{BRIDGE}.mgmt"
        run_dir = host.directory / "polder"
        self._api = Rest.unix(run_dir / "agent.sock")
        argv = [sys.executable, "-P", "-m", "agents.node", f"--node={name}", f"--etcd={etcd}"]
        options = (f"--run-dir={run_dir}", f"--ovsdb={ovs.db}")
        self.agent = Program(host, "agent", [*argv, *options], ready=lambda: self._api.answers("/readyz"))
        self._bridge = Bridge(ovs.db, BRIDGE)
        self._switch = Switch(self._management)
        self._monitor: subprocess.Popen[str] | None = None
        self.changes: list[float] = []
        """When a flow of the bridge changed, each time, by `time.perf_counter`."""

    def start(self, endpoints: Sequence[Endpoint]) -> None:
        """Start the agent, attach these endpoints, each to a container of its own, and watch the flows."""
        self.agent.start(READY_S)
        containers = [self._lab.container(endpoint.id) for endpoint in endpoints]
        with ThreadPoolExecutor(ATTACHED_AT_A_TIME) as pool:
            list(pool.map(self._attach, containers))
        self._bridge.start()
        self._switch.start()
        if not self._switch.wait_connected(CONNECT_S):
            raise LabError(f"the bridge of {self.name} does not answer")
        argv = (tools.find("ovs-ofctl"), "-O", "OpenFlow13", "monitor", f"unix:{self._management}")
        self._monitor = subprocess.Popen(
            [*argv, "watch:!initial"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**tools.environment(), "OVS_RUNDIR": str(self._management.parent)},  # its control socket
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Stop watching; the agent ends with the lab. Idempotent."""
        if self._monitor is not None:
            self._monitor.terminate()
            self._monitor.wait()
        self._switch.stop()
        self._bridge.close()

    def held(self, endpoints: Iterable[Endpoint]) -> list[Held]:
        """The endpoints with the ports that they have."""
        ofports = {row.external_ids["polder"]: row.ofport for row in self._bridge.ports().values()}
        return [Held(one, ofports[one.id] or 0, judged=True) for one in endpoints]

    def lacks(self, wanted: Mapping[FlowKey, Flow], unwanted: Iterable[FlowKey]) -> int:
        """How many flows the bridge lacks of those wanted, or has of the others."""
        there = {flow.key: flow for flow in self._switch.dump()}
        missing = sum(there.get(key) != flow for key, flow in wanted.items())
        return missing + sum(key in there for key in unwanted)

    def _attach(self, container: Host) -> None:
        body = {"endpoint": container.name, "netns": str(container.netns_path), "ifname": "eth0"}

        def attached() -> bool:
            try:
                answer = self._api.request("POST", "/v1/attachments", body)
            except Unanswered:
                return False
            if answer.status not in {200, 201, 503}:
                raise LabError(f"{container.name} is not attached: {answer.status}")
            return answer.status != 503  # the agent is busy: it goes on, and says so when asked again

        wait_until(attached, READY_S, f"{container.name} to be attached")

    def _listen(self) -> None:
        assert self._monitor is not None and self._monitor.stderr is not None  # noqa: S101, PT018
        for line in self._monitor.stderr:
            if "event=" in line:
                self.changes.append(time.perf_counter())


class RealNodes:
    """Some nodes, not started yet. A context manager: all of it is gone afterwards.

    Args:
        names: of nodes that are registered.
        etcd: the URL of an etcd on this host's loopback.
    """

    def __init__(self, names: Sequence[str], etcd: str) -> None:
        self._etcd = etcd
        hosts = tuple(HostSpec(name, Role.NODE) for name in names)
        self._lab = Lab("bench", with_polder=False, topology=Topology(hosts, ()))
        self._stack = ExitStack()
        self.nodes: list[RealNode] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            lab = stack.enter_context(self._lab)
            for name in lab.nodes:
                stack.enter_context(Relay(lab.hosts[name].netns, int(self._etcd.rpartition(":")[2])))
                node = RealNode(lab, name, self._etcd)
                stack.callback(node.close)
                self.nodes.append(node)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
