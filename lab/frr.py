"""A top-of-rack router run by FRR: its zebra and bgpd in one namespace, configured from the topology.

The daemons run as FRR's own user, in the foreground, with their sockets in the host's directory. The
configuration differs from FRR's defaults only where a lab must not wait for people: sessions without
policy are used (RFC 8212 is off), a lost session is tried again after one second, and updates to a
new peer are not held back for a second.
"""

from __future__ import annotations

import json
import pwd
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lab import tools
from lab.errors import LabError
from lab.host import Host
from lab.program import Program
from lab.router import BgpPath, Router, family_of
from lab.topology import HostSpec, Neighbour

FRR_USER = "frr"
FAMILIES = (4, 6)
MODULES = {"bgpd": ("-M", "bmp")}
"""Of a daemon: it has no BMP without, and cannot be given it while it runs."""

WELL_KNOWN = {
    "noExport": "65535:65281",
    "noAdvertise": "65535:65282",
    "localAs": "65535:65283",
    "gracefulShutdown": "65535:0",
    "blackhole": "65535:666",
}
"""FRR's words for well-known communities (RFC 1997, RFC 8326, RFC 7999)."""


class Frr(Router):
    """See `Router`. `vty` is the directory of its daemons' sockets, for vtysh."""

    PROTOCOL = "bgp"
    SHOWS = ("show bgp ipv4 unicast json", "show bgp ipv6 unicast json", "show bgp summary")

    def __init__(self, host: Host, spec: HostSpec, neighbours: Sequence[Neighbour]) -> None:
        super().__init__(host, spec, neighbours)
        self.vty = host.directory / "frr"
        files = {
            "zebra": f"hostname {spec.name}\nlog stdout informational\n",
            "bgpd": bgpd_config(spec.name, self.asn, self.router_id, neighbours),
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

    def argv(self, command: str) -> list[str]:
        """One command of vtysh."""
        return ["vtysh", "--vty_socket", str(self.vty), "-c", command]

    def vtysh(self, command: str) -> str:
        """Run one command of FRR's own shell. Raises CommandFailed."""
        return self.host.run(*self.argv(command)).stdout

    def vtysh_json(self, command: str) -> Any:
        """Run a `show ... json` command. Raises CommandFailed."""
        return json.loads(self.vtysh(command) or "{}")

    def configure(self, neighbours: Sequence[Neighbour]) -> None:
        """Have these neighbours from now on; the session with one that changes is reset. Raises LabError."""
        changed = [old for old in self.neighbours if old not in neighbours]
        new = [one for one in neighbours if one not in self.neighbours]
        lines = [*_filters(new), f"router bgp {self.asn}"]
        lines += [f" no neighbor {old.address}" for old in changed]
        lines += [*_sessions(new), *_families(new), ""]
        path = self.vty / "change.conf"
        path.write_text("\n".join(lines))
        self.host.run("vtysh", "--vty_socket", str(self.vty), "-f", str(path))
        self.neighbours = tuple(neighbours)

    def clear(self, address: object) -> None:
        """Reset the session with this peer, as an operator does. Raises CommandFailed."""
        self.vtysh(f"clear bgp {address}")

    def bgp_summary(self) -> dict[str, str]:
        """The state of each session in the words of the RFC, by the peer's address."""
        families = self.vtysh_json("show bgp summary json")
        peers = [found.get("peers", {}) for found in families.values()]
        return {address: peer["state"] for found in peers for address, peer in found.items()}

    def bgp_route(self, prefix: object) -> list[BgpPath]:
        """The paths to exactly this prefix, the best one first; empty when there is none."""
        found = self.vtysh_json(f"show bgp ipv{family_of(prefix)} unicast {prefix} json")
        paths = [_path(path) for path in found.get("paths", []) if found.get("prefix") == str(prefix)]
        return sorted(paths, key=lambda path: not path.best)

    def bgp_prefixes(self, family: int = 4) -> set[str]:
        """Every prefix of a family (4 or 6) in its BGP table."""
        return set(self.vtysh_json(f"show bgp ipv{family} unicast json").get("routes", {}))

    def _daemon(self, name: str) -> Program:
        argv = [
            tools.find(name),
            *("-f", str(self.vty / f"{name}.conf"), "--vty_socket", str(self.vty)),
            *("-i", str(self.vty / f"{name}.pid"), "-z", str(self.vty / "zserv.api")),
            *MODULES.get(name, ()),
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
    lines = [*_filters(neighbours), *lines, *_sessions(neighbours)]
    lines += [" address-family ipv4 unicast", "  redistribute connected", "  maximum-paths 8"]
    return "\n".join([*lines, " exit-address-family", *_families(neighbours), "end", ""])


def _filters(neighbours: Sequence[Neighbour]) -> Iterator[str]:
    for one in neighbours:
        if one.accepts is not None:
            words, length = ("ip", 32) if family_of(one.accepts) == 4 else ("ipv6", 128)
            yield f"{words} prefix-list {_filter(one.accepts)} permit {one.accepts} le {length}"


def _filter(accepts: str) -> str:
    return "WITHIN-" + re.sub("[^0-9a-f]", "-", accepts)


def _sessions(neighbours: Sequence[Neighbour]) -> Iterator[str]:
    for one in neighbours:
        yield f" neighbor {one.address} remote-as {one.asn}"
        yield f" neighbor {one.address} description {one.name}"
        yield f" neighbor {one.address} timers connect 1"
        if not one.active:
            yield f" neighbor {one.address} passive"
        if one.password is not None:
            yield f" neighbor {one.address} password {one.password}"
        if one.gtsm:
            yield f" neighbor {one.address} ttl-security hops 1"
        if one.multihop_ttl is not None:
            yield f" neighbor {one.address} ebgp-multihop {one.multihop_ttl}"
            yield f" neighbor {one.address} update-source {one.local_address}"


def _families(neighbours: Sequence[Neighbour]) -> Iterator[str]:
    for family in FAMILIES:
        mine = [one for one in neighbours if family in one.families]
        if not mine:
            continue
        yield f" address-family ipv{family} unicast"
        for one in mine:
            yield f"  neighbor {one.address} activate"
            if one.accepts is not None and family_of(one.accepts) == family:
                yield f"  neighbor {one.address} prefix-list {_filter(one.accepts)} in"
            if one.max_prefixes is not None:
                yield f"  neighbor {one.address} maximum-prefix {one.max_prefixes}"
        yield " exit-address-family"


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
    hops = sorted(path.get("nexthops", []), key=lambda hop: hop.get("scope") == "link-local")
    return BgpPath(
        next_hop=next((hop["ip"] for hop in hops), ""),
        as_path=tuple(int(asn) for segment in segments for asn in segment["list"]),
        peer=path.get("peer", {}).get("peerId", ""),
        best=bool(path.get("bestpath", {}).get("overall")),
        stale=bool(path.get("stale", False)),
        med=path.get("metric"),
        communities=_communities(path, "community"),
        large_communities=_communities(path, "largeCommunity"),
    )


def _communities(path: dict[str, Any], kind: str) -> frozenset[str]:
    return frozenset(WELL_KNOWN.get(one, one) for one in path.get(kind, {}).get("list", ()))
