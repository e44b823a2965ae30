"""The embedded etcd: one member on loopback whose data outlives it.

Its port may differ from run to run; what it advertises to other members, which it has not, never does. So
the member finds itself in its own data again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from cli.failure import Failure
from cli.link import ServerLink
from cli.rest import call
from cli.up.child import Program
from cli.up.data import Data
from cli.up.listen import Listen, found_free

ADVERTISED_PEER = "http://127.0.0.1:2380"
KEPT_HISTORY = "1h"


@dataclass(frozen=True, slots=True)
class Etcd:
    """An etcd to be started."""

    program: Program
    client: Listen

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return self.client.server.url

    def missing(self) -> str:
        """Why it is not ready; empty when it is. Blocking."""
        try:
            health = call(ServerLink(self.client.server), "GET", "/health")
        except Failure as fault:
            return str(fault)
        healthy = health.ok and isinstance(health.body, dict) and health.body.get("health") == "true"
        return "" if healthy else f"it is not healthy: {health.body}"


def embedded(data: Data, port: int) -> Etcd:
    """An etcd with its data below `data`, on this port of 127.0.0.1 (0: a free one).

    Raises:
        Failure: etcd is not installed, or the port is in use.
    """
    binary = shutil.which("etcd")
    if binary is None:
        raise Failure(
            "etcd is not installed: there is no such program on PATH",
            advice="apt-get install etcd-server, or use one that runs elsewhere: polder up --etcd URL",
        )
    client = found_free(Listen("127.0.0.1", port), "--etcd-port PORT")
    peer = found_free(Listen("127.0.0.1", 0), "--etcd-port PORT")
    argv = [
        binary,
        "--name=polder",
        f"--data-dir={data.etcd}",
        f"--listen-client-urls={client.server.url}",
        f"--advertise-client-urls={client.server.url}",
        f"--listen-peer-urls={peer.server.url}",
        f"--initial-advertise-peer-urls={ADVERTISED_PEER}",
        f"--initial-cluster=polder={ADVERTISED_PEER}",
        "--auto-compaction-mode=periodic",
        f"--auto-compaction-retention={KEPT_HISTORY}",
        "--logger=zap",
        "--log-outputs=stderr",
        "--log-level=warn",
    ]
    return Etcd(Program("etcd", argv, data.log("etcd"), _environment(os.environ)), client)


def _environment(given: Mapping[str, str]) -> dict[str, str]:
    """Without what would configure another etcd of the user's; etcd reads each of its flags from ETCD_*."""
    return {
        key: value
        for key, value in given.items()
        if not key.startswith("ETCD_") or key == "ETCD_UNSUPPORTED_ARCH"
    }
