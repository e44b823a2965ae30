"""A ToR and a node on one cable, for tests of BGP.

    tor 10.9.0.0/31 ---- 10.9.0.1/31 node        AS 64501, 64511
        fd09::/127 ----- fd09::1/127

The speaker under test runs in this process, in threads that are inside the node's namespace.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

from bgp.adj_rib_out import IPNetwork
from bgp.advertisement import Advertisement
from bgp.exabgp.driver import ExaBgpSpeaker, Timing
from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from bgp.fsm import State
from bgp.peer import PeerConfig
from bgp.speaker import SessionReport
from lab import netns
from lab.frr import Tor
from lab.host import Host
from lab.lab import Lab
from lab.topology import End, HostSpec, Link, Role, Topology
from lab.wait import wait_until

UP_S = 10.0

TOR_ADDRESS, NODE_ADDRESS = IPv4Address("10.9.0.0"), IPv4Address("10.9.0.1")
PEER = PeerConfig(
    peer_address=TOR_ADDRESS,
    peer_asn=64501,
    local_address=NODE_ADDRESS,
    local_asn=64511,
    router_id=NODE_ADDRESS,
)

CABLE = Topology(
    hosts=(
        HostSpec("tor", Role.TOR, asn=64501, loopback="10.9.255.1/32"),
        HostSpec("node", Role.METAL, asn=64511),
    ),
    links=(Link(End("tor", "node", "10.9.0.0/31"), End("node", "tor", "10.9.0.1/31")),),
)


def wanted(*prefixes: object, **attributes: Any) -> dict[IPNetwork, Advertisement]:
    """What `Speaker.replace` takes, for prefixes as text."""
    parsed = [ip_network(str(prefix)) for prefix in prefixes]
    return {prefix: Advertisement(prefix, **attributes) for prefix in parsed}


def report_of(speaker: ExaBgpSpeaker, what: str, good: Callable[[SessionReport], object]) -> SessionReport:
    """Wait until the session's report is good, and return it."""

    def look() -> SessionReport | None:
        report = speaker.report()
        return report if report is not None and good(report) else None

    report = wait_until(look, UP_S, what)
    assert report is not None
    return report


def state_is(speaker: ExaBgpSpeaker, state: State) -> SessionReport:
    """Wait until the session is in this state, and return its report."""
    return report_of(speaker, state, lambda report: report.state is state)


@dataclass
class Cable:
    """The two hosts, and the speakers that a test has made."""

    lab: Lab
    base: Path
    speakers: list[tuple[ExaBgpSpeaker, Path]] = field(default_factory=list)
    _left: list[Path] = field(default_factory=list)

    @property
    def tor(self) -> Tor:
        """The router."""
        return self.lab.tors["tor"]

    @property
    def node(self) -> Host:
        """The host that speaks."""
        return self.lab.hosts["node"]

    def speaker(self, name: str = "tor", timing: Timing | None = None, **changes: Any) -> ExaBgpSpeaker:
        """A speaker that was started; `changes` are of its `PeerConfig`."""
        directory = self.base / name
        speaker = ExaBgpSpeaker(replace(PEER, **changes), directory, lambda: None, timing=timing)
        self.speakers.append((speaker, directory))
        netns.within(self.node.netns, speaker.start)
        return speaker

    def up(self, speaker: ExaBgpSpeaker) -> None:
        """Wait until the session is up on both sides."""
        state_is(speaker, State.ESTABLISHED)
        wait_until(lambda: self.tor.established(NODE_ADDRESS), UP_S, "the ToR to have the session")

    def routes_are(self, *prefixes: object, poll_s: float = 0.02) -> None:
        """Wait until the ToR's kernel has exactly these routes by BGP."""
        expected = {str(prefix) for prefix in prefixes}
        wait_until(
            lambda: set(self.tor.kernel_routes()),
            UP_S,
            "routes at the ToR",
            good=expected.__eq__,
            poll_s=poll_s,
        )

    def configure(self, *lines: str) -> None:
        """Change the configuration of the ToR's BGP."""
        commands = ["configure terminal", "router bgp 64501", *lines]
        words = [word for command in commands for word in ("-c", command)]
        self.tor.host.run("vtysh", "--vty_socket", str(self.tor.vty), *words)

    def add_ipv6(self) -> None:
        """Give the cable IPv6 addresses, and the ToR a session over them."""
        for host, link, address in ((self.tor.host, "node", "fd09::/127"), (self.node, "tor", "fd09::1/127")):
            host.run("ip", "address", "replace", address, "dev", link, "nodad")
        self.configure(
            "neighbor fd09::1 remote-as 64511",
            "neighbor fd09::1 timers connect 1",
            "address-family ipv6 unicast",
            "neighbor fd09::1 activate",
        )

    def keep(self, name: str) -> None:
        """End the ExaBGP of this name too, though another program started it."""
        self._left.append(self.base / name)

    def retire(self) -> None:
        """End every speaker and every ExaBGP."""
        for speaker, _ in self.speakers:
            speaker.detach()
        for directory in {*(directory for _, directory in self.speakers), *self._left}:
            retire(RunDir(directory))
        self.speakers.clear()
