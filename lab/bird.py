"""A top-of-rack router run by BIRD 2 in one namespace, configured from the topology.

It runs in the foreground, with its socket and pid file in the host's directory. The configuration
differs from BIRD's defaults only where a lab must not wait for people: a lost session is tried again
after one second.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lab import tools
from lab.errors import LabError
from lab.host import Host
from lab.program import Program
from lab.router import BgpPath, Router, family_of
from lab.topology import HostSpec, Neighbour

CONFIGURED = ("Reconfigured", "Reconfiguration in progress")
"""The second while sessions that go are still being closed."""
_PATH = re.compile(r"^(?P<prefix>\S+)?\s+\w+ \[(?P<protocol>\S+) [^\]]*\](?P<best> \*)? \(\d+(?P<stale>s)?")
_PAIR = re.compile(r"\((\d+(?:, ?\d+)+)\)")


class Bird(Router):
    """See `Router`."""

    PROTOCOL = "bird"
    SHOWS = ("show route all", "show protocols all")

    def __init__(self, host: Host, spec: HostSpec, neighbours: Sequence[Neighbour]) -> None:
        super().__init__(host, spec, neighbours)
        self.config, self.socket = host.directory / "bird.conf", host.directory / "bird.ctl"
        self.config.write_text(bird_config(self.asn, self.router_id, neighbours))
        argv = [
            *(tools.find("bird"), "-f", "-c", str(self.config)),
            *("-s", str(self.socket), "-P", str(host.directory / "bird.pid")),
        ]
        self.bird = Program(host, "bird", argv, ready=self._answers)

    def start(self) -> None:
        """Start it and wait until it answers. Blocking. Raises LabError."""
        self.bird.start()

    def stop(self) -> None:
        """Stop it in peace: its sessions end with NOTIFICATION. Idempotent. Blocking."""
        self.bird.stop()

    def kill(self) -> None:
        """Kill it: sessions are lost without a word, routes stay in the kernel. Idempotent. Blocking."""
        self.bird.kill()

    def argv(self, command: str) -> list[str]:
        """One command of birdc."""
        return ["birdc", "-s", str(self.socket), command]

    def birdc(self, command: str) -> str:
        """Run one command of BIRD's own shell. Raises CommandFailed."""
        return self.host.run(*self.argv(command)).stdout

    def configure(self, neighbours: Sequence[Neighbour]) -> None:
        """Have these neighbours from now on; the session with one that changes is reset. Raises LabError."""
        self.load(bird_config(self.asn, self.router_id, neighbours))
        self.neighbours = tuple(neighbours)

    def load(self, config: str) -> None:
        """Have this configuration from now on, `bird_config` or another. Raises LabError: BIRD refuses it."""
        self.config.write_text(config)
        said = self.birdc("configure")
        if not any(word in said for word in CONFIGURED):
            raise LabError(f"BIRD on {self.host.name}: {said.strip()}")

    def clear(self, address: object) -> None:
        """Reset the session with this peer, as an operator does. Raises CommandFailed."""
        self.birdc(f"restart {self._protocol(address)}")

    def bgp_summary(self) -> dict[str, str]:
        """The state of each session in the words of the RFC, by the peer's address."""
        found = re.findall(
            r"BGP state: +(\w+)\n +Neighbor address: (\S+)",
            self.birdc("show protocols all").replace("\r", ""),
        )
        return {address: state for state, address in found}

    def bgp_route(self, prefix: object) -> list[BgpPath]:
        """The paths to exactly this prefix, the best one first; empty when there is none."""
        shown = self.birdc(f"show route for {prefix} table master{family_of(prefix)} all")
        return sorted(self._paths(shown, str(prefix)), key=lambda path: not path.best)

    def bgp_prefixes(self, family: int = 4) -> set[str]:
        """Every prefix of a family (4 or 6) in its BGP table."""
        lines = self.birdc(f"show route table master{family}").splitlines()
        return {line.split()[0] for line in lines if "/" in line.partition(" ")[0]}

    def _paths(self, shown: str, prefix: str) -> Iterator[BgpPath]:
        peers = {_protocol(one): one.address for one in self.neighbours}
        of: str | None = None
        for text in re.split(r"\n(?=\S|\s+\w+ \[)", shown):
            head, *rest = text.splitlines()
            if (found := _PATH.match(head)) is None:
                continue
            of = found["prefix"] or of
            if of != prefix:
                continue
            said = dict(line.strip().split(": ", 1) for line in rest if ": " in line)
            yield BgpPath(
                next_hop=said.get("BGP.next_hop", "").partition(" ")[0],
                as_path=tuple(map(int, said.get("BGP.as_path", "").split())),
                peer=peers.get(found["protocol"], ""),
                best=bool(found["best"]),
                stale=bool(found["stale"]),
                med=int(said["BGP.med"]) if "BGP.med" in said else None,
                communities=_communities(said.get("BGP.community", "")),
                large_communities=_communities(said.get("BGP.large_community", "")),
            )

    def _protocol(self, address: object) -> str:
        return next(_protocol(one) for one in self.neighbours if one.address == str(address))

    def _answers(self) -> bool:
        return self.socket.exists() and self.host.run(*self.argv("show status"), check=False).returncode == 0


def bird_config(asn: int, router_id: str, neighbours: Sequence[Neighbour]) -> str:
    """The configuration of BIRD. The ToR announces what is connected to it, its loopback included."""
    lines = [
        "log stderr all;",
        f"router id {router_id};",
        "protocol device { }",
        "protocol direct { ipv4; ipv6; }",
        *(f"protocol kernel {{ ipv{family} {{ export where source = RTS_BGP; }}; }}" for family in (4, 6)),
    ]
    for one in neighbours:
        lines += [
            f"protocol bgp {_protocol(one)} {{",
            f"  local {one.local_address} as {asn};",
            f"  neighbor {one.address} as {one.asn};",
            "  connect delay time 1; connect retry time 1; error wait time 1, 1; startup hold time 10;",
            *_session(one),
            *(f"  ipv{family} {{ {_channel(one, family)} }};" for family in one.families),
            "}",
        ]
    return "\n".join([*lines, ""])


def _session(one: Neighbour) -> Iterator[str]:
    if not one.active:
        yield "  passive yes;"
    if one.password is not None:
        yield f'  password "{one.password}";'
    if one.gtsm:
        yield "  ttl security yes;"
    if one.multihop_ttl is not None:
        yield f"  multihop {one.multihop_ttl};"


def _channel(one: Neighbour, family: int) -> str:
    accepts = one.accepts if one.accepts is not None and family_of(one.accepts) == family else None
    words = [
        f"import where net ~ [ {accepts}+ ];" if accepts else "import all;",
        "export where source ~ [ RTS_DEVICE, RTS_BGP ];",
    ]
    if one.max_prefixes is not None:
        words.append(f"receive limit {one.max_prefixes} action restart;")
    return " ".join(words)


def _protocol(neighbour: Neighbour) -> str:
    """The name of a session in BIRD's words: letters, digits and underscores."""
    return "to_" + re.sub(r"\W", "_", f"{neighbour.name}_{neighbour.address}")


def _communities(text: str) -> frozenset[str]:
    return frozenset(re.sub(", ?", ":", found) for found in _PAIR.findall(text))
