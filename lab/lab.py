"""The lab as a context manager: built on entry, removed on exit, whatever happens in between.

Entry claims the name, sweeps what crashed runs left (of any name), and builds. A failure or an
interrupt half-way removes what was made so far.
"""

from __future__ import annotations

from typing import Self

from lab import teardown, tools
from lab.errors import LabError
from lab.fabric import Fabric
from lab.frr import Tor
from lab.host import Host
from lab.state import Claim
from lab.topology import Role, Topology, dual_tor


class Lab:
    """A lab of one name on this machine.

    Args:
        name: 1 to 16 lower-case letters and digits; namespaces are called `<name>-<host>`.
        topology: what to build; two ToRs and three nodes when not given.
    """

    def __init__(self, name: str = "lab", *, topology: Topology | None = None) -> None:
        self.name = name
        self.topology = topology or dual_tor()
        self._claim: Claim | None = None
        self._fabric: Fabric | None = None

    @property
    def fabric(self) -> Fabric:
        """The hosts and what runs on them. Raises LabError before entry and after exit."""
        if self._fabric is None:
            raise LabError("the lab is not up")
        return self._fabric

    @property
    def hosts(self) -> dict[str, Host]:
        """Every host by its name in the topology, containers included."""
        return self.fabric.hosts

    @property
    def tors(self) -> dict[str, Tor]:
        """The routers: `tor-a` and `tor-b`."""
        return self.fabric.tors

    @property
    def nodes(self) -> list[str]:
        """The names of the nodes, in order."""
        return [spec.name for spec in self.topology.of(Role.NODE)]

    def container(self, name: str) -> Host:
        """Make a container: a namespace with nothing but loopback."""
        return self.fabric.container(name)

    def up(self) -> None:
        """Build the lab. Blocking. Raises LabError; nothing is left then."""
        tools.require()
        teardown.sweep()
        self._claim = Claim(self.name)
        if self._claim.ledger.read().standing:
            self._claim.release()
            raise LabError(
                f"lab {self.name} stands already: remove it with 'python -m lab down --name {self.name}'"
            )
        try:
            self._claim.ledger.begin()
            self._build(self._claim)
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Remove the lab. Idempotent. Blocking."""
        claim, self._claim, self._fabric = self._claim, None, None
        if claim is not None:
            teardown.remove(claim)

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
        self._fabric = Fabric(claim, self.topology)
        self._fabric.build()
