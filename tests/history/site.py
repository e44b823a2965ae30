"""Where a history is made: three members of etcd, three controllers, and a host that is never cut off."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import commands
from lab.lab import Lab
from lab.management import Management, StartController
from lab.program import Program
from lab.rest import Rest, Unanswered
from lab.topology import End, HostSpec, Link, Role, Topology, mgmt_only
from lab.wait import wait_until
from tests.history.op import Seen
from tests.history.wire import Wire
from tests.support.containers import ask_to_delete

ROOT = Path(__file__).parents[2]
LOAD = "load"
NODES = ("rack-1", "rack-2", "rack-3", "rack-4")
ATTACH = "attach"
"""The label of endpoints that the simulated agents attach, so that their release has two phases."""
SETTLED_S = 60.0


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool that is small enough to be fought over."""

    name: str
    cidr: str
    block_prefixlen: int
    cooldown_s: int


POOLS = (Pool("hot", "10.65.0.0/25", 28, 0), Pool("cool", "10.65.1.0/26", 29, 1))
SIX = Pool("six", "fd00:65::/120", 124, 0)
TENANTS = {"red": {"max_ipv4": 25, "max_ipv6": 10}, "blue": {"max_ipv4": 25}}


def topology() -> Topology:
    """The management segment, and one more host on it."""
    segment = mgmt_only()
    return Topology(
        (*segment.hosts, HostSpec(LOAD, Role.METAL)),
        (*segment.links, Link(End("mgmt", LOAD, None), End(LOAD, "mgmt0", "10.255.0.200/24"))),
    )


class Site:
    """The lab of one history, with the simulated agents of `NODES`."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        access = lab.polder.management.access()
        self._flags = access.flags()
        self.agents = Program(
            lab.hosts[LOAD], "agents", in_tests("tests.history.nodes", *NODES, *self._flags)
        )

    @property
    def management(self) -> Management:
        """Etcd and the controllers."""
        return self.lab.polder.management

    def wires(self) -> list[Wire]:
        """Connections of one client, to each controller."""
        return [Wire(door) for door in self.management.doors]

    def prepare(self) -> None:
        """Create nodes, pools and tenants, start the agents. Raises LabError."""
        for node in NODES:
            self.lab.api.do("POST", "/v1/nodes", {"name": node, "asn": 64600})
        for tenant, limits in TENANTS.items():
            self.lab.api.do("POST", "/v1/tenants", {"name": tenant, **limits})
        for pool in (*POOLS, SIX):
            body = {name: getattr(pool, name) for name in ("name", "cidr", "block_prefixlen", "cooldown_s")}
            self.lab.api.do("POST", "/v1/pools", {**body, "borrow": True})
        self.agents.launch()

    def unwell(self) -> list[str]:
        """Which member or controller does not answer, and what it says; nothing when all is well."""
        hosts = self.management.hosts
        ready = {host.name: _readiness(api) for host, api in zip(hosts, self.management.apis, strict=True)}
        said = [f"controller on {host}: {why}" for host, why in ready.items() if why]
        members = zip(hosts, self.management.etcd, strict=True)
        return said + [f"etcd on {host.name}" for host, member in members if not member.healthy()]

    def settle(self) -> dict[str, Seen]:
        """End what is under way; returns the endpoints that are there then. Blocking.

        The controllers are stopped and started again: no request that a client gave up is left in them.
        """
        for controller in self.management.controllers:
            controller.stop()
        for controller in self.management.controllers:
            controller.launch()
        for controller in self.management.controllers:
            controller.wait_ready(SETTLED_S)
        found = wait_until(
            self._endpoints,
            SETTLED_S,
            "every release to end",
            good=lambda them: all(one["state"] == "assigned" for one in them),
            poll_s=0.1,
        )
        return {one["id"]: Seen.of(one) for one in found}

    def empty(self) -> None:
        """Release every endpoint that there is. Blocking. Raises NotInTime."""
        for one in self._endpoints():
            ask_to_delete(self.lab.api, one["id"])
        wait_until(self._endpoints, SETTLED_S, "no endpoint", good=lambda them: not them, poll_s=0.1)

    def witness(self, question: str, patience_s: float) -> Any:
        """Ask `tests.history.witness`. Blocking. Raises CommandFailed."""
        done = self.lab.hosts[LOAD].run(
            *in_tests("tests.history.witness", question, f"{patience_s:g}", *self._flags), timeout_s=240
        )
        return json.loads(done.stdout)

    def _endpoints(self) -> list[dict[str, Any]]:
        """All of them: a few hundred at most."""
        page = self.lab.api.do("GET", "/v1/endpoints?limit=1000")
        found: list[dict[str, Any]] = page["items"]
        assert not page.get("next"), "more endpoints than the clients ever hold"
        return found


@contextmanager
def site(name: str | None = None, *, controller: StartController = commands.controller) -> Iterator[Site]:
    """Build a site, and remove it. Blocking."""
    with Lab(name or f"history{os.getpid()}"[:16], topology=topology(), controller=controller) as lab:
        made = Site(lab)
        made.prepare()
        yield made


def _readiness(api: Rest) -> str:
    """Why a controller is not ready; nothing when it is."""
    try:
        answer = api.get("/readyz")
    except Unanswered as fault:
        return str(fault)
    return "" if answer.status == 200 else f"{answer.status} {answer.body}"


def in_tests(module: str, *arguments: str) -> list[str]:
    """The command line of a module of these tests, which are not installed."""
    return ["env", f"PYTHONPATH={ROOT}", sys.executable, "-P", "-m", module, *arguments]
