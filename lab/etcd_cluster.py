"""Several members of etcd that hold one store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from lab.etcd import EtcdFailed, EtcdServer, EtcdTls, free_ports


class EtcdCluster:
    """Several members that hold one store. A context manager, as `EtcdServer` is.

    Give it members that were made with different names and directories; `on_loopback` makes them.
    """

    def __init__(self, members: Sequence[EtcdServer]) -> None:
        self.members = tuple(members)
        together = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in self.members:
            member.initial_cluster = together

    @classmethod
    def on_loopback(cls, directory: Path, size: int = 3, *, tls: EtcdTls | None = None) -> Self:
        """A cluster on free ports of 127.0.0.1."""
        ports = free_ports(2 * size)
        return cls(
            [
                EtcdServer(
                    directory / f"member-{number}",
                    name=f"member-{number}",
                    client_port=ports[2 * number],
                    peer_port=ports[2 * number + 1],
                    tls=tls,
                )
                for number in range(size)
            ]
        )

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The client URLs of all members."""
        return tuple(member.url for member in self.members)

    def leader(self) -> EtcdServer | None:
        """The member that leads now; None during an election. Blocking."""
        return next((member for member in self.members if member.leads()), None)

    def __iter__(self) -> Iterator[EtcdServer]:
        return iter(self.members)

    def start(self, *, deadline_s: float = 20.0) -> None:
        """Start all members and wait until each answers. Blocking.

        Raises:
            EtcdFailed: one did not; none runs then.
        """
        try:
            for member in self.members:
                member.launch()
            for member in self.members:
                member.wait_ready(deadline_s=deadline_s)
        except EtcdFailed:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop all members. Idempotent. Blocking."""
        for member in self.members:
            member.stop()

    def save(self, backup: Path) -> None:
        """Write a backup of the store to a file. Blocking. Raises EtcdFailed."""
        self.members[0].save(backup)

    def restore(self, backup: Path, *, token: str = "") -> None:
        """Kill all members, and start them with a backup in place of what they had. Blocking.

        Args:
            backup: what `save` wrote.
            token: names the new cluster; without one it has the id of the old.

        Raises:
            EtcdFailed: a member does not take it, or did not start; none runs then.
        """
        for member in self.members:
            member.kill()
        for member in self.members:
            member.bring_back(backup, token=token)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
