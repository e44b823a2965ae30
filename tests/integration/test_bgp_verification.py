"""A real FRR tells a real controller by BMP what it holds of what a real speaker announces."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from agents.boot import boot_id
from bgp.exabgp import rundir
from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from intent.verification import UNTOLD
from lab.commands import command_line
from lab.etcd import EtcdServer
from lab.lab import Lab
from lab.program import Program
from lab.wait import wait_until
from store import keys
from store.codec import encode
from store.model import Block, Node, Peer, Pool, Ready, Value
from tests.support.cable import NODE_ADDRESS, TOR_ADDRESS, UP_S, Cable, wanted

pytest_plugins = ["tests.support.bgp"]
pytestmark = pytest.mark.needs("root", "ip", "zebra", "bgpd", "vtysh", "etcd", "etcdctl")

NODE = "node-1"
BLOCK, OTHER, BLOCK6 = "10.64.0.0/26", "10.64.0.64/26", "fd64::/122"
SERVER = "http://127.0.0.1:8080"
BMP_PORT = 5000
ROGUE = "10.64.7.0/24"


@dataclass
class Site:
    """A ToR and a node on a cable; on the node a speaker, and a controller that the ToR tells by BMP."""

    cable: Cable
    etcd: EtcdServer
    controller: Program
    speaker: Program

    def put(self, key: str, value: Value) -> None:
        """Write a value, as the controller or the agent does."""
        at = f"--endpoints={','.join(self.etcd.endpoints)}"
        self.cable.node.run("etcdctl", at, "put", key, stdin=encode(value).decode())

    def ready(self, cidr: str, pool: str) -> None:
        """A block of the node that can be announced."""
        network = ip_network(cidr)
        self.put(keys.NODE_BLOCKS.key(NODE, network), Block(cidr=network, pool=pool, node=NODE))
        self.put(keys.READY.key(NODE, network), Ready(prefix=network, node=NODE, boot_id=boot_id()))

    def get(self, path: str) -> list[dict[str, Any]]:
        """The items of a list of the API; none while the controller does not answer."""
        said = self.cable.node.run("curl", "-s", SERVER + path, check=False).stdout
        items: list[dict[str, Any]] = json.loads(said or "{}").get("items", [])
        return items

    def compared(self, peer: str, what: str, good: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Wait until the comparison of the session with a peer is good, and return it."""

        def look() -> dict[str, Any]:
            return next(iter(self.get(f"/v1/bgp/differences?peer={peer}")), {})

        return wait_until(look, 3 * UP_S, what, good=lambda seen: seen and good(seen))

    def agree(self, peer: str, accepted: int) -> None:
        """Wait until the ToR is known to hold so many prefixes, and nothing differs."""
        expected = (accepted, 0, 0)
        self.compared(
            peer,
            f"{peer} to hold {accepted} prefixes",
            lambda seen: (seen["accepted"], seen["missing"], seen["unexpected"]) == expected,
        )

    def events(self) -> list[tuple[str, str]]:
        """What was told of differences: how, and in which words."""
        found = self.get("/v1/events?noun=peer")
        return [(each["severity"], each["detail"]) for each in found if "difference" in each["reason"]]

    def filter(self, *lines: str) -> None:
        """Configure the ToR outside of its BGP."""
        words = [word for line in ("configure terminal", *lines) for word in ("-c", line)]
        self.cable.tor.host.run(*self.cable.tor.argv("end"), *words)


