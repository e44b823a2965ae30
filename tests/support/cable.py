"""A ToR and a node on one cable, for tests of BGP; and more where a test wants to see that others rest.

    tor   10.9.0.0/31 ---- 10.9.0.1/31 node        AS 64501, 64511
          fd09::/127 ----- fd09::1/127
    other 10.9.0.2/31 ---- 10.9.0.3/31             AS 64502
    raw   10.9.0.4/31 ---- 10.9.0.5/31             AS 64503, played by a test

The speaker under test runs in this process, in threads that are inside the node's namespace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, ip_network
from pathlib import Path
from typing import Any

import pytest

from bgp.adj_rib_out import IPNetwork
from bgp.advertisement import Advertisement
from bgp.exabgp import rundir
from bgp.exabgp.driver import ExaBgpSpeaker, Timing
from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from bgp.fsm import State
from bgp.peer import PeerConfig
from bgp.speaker import SessionReport
from lab import netns
from lab.host import Host
from lab.lab import Lab
from lab.recording import Recording
from lab.router import Router
from lab.topology import End, HostSpec, Link, Neighbour, Role, Software, Topology
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

OTHER = replace(
    PEER, peer_address=IPv4Address("10.9.0.2"), peer_asn=64502, local_address=IPv4Address("10.9.0.3")
)
"""The session with the second ToR."""
RAW = replace(
    PEER, peer_address=IPv4Address("10.9.0.4"), peer_asn=64503, local_address=IPv4Address("10.9.0.5")
)
"""The session with the host on which a test plays the router itself."""


def one_cable(software: Software = Software.FRR) -> Topology:
    """The ToR and the node."""
    return Topology(
        hosts=(
            HostSpec("tor", Role.TOR, asn=64501, loopback="10.9.255.1/32", software=software),
            HostSpec("node", Role.METAL, asn=64511),
        ),
        links=(Link(End("tor", "node", "10.9.0.0/31"), End("node", "tor", "10.9.0.1/31")),),
    )


def three_cables() -> Topology:
    """The same with a second ToR, run by BIRD, and a host without a router."""
    one = one_cable()
    other = HostSpec("other", Role.TOR, asn=64502, loopback="10.9.255.2/32", software=Software.BIRD)
    links = (
        Link(End("other", "node", "10.9.0.2/31"), End("node", "other", "10.9.0.3/31")),
        Link(End("raw", "node", "10.9.0.4/31"), End("node", "raw", "10.9.0.5/31")),
    )
    return Topology((*one.hosts, other, HostSpec("raw", Role.METAL)), (*one.links, *links))


def _over(**topologies: Topology) -> pytest.MarkDecorator:
    made = topologies.items()
    return pytest.mark.parametrize(
        "cabled", [one for _, one in made], ids=[name for name, _ in made], indirect=True, scope="module"
    )


BOTH_ROUTERS = _over(**{software.value: one_cable(software) for software in Software})
"""A mark: each test twice, with FRR and with BIRD as the ToR."""
THREE_CABLES = _over(three=three_cables())
"""A mark: each test with both ToRs at once."""


def wanted(*prefixes: object, **attributes: Any) -> dict[IPNetwork, Advertisement]:
    """What `Speaker.replace` takes, for prefixes as text."""
    parsed = [ip_network(str(prefix)) for prefix in prefixes]
    return {prefix: Advertisement(prefix, **attributes) for prefix in parsed}


def hosts(count: int) -> list[str]:
    """So many /32."""
    return [f"{IPv4Address('10.100.0.0') + number}/32" for number in range(count)]


def speaks(recording: Recording) -> None:
    """Wait until `tests/support/speak.py` has said all that it was given."""
    recording.wait(lambda: "settled" in recording.lines(), 2 * UP_S, "the program to settle")


def exabgp(cable: Cable, name: str = "tor") -> int:
    """The pid of the ExaBGP of a speaker, once it has written it down."""
    return wait_until(lambda: rundir.recorded(cable.base / name), UP_S, "ExaBGP to run").pid


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
    def tor(self) -> Router:
        """The router."""
        return self.lab.tors["tor"]

    @property
    def node(self) -> Host:
        """The host that speaks."""
        return self.lab.hosts["node"]

    def speaker(
        self, name: str = "tor", timing: Timing | None = None, peer: PeerConfig = PEER, **changes: Any
    ) -> ExaBgpSpeaker:
        """A speaker that was started; `changes` are of its `PeerConfig`."""
        directory = self.base / name
        speaker = ExaBgpSpeaker(replace(peer, **changes), directory, lambda: None, timing=timing)
        self.speakers.append((speaker, directory))
        netns.within(self.node.netns, speaker.start)
        return speaker

    def up(self, speaker: ExaBgpSpeaker) -> None:
        """Wait until the session is up on both sides."""
        state_is(speaker, State.ESTABLISHED)
        wait_until(lambda: self.tor.established(NODE_ADDRESS), UP_S, "the ToR to have the session")

    def routes_are(
        self, *prefixes: object, family: int = 4, poll_s: float = 0.02, within_s: float = UP_S
    ) -> None:
        """Wait until the ToR's kernel has exactly these routes by BGP."""
        expected = {str(prefix) for prefix in prefixes}
        wait_until(
            lambda: set(self.tor.kernel_routes(family)),
            within_s,
            "routes at the ToR",
            good=expected.__eq__,
            poll_s=poll_s,
        )

    def heard_again(self, prefix: str, within_s: float = UP_S) -> None:
        """Wait until the ToR has heard this prefix on the session that is up now (RFC 4724: not stale)."""
        wait_until(
            lambda: [path.stale for path in self.tor.bgp_route(prefix)],
            within_s,
            f"{prefix} to be announced again",
            good=[False].__eq__,
        )

    def configure(self, *lines: str) -> None:
        """Change the configuration of a ToR run by FRR."""
        commands = ["configure terminal", "router bgp 64501", *lines]
        words = [word for command in commands for word in ("-c", command)]
        self.tor.host.run(*self.tor.argv("end"), *words)

    def address_ipv6(self) -> None:
        """Give the cable IPv6 addresses. Idempotent."""
        for host, link, address in ((self.tor.host, "node", "fd09::/127"), (self.node, "tor", "fd09::1/127")):
            host.run("ip", "address", "replace", address, "dev", link, "nodad")

    def add_ipv6(self) -> None:
        """Give the cable IPv6 addresses, and the ToR a session over them. Idempotent."""
        self.address_ipv6()
        added = Neighbour("node", "fd09::1", "fd09::", 64511, active=False)
        self.tor.configure([*(one for one in self.tor.neighbours if one != added), added])

    @contextmanager
    def neighbour(self, **changes: Any) -> Iterator[None]:
        """The ToR's side of the session over IPv4 changed while the block runs; fields of `Neighbour`."""
        before = self.tor.neighbours
        self.tor.configure(
            [replace(one, **changes) if one.address == str(NODE_ADDRESS) else one for one in before]
        )
        try:
            yield
        finally:
            self.tor.configure(before)

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
