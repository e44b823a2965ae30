"""BIRD and GoBGP as what Polder's speaker is measured against, on a host of the lab."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network

from lab import tools
from lab.host import Host
from lab.program import Program

BURST = "burst"
"""The protocol of BIRD that has the prefixes; off at first."""

BIRD = """\
router id {address};
protocol device {{ }}
protocol static {burst} {{
    disabled;
    ipv4;
{routes}
}}
protocol bgp tor {{
    local {address} as {asn};
    neighbor {router} as {router_asn};
    connect delay time 1;
    ipv4 {{ import none; export where source = RTS_STATIC; next hop self; }};
}}
"""

GOBGP = """\
[global.config]
  as = {asn}
  router-id = "{address}"
  port = -1
[[neighbors]]
  [neighbors.config]
    neighbor-address = "{router}"
    peer-as = {router_asn}
  [neighbors.timers.config]
    connect-retry = 1
"""


class Bird:
    """BIRD 2 with a session and prefixes that it announces when told to."""

    def __init__(self, host: Host, ends: dict[str, object], prefixes: Iterable[IPv4Network]) -> None:
        self._host = host
        self._control = host.directory / "bird.ctl"
        config = host.directory / "bird.conf"
        routes = "\n".join(f"    route {prefix} unreachable;" for prefix in prefixes)
        config.write_text(BIRD.format(burst=BURST, routes=routes, **ends))
        argv = [tools.find("bird"), "-f", "-c", str(config), "-s", str(self._control)]
        argv += ["-P", str(host.directory / "bird.pid")]
        self.program = Program(host, "bird", argv, ready=self._control.exists)

    def announce(self) -> None:
        """Announce all prefixes."""
        self._ask("enable")

    def withdraw(self) -> None:
        """Withdraw them."""
        self._ask("disable")

    def _ask(self, word: str) -> None:
        self._host.run("birdc", "-s", str(self._control), word, BURST)


class GoBgp:
    """GoBGP's daemon with a session; its own client tells it what to announce."""

    API_PORT = 50051
    """On 127.0.0.1 of the host's namespace."""

    def __init__(self, host: Host, ends: dict[str, object]) -> None:
        self._host = host
        self._client = tools.find("gobgp")
        self._next_hop = str(ends["address"])
        config = host.directory / "gobgpd.toml"
        config.write_text(GOBGP.format(**ends))
        argv = [tools.find("gobgpd"), "-f", str(config), f"--api-hosts=127.0.0.1:{self.API_PORT}"]
        self.program = Program(host, "gobgpd", [*argv, "--pprof-disable"], ready=self._answers)

    def announce(self, prefix: IPv4Network) -> None:
        """Announce one prefix. Blocking: until the client has ended."""
        self._ask("global", "rib", "add", str(prefix), "nexthop", self._next_hop)

    def _ask(self, *words: str) -> None:
        self._host.run(self._client, "-u", "127.0.0.1", "-p", str(self.API_PORT), *words)

    def _answers(self) -> bool:
        argv = (self._client, "-u", "127.0.0.1", "-p", str(self.API_PORT), "neighbor")
        return self._host.run(*argv, check=False).returncode == 0
