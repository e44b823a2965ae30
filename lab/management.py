"""The management hosts: on each a member of etcd and a controller, as `polder pki init` tells to start them.

Etcd asks each client for its rights, the controllers ask for a token. A controller asks the member on its
own host first, and tells the nodes that join with it to do so: what happens to one member is felt by a third
of the programs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from lab import commands
from lab.commands import EtcdAccess
from lab.credentials import Credentials
from lab.etcd import EtcdServer
from lab.etcd_cluster import EtcdCluster
from lab.host import Host
from lab.program import Program
from lab.rest import Door, Rest
from lab.state import Ledger
from lab.topology import MGMT_ADDRESSES
from pki.directory import ETCD

API_PORT = 8443
LOOPBACK = "127.0.0.1"
"""Tests reach a controller on its own host, also while that is cut off from all others."""

StartController = Callable[[Sequence[str]], list[str]]
"""From the options of a controller to its command line, as `lab.commands.controller`."""


class Management:
    """Etcd and the controllers. Nothing runs until it is started.

    Args:
        hosts: the hosts of the lab, which has those in `MGMT_ADDRESSES`.
        ledger: told what runs.
        controller: the command line of each controller.
    """

    def __init__(
        self,
        hosts: Mapping[str, Host],
        ledger: Ledger,
        *,
        controller: StartController = commands.controller,
    ) -> None:
        self.hosts = [hosts[name] for name in MGMT_ADDRESSES]
        self._ledger = ledger
        self.credentials = Credentials(self.hosts[0].directory, MGMT_ADDRESSES.values())
        tls = self.credentials.etcd_tls()
        self.etcd = EtcdCluster(
            [
                EtcdServer(
                    host.directory / "etcd",
                    name=host.name,
                    address=MGMT_ADDRESSES[host.name],
                    netns=host.netns,
                    tls=tls,
                    flags=[f"--peer-cert-allowed-cn={ETCD}"],
                )
                for host in self.hosts
            ]
        )
        trust = self.credentials.trust()
        self.doors = [
            Door(host.netns, LOOPBACK, API_PORT, trust, self.credentials.token) for host in self.hosts
        ]
        self.apis = [Rest.through(door) for door in self.doors]
        self.urls = [f"https://{MGMT_ADDRESSES[host.name]}:{API_PORT}" for host in self.hosts]
        self.controllers = [
            Program(
                host,
                f"controller-{first + 1}",
                controller(self._options(first)),
                ready=partial(api.answers, "/readyz"),
            )
            for first, (host, api) in enumerate(zip(self.hosts, self.apis, strict=True))
        ]

    def access(self) -> EtcdAccess:
        """What a program needs to use etcd as its root."""
        root = self.credentials.root
        return EtcdAccess(self.etcd.endpoints, self.credentials.ca, root.cert, root.key)

    def environment(self) -> dict[str, str]:
        """What the `polder` command is told by its environment."""
        return {
            "POLDER_SERVER": ",".join(self.urls),
            "POLDER_CA": str(self.credentials.ca),
            "POLDER_TOKEN": self.credentials.token,
        }

    def start(self) -> None:
        """Start etcd, have it ask for rights, start the controllers and do not wait for them. Blocking.

        Raises:
            EtcdFailed: a member did not answer.
            CommandFailed: `polder etcd secure` failed.
        """
        self.etcd.start()
        for member in self.etcd:
            self._ledger.process(member.pid)
        self.hosts[0].run(*commands.command_line("etcd", "secure", *self._shared(0)), timeout_s=60)
        for controller in self.controllers:
            controller.launch()

    def _options(self, first: int) -> list[str]:
        return [
            *self._shared(first),
            f"--listen=0.0.0.0:{API_PORT}",
            f"--token-file={self.credentials.token_file}",
        ]

    def _shared(self, first: int) -> list[str]:
        """Where etcd is, beginning with member number `first`, and the certificates."""
        urls = self.etcd.endpoints
        return [f"--etcd={','.join((*urls[first:], *urls[:first]))}", f"--pki={self.credentials.pki}"]
