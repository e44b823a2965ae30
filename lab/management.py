"""The management hosts: on each a member of etcd and a controller, with TLS and certificates between them.

A controller asks the member on its own host first, and each node another one, so that what happens to one
member is felt by a third of the programs. A controller listens on its host's loopback.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from lab import commands
from lab.commands import EtcdAccess
from lab.etcd import EtcdCluster, EtcdServer, EtcdTls
from lab.host import Host
from lab.program import Program
from lab.rest import Rest
from lab.state import Ledger
from lab.topology import MGMT_ADDRESSES
from pki.directory import Directory, Pair

API_ADDRESS = "127.0.0.1"
API_PORT = 8080


class StartController(Protocol):
    """Makes the command line of a controller, as `lab.commands.controller` does."""

    def __call__(self, etcd: EtcdAccess, *, listen: str) -> list[str]:
        """The command line."""
        ...


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
        self._authority = Directory.create(self.hosts[0].directory / "pki")
        self._client = self._authority.issue("polder")
        self.etcd = EtcdCluster([self._member(host) for host in self.hosts])
        self.apis = [Rest.inside(host.netns, API_ADDRESS, API_PORT) for host in self.hosts]
        self.controllers = [
            Program(
                host,
                f"controller-{first + 1}",
                controller(self.access(first), listen=f"{API_ADDRESS}:{API_PORT}"),
                ready=partial(api.answers, "/readyz"),
            )
            for first, (host, api) in enumerate(zip(self.hosts, self.apis, strict=True))
        ]

    def access(self, first: int = 0) -> EtcdAccess:
        """What a program needs to use etcd; of the members it asks number `first` (round and round) first."""
        urls = self.etcd.endpoints
        first %= len(urls)
        return EtcdAccess(
            (*urls[first:], *urls[:first]), self._authority.ca, self._client.cert, self._client.key
        )

    def start_etcd(self) -> None:
        """Start every member and wait until each answers. Blocking. Raises EtcdFailed."""
        self.etcd.start()
        for member in self.etcd:
            self._ledger.process(member.pid)

    def _member(self, host: Host) -> EtcdServer:
        address = MGMT_ADDRESSES[host.name]
        pair: Pair = self._authority.issue(f"etcd-{host.name}", [address])
        return EtcdServer(
            host.directory / "etcd",
            name=host.name,
            address=address,
            netns=host.netns,
            tls=EtcdTls(self._authority.ca, pair.cert, pair.key, self._client.cert, self._client.key),
        )
