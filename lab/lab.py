"""The lab as a context manager: built on entry, removed on exit, whatever happens in between.

Entry claims the name, sweeps what crashed runs left (of any name), and builds. A failure or an
interrupt half-way removes what was made so far.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Self

from lab import commands, teardown, tools
from lab.claim import Claim
from lab.errors import LabError
from lab.fabric import Fabric, together
from lab.host import Completed, Host
from lab.management import StartController
from lab.polder import Polder
from lab.rest import Rest
from lab.router import Router
from lab.topology import Role, Topology, dual_tor

DEFAULT_NAME = "polder"

Say = Callable[[str], None]


def removal(name: str) -> str:
    """The command that removes a lab."""
    return "'make lab-down'" if name == DEFAULT_NAME else f"'{sys.executable} -m lab down --name {name}'"


class Lab:
    """A lab of one name on this machine.

    Args:
        name: 1 to 16 lower-case letters and digits; namespaces are called `<name>-<host>`.
        with_polder: start etcd, controllers, agents and speakers too; without it the fabric is bare.
        topology: what to build; two ToRs, three nodes and three management hosts when not given.
        controller: the command line of a controller; a test may start another one.
        say: told each step, for people.
    """

    def __init__(
        self,
        name: str = DEFAULT_NAME,
        *,
        with_polder: bool = True,
        topology: Topology | None = None,
        controller: StartController = commands.controller,
        say: Say = lambda _: None,
    ) -> None:
        self.name = name
        self.topology = topology or dual_tor()
        self._with_polder = with_polder
        self._controller = controller
        self._say = say
        self._claim: Claim | None = None
        self._fabric: Fabric | None = None
        self._polder: Polder | None = None

    @property
    def fabric(self) -> Fabric:
        """The hosts and what runs on them. Raises LabError before entry and after exit."""
        if self._fabric is None:
            raise LabError("the lab is not up")
        return self._fabric

    @property
    def polder(self) -> Polder:
        """Polder's programs. Raises LabError when the lab is down, or bare."""
        if self._polder is None:
            raise LabError("Polder does not run in this lab")
        return self._polder

    @property
    def hosts(self) -> dict[str, Host]:
        """Every host by its name in the topology, containers included."""
        return self.fabric.hosts

    @property
    def tors(self) -> dict[str, Router]:
        """The routers: `tor-a` and `tor-b`."""
        return self.fabric.tors

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes, in order."""
        return [spec.name for spec in self.topology.of(Role.NODE)]

    @property
    def api(self) -> Rest:
        """The first controller's REST API."""
        return self.polder.api

    def container(self, name: str) -> Host:
        """Make a container: a namespace with nothing but loopback, removed with the lab."""
        return self.fabric.container(name)

    def attach(self, endpoint: str, container: Host, node: str, *, ifname: str = "eth0") -> Any:
        """Have a node's agent put an endpoint into a container; returns the attachment. Raises LabError."""
        body = {"endpoint": endpoint, "netns": str(container.netns_path), "ifname": ifname}
        return self.polder.agent_api(node).do("POST", "/v1/attachments", body)

    def detach(self, endpoint: str, node: str) -> None:
        """Have a node's agent take an endpoint out of its container. Raises LabError."""
        self.polder.agent_api(node).do("DELETE", f"/v1/attachments/{endpoint}")

    def cli(self, *arguments: str, check: bool = True) -> Completed:
        """Run the `polder` command in `mgmt`, as the operator. Raises CommandFailed."""
        environment = self.polder.management.environment()
        return self.hosts["mgmt"].run(*commands.command_line(*arguments), check=check, env=environment)

    def up(self) -> None:
        """Build the lab. Blocking. Raises LabError; nothing is left then."""
        tools.require()
        for swept in teardown.sweep():
            self._say(f"removed what a crashed run had left of lab {swept}")
        claim = Claim(self.name, patient=True)
        if claim.ledger.read().standing:
            claim.release()
            raise LabError(f"lab {self.name} is up already; {removal(self.name)} removes it")
        try:
            self._claim = claim
            claim.ledger.begin()
            self._build(claim)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Remove the lab. Idempotent. Blocking."""
        claim, polder = self._claim, self._polder
        self._claim = self._fabric = self._polder = None
        if claim is not None:
            teardown.remove(claim)
        if polder is not None:
            polder.reap()

    def leave_standing(self) -> None:
        """Give the lab up as it is: it stays until `python -m lab down`."""
        if self._claim is not None:
            self._claim.ledger.standing()
            self._claim.release()
            self._claim = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def _build(self, claim: Claim) -> None:
        count = len(self.topology.hosts)
        self._say(f"{count} hosts as network namespaces, with FRR on the ToRs and Open vSwitch on the nodes")
        self._fabric = Fabric(claim, self.topology)
        self._fabric.wire()
        if not self._with_polder:
            self._fabric.start()
            return
        self._say(
            "three members of etcd, three controllers, and on each node that joins an agent and a speaker"
        )
        self._polder = Polder(self._fabric, claim.ledger, controller=self._controller)
        together([self._fabric.start, self._polder.management.start])
        self._polder.start()
