"""A router and two hosts that speak BGP with it: where the rows about BGP are measured.

    node 10.9.0.1/31 ---- 10.9.0.0/31 tor 10.9.2.0/31 ---- 10.9.2.1/31 rival     AS 64511, 64501, 64512
         10.9.1.1/31 ---- 10.9.1.0/31

Polder's speakers run in this process, in threads that are inside `node`'s namespace; their ExaBGP too. The
peer that a row measures them against (BIRD, GoBGP) runs in `rival`'s. What counts is the router's kernel.
"""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from pathlib import Path

from bgp.advertisement import Advertisement
from bgp.exabgp import rundir
from bgp.exabgp.driver import ExaBgpSpeaker
from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from bgp.fsm import State
from bgp.peer import PeerConfig
from lab import netns
from lab.errors import LabError
from lab.frr import Frr
from lab.host import Host
from lab.lab import Lab
from lab.topology import End, HostSpec, Link, Role, Topology
from lab.wait import wait_until

UP_S = 20.0
POLL_S = 0.02

RIVAL_ADDRESS, RIVAL_ROUTER = "10.9.2.1", "10.9.2.0"

Wanted = dict[IPv4Network | IPv6Network, Advertisement]
"""What `Speaker.replace` takes."""

BED = Topology(
    hosts=(
        HostSpec("tor", Role.TOR, asn=64501, loopback="10.9.255.1/32"),
        HostSpec("node", Role.METAL, asn=64511),
        HostSpec("rival", Role.METAL, asn=64512),
    ),
    links=(
        Link(End("tor", "node", "10.9.0.0/31"), End("node", "tor", "10.9.0.1/31")),
        Link(End("tor", "node2", "10.9.1.0/31"), End("node", "tor2", "10.9.1.1/31")),
        Link(End("tor", "rival", "10.9.2.0/31"), End("rival", "tor", "10.9.2.1/31")),
    ),
)


def hosts(first: str, count: int) -> list[IPv4Network]:
    """So many /32, one after the other."""
    begin = int(IPv4Address(first))
    return [IPv4Network((begin + number, 32)) for number in range(count)]


def wanted(prefixes: list[IPv4Network]) -> Wanted:
    """The wish to announce these, and nothing else."""
    return {prefix: Advertisement(prefix) for prefix in prefixes}


@dataclass
class Speaking:
    """One speaker with its process."""

    speaker: ExaBgpSpeaker
    directory: Path
    local_address: IPv4Address
    asn: int

    @property
    def pid(self) -> int:
        """Of its ExaBGP."""
        record = rundir.recorded(self.directory)
        assert record is not None  # noqa: S101
        return record.pid


@dataclass
class Bed:
    """The hosts, the router, and the speakers that were made."""

    lab: Lab
    _made: list[Speaking] = field(default_factory=list)

    @property
    def tor(self) -> Frr:
        """The router."""
        tor = self.lab.tors["tor"]
        if not isinstance(tor, Frr):
            raise LabError(f"the router is {type(tor).__name__}, not FRR")
        return tor

    @property
    def rival(self) -> Host:
        """Where the peer of the comparison runs."""
        return self.lab.hosts["rival"]

    @property
    def rival_ends(self) -> dict[str, object]:
        """The two ends of the session of whatever runs on `rival`."""
        return {
            "address": RIVAL_ADDRESS, "asn": BED.host("rival").asn,
            "router": RIVAL_ROUTER, "router_asn": self.tor.asn,
        }  # fmt: skip

    def rival_is_up(self) -> bool:
        """Whether the router has a session with it."""
        return self.tor.established(RIVAL_ADDRESS)

    def speaker(self, link: str = "node", host: str = "node") -> Speaking:
        """A speaker whose session with the router is up, over the router's link of that name."""
        tor_end, far_end = next(pair for pair in BED.ends("tor") if pair[0].ifname == link)
        asn = BED.host(host).asn
        assert asn is not None  # noqa: S101
        local = IPv4Address(far_end.ip)
        peer = PeerConfig(IPv4Address(tor_end.ip), self.tor.asn, local, asn, router_id=local)
        directory = self.lab.hosts[host].directory / f"bgp-{link}"
        made = Speaking(ExaBgpSpeaker(peer, directory, lambda: None), directory, local, asn)
        self._made.append(made)
        netns.within(self.lab.hosts[host].netns, made.speaker.start)
        wait_until(lambda: _is_up(made.speaker), UP_S, f"the session over {link}")
        wait_until(lambda: self.tor.established(local), UP_S, f"the router's session with {local}")
        return made

    def routes(self) -> int:
        """How many prefixes the router's kernel has, its own included."""
        text = Path(f"/proc/{self.tor.bgpd.pid}/net/fib_triestat").read_text()
        return int(re.findall(r"Prefixes:\s+(\d+)", text)[0])

    def wait_routes(self, count: int, deadline_s: float) -> None:
        """Wait until the router's kernel has exactly so many prefixes. Blocking. Raises `NotInTime`."""
        wait_until(
            self.routes, deadline_s, f"{count} prefixes at the router", good=count.__eq__, poll_s=POLL_S
        )

    def has_end_of_rib(self, address: IPv4Address) -> bool:
        """Whether the router has had End-of-RIB on its session with this address."""
        found = self.tor.vtysh_json(f"show bgp neighbors {address} json")[str(address)]
        return bool(found.get("gracefulRestartInfo", {}).get("endOfRibRecv", {}).get("ipv4Unicast"))

    def retire(self) -> None:
        """End the speakers and their processes."""
        for made in self._made:
            made.speaker.detach()
            retire(RunDir(made.directory))
        self._made.clear()


@contextmanager
def bed() -> Iterator[Bed]:
    """A lab with these hosts, removed at the end."""
    with Lab(f"bench{os.getpid()}", with_polder=False, topology=BED) as lab:
        made = Bed(lab)
        try:
            yield made
        finally:
            made.retire()


def resident_mb(pid: int) -> float:
    """The resident memory of a process now, in MB (10^6 bytes)."""
    return _status(pid, "VmRSS")


def peak_mb(pid: int) -> float:
    """The most resident memory that a process has had, in MB."""
    return _status(pid, "VmHWM")


def own_cpu_s() -> float:
    """User and system time of this process so far, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def timed(act: Callable[[], None], done: Callable[[], None]) -> float:
    """Seconds from before `act` until `done` returns."""
    began = time.monotonic()
    act()
    done()
    return time.monotonic() - began


def _status(pid: int, name: str) -> float:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def _is_up(speaker: ExaBgpSpeaker) -> bool:
    report = speaker.report()
    return report is not None and report.state is State.ESTABLISHED