@pytest.fixture(scope="module")
def etcd(cabled: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """An etcd on the node's loopback."""
    with EtcdServer(tmp_path_factory.mktemp("etcd"), netns=cabled.hosts["node"].netns) as server:
        yield server


@pytest.fixture(scope="module")
def site(cabled: Lab, etcd: EtcdServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Up once for a module; a test leaves it as it found it."""
    cable = Cable(cabled, tmp_path_factory.mktemp("site"))
    at = f"--etcd={','.join(etcd.endpoints)}"
    run_dir = cable.base / "run"
    module = (sys.executable, "-P", "-m")
    speaker = Program(
        cable.node, "speaker", [*module, "agents.speaker", "--node", NODE, "--run-dir", str(run_dir), at]
    )
    listen = ("--listen=127.0.0.1:8080", f"--bmp-listen=0.0.0.0:{BMP_PORT}", "--bmp-grace-s=1")
    controller = Program(cable.node, "controller", [*module, "controller", *listen, at])
    made = Site(cable, etcd, controller, speaker)
    made.put(keys.NODES.key(NODE), Node(name=NODE, asn=64511, router_id=NODE_ADDRESS))
    made.put(keys.PEERS.key("tor"), Peer(name="tor", address=TOR_ADDRESS, asn=64501, node=NODE))
    made.put(keys.POOLS.key("four"), Pool(name="four", cidr=ip_network("10.64.0.0/16")))
    made.ready(BLOCK, "four")
    made.ready(OTHER, "four")
    cable.configure(
        "bmp targets polder",
        "bmp monitor ipv4 unicast post-policy",
        "bmp monitor ipv6 unicast post-policy",
        f"bmp connect {NODE_ADDRESS} port {BMP_PORT} min-retry 100 max-retry 500",
    )
    try:
        controller.start()
        speaker.start()
        yield made
    finally:
        cable.configure("no bmp targets polder")
        speaker.stop()
        controller.stop()
        for found in (run_dir / "bgp").glob("*/"):
            retire(RunDir(found))


def test_what_the_tor_refuses_is_an_alarm_with_prefix_peer_and_cause(site: Site) -> None:
    site.agree("tor", 2)
    assert site.events() == []
    refusal = ("ip prefix-list SOME seq 5 deny " + OTHER, "ip prefix-list SOME seq 10 permit any")
    family = ("router bgp 64501", "address-family ipv4 unicast")
    site.filter(*refusal, *family, f"neighbor {NODE_ADDRESS} prefix-list SOME in")
    found = site.compared("tor", "a difference", lambda seen: seen["missing"])
    ((kind, prefix, cause),) = [
        (each["kind"], each["prefix"], each["cause"]) for each in found["differences"]
    ]
    assert (found["node"], found["accepted"], kind, prefix, cause) == (NODE, 1, "missing", OTHER, UNTOLD)
    alarm = ("alarm", f"tor does not hold {OTHER}, announced by {NODE}: {UNTOLD}")
    assert site.events() == [alarm]
    shown = site.cable.node.run(*command_line("bgp", "check", "--server", SERVER), check=False)
    assert (shown.returncode, OTHER in shown.stdout) == (1, True)
    site.filter(*family, f"no neighbor {NODE_ADDRESS} prefix-list SOME in", "exit", "exit")
    site.agree("tor", 2)
    assert site.events() == [alarm, ("info", f"tor and {NODE} agree about {OTHER}")]


def test_a_session_and_a_controller_that_come_back_are_no_difference(site: Site) -> None:
    site.agree("tor", 2)
    before = site.events()
    site.cable.tor.clear(NODE_ADDRESS)
    site.controller.stop()
    site.controller.start()
    site.agree("tor", 2)
    assert site.events() == before


def test_another_program_that_speaks_from_the_nodes_address(site: Site) -> None:
    """It takes the session when our ExaBGP dies and its speaker hangs; what it announces is named."""
    site.agree("tor", 2)
    ours = rundir.recorded(site.cable.base / "run" / "bgp" / "tor")
    assert ours is not None
    site.speaker.pause()
    try:
        os.kill(ours.pid, signal.SIGKILL)
        site.cable.speaker("another").replace(wanted(BLOCK, OTHER, ROGUE))
        found = site.compared("tor", "a difference", lambda seen: seen["unexpected"])
        assert [(each["kind"], each["prefix"]) for each in found["differences"]] == [("unexpected", ROGUE)]
        assert "another program" in found["differences"][0]["cause"]
    finally:
        site.cable.retire()
        site.speaker.resume()
    site.agree("tor", 2)


def test_ipv6(site: Site) -> None:
    site.cable.add_ipv6()
    site.put(keys.POOLS.key("six"), Pool(name="six", cidr=ip_network("fd64::/64")))
    site.put(keys.PEERS.key("tor-6"), Peer(name="tor-6", address=ip_address("fd09::"), asn=64501, node=NODE))
    site.ready(BLOCK6, "six")
    site.agree("tor-6", 1)
    family = ("router bgp 64501", "address-family ipv6 unicast")
    site.filter("ipv6 prefix-list NONE seq 5 deny any", *family, "neighbor fd09::1 prefix-list NONE in")
    found = site.compared("tor-6", "a difference", lambda seen: seen["missing"])
    assert [each["prefix"] for each in found["differences"]] == [BLOCK6]
    site.filter(*family, "no neighbor fd09::1 prefix-list NONE in")
    site.agree("tor-6", 1)
