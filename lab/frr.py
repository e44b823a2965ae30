"""A top-of-rack router: FRR's zebra and bgpd in one namespace, configured from the topology.

The daemons run as FRR's own user, in the foreground, with their sockets in the host's directory. The
configuration differs from FRR's defaults only where a lab must not wait for people: sessions without
policy are used (RFC 8212 is off), a lost session is tried again after one second, and updates to a
new peer are not held back for a second.
"""

from __future__ import annotations

import json
import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab import tools
from lab.errors import LabError
from lab.host import Host
from lab.program import Program
from lab.route import Route
from lab.topology import HostSpec, Neighbour

FRR_USER = "frr"


@dataclass(frozen=True, slots=True)
class BgpPath:
    """One path of a BGP table. `peer` is whom it was heard from."""

    next_hop: str
    as_path: tuple[int, ...]
    peer: str
    best: bool
    stale: bool


class Tor:
    """A ToR router of the lab. `vty` is the directory of its daemons' sockets, for vtysh."""

    def __init__(self, host: Host, spec: HostSpec, neighbours: Sequence[Neighbour]) -> None:
        if spec.asn is None or spec.loopback is None:
            raise LabError(f"{spec.name} needs an AS number and a loopback address to be a router")
        self.host = host
        self.asn = spec.asn
        self.vty = host.directory / "frr"
        files = {
            "zebra": f"hostname {spec.name}\nlog stdout informational\n",
            "bgpd": bgpd_config(spec.name, spec.asn, spec.loopback.partition("/")[0], neighbours),
        }
        _prepare(self.vty, files)
        self.zebra = self._daemon("zebra")
        self.bgpd = self._daemon("bgpd")

    def start(self) -> None:
        """Start both daemons and wait until they answer. Blocking. Raises LabError."""
        self.zebra.start()
        self.bgpd.start()

    def stop(self) -> None:
        """Stop both daemons in peace. Idempotent. Blocking."""
        self.bgpd.stop()
        self.zebra.stop()

    def kill(self) -> None:
        """Kill both daemons: sessions and routes are lost without a word. Idempotent. Blocking."""
        self.bgpd.kill()
        self.zebra.kill()

    def vtysh(self, command: str) -> str:
        """Run one command of FRR's own shell. Raises CommandFailed."""
        return self.host.run("vtysh", "--vty_socket", str(self.vty), "-c", command).stdout

    def vtysh_json(self, command: str) -> Any:
        """Run a `show ... json` command. Raises CommandFailed."""
        return json.loads(self.vtysh(command) or "{}")

    def bgp_summary(self) -> dict[str, str]:
        """The state of each session in the words of the RFC, by the peer's address."""
        peers = self.vtysh_json("show bgp ipv4 unicast summary json").get("peers", {})
        return {address: peer["state"] for address, peer in peers.items()}

    def established(self, address: object) -> bool:
        """Whether the session with this peer is up."""
        return self.bgp_summary().get(str(address)) == "Established"

    def bgp_route(self, prefix: object) -> list[BgpPath]:
        """The paths to exactly this prefix, the best one first; empty when there is none."""
        found = self.vtysh_json(f"show bgp ipv4 unicast {prefix} json")
        paths = [_path(path) for path in found.get("paths", []) if found.get("prefix") == str(prefix)]
        return sorted(paths, key=lambda path: not path.best)

    def bgp_prefixes(self) -> set[str]:
        """Every prefix in its BGP table."""
        return set(self.vtysh_json("show bgp ipv4 unicast json").get("routes", {}))

    def kernel_routes(self) -> dict[str, Route]:
        """The routes that BGP has put into its kernel, by prefix."""
        return {route.dst: route for route in self.host.routes() if route.protocol == "bgp"}

    def _daemon(self, name: str) -> Program:
        argv = [
            tools.find(name),
            *("-f", str(self.vty / f"{name}.conf"), "--vty_socket", str(self.vty)),
            *("-i", str(self.vty / f"{name}.pid"), "-z", str(self.vty / "zserv.api")),
        ]
        return Program(self.host, name, argv, ready=lambda: self._answers(name))

    def _answers(self, daemon: str) -> bool:
        sockets = [self.vty / f"{daemon}.vty", *([self.vty / "zserv.api"] if daemon == "zebra" else [])]
        if not all(socket.exists() for socket in sockets):
            return False
        argv = ("vtysh", "--vty_socket", str(self.vty), "-d", daemon, "-c", "show version")
        return self.host.run(*argv, check=False).returncode == 0


def bgpd_config(name: str, asn: int, router_id: str, neighbours: Sequence[Neighbour]) -> str:
    """The configuration of bgpd. The ToR announces what is connected to it, its loopback included."""
    lines = [
        f"hostname {name}",
        "log stdout informational",
        "debug bgp neighbor-events",
        f"router bgp {asn}",
        f" bgp router-id {router_id}",
        " bgp log-neighbor-changes",
        " no bgp ebgp-requires-policy",
        " no bgp default ipv4-unicast",
        " bgp bestpath as-path multipath-relax",
        " coalesce-time 10",
    ]
    for neighbour in neighbours:
        lines += [
            f" neighbor {neighbour.address} remote-as {neighbour.asn}",
            f" neighbor {neighbour.address} description {neighbour.name}",
            f" neighbor {neighbour.address} timers connect 1",
        ]
        if not neighbour.active:
            lines.append(f" neighbor {neighbour.address} passive")
    lines += [" address-family ipv4 unicast", "  redistribute connected", "  maximum-paths 8"]
    lines += [f"  neighbor {neighbour.address} activate" for neighbour in neighbours]
    return "\n".join([*lines, " exit-address-family", "end", ""])


def _prepare(directory: Path, files: dict[str, str]) -> None:
    try:
        user = pwd.getpwnam(FRR_USER)
    except KeyError:
        raise LabError("FRR's user 'frr' does not exist: run 'make setup' as root") from None
    directory.mkdir(mode=0o750, exist_ok=True)
    shutil.chown(directory, user.pw_uid, user.pw_gid)
    for name, text in files.items():
        path = directory / f"{name}.conf"
        path.write_text(text)
        path.chmod(0o644)


def _path(path: dict[str, Any]) -> BgpPath:
    segments = path["aspath"].get("segments", [])
    return BgpPath(
        next_hop=next((hop["ip"] for hop in path.get("nexthops", [])), ""),
        as_path=tuple(int(asn) for segment in segments for asn in segment["list"]),
        peer=path.get("peer", {}).get("peerId", ""),
        best=bool(path.get("bestpath", {}).get("overall")),
        stale=bool(path.get("stale", False)),
    )
