"""`python -m agents.speaker` with a real etcd, a real ExaBGP and a real FRR."""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import pytest

from agents.boot import boot_id
from bgp.exabgp import rundir
from bgp.exabgp.retire import retire
from bgp.exabgp.rundir import RunDir
from lab.etcd import EtcdServer
from lab.lab import Lab
from lab.program import Program
from lab.wait import wait_until
from store import keys
from store.codec import decode, encode
from store.model import Advertise, Block, Node, Peer, Pool, Ready, Session, SessionState, Value
from tests.support.cable import NODE_ADDRESS, TOR_ADDRESS, UP_S, Cable

pytest_plugins = ["tests.support.bgp"]
pytestmark = pytest.mark.needs("root", "ip", "zebra", "bgpd", "vtysh", "etcd", "etcdctl")

NODE, PEER = "node-1", "tor-a"
BLOCK = "10.64.0.0/26"
OTHER = "10.64.0.64/26"


@dataclass
class Bench:
    """The node of a cable with etcd on its loopback and a speaker program."""

    cable: Cable
    etcd: EtcdServer
    speaker: Program

    @property
    def run_dir(self) -> Path:
        """Of the program."""
        return self.cable.base / "run"

    @property
    def exabgp(self) -> int:
        """The pid of the peer's ExaBGP."""
        return wait_until(lambda: rundir.recorded(self.run_dir / "bgp" / PEER), UP_S, "ExaBGP").pid

    def put(self, key: str, value: Value) -> None:
        """Write a value, as the controller or the agent does."""
        self._etcdctl("put", key, stdin=encode(value).decode())

    def delete(self, key: str) -> None:
        """Delete a key."""
        self._etcdctl("del", key)

    def forget(self) -> None:
        """Delete every key."""
        self._etcdctl("del", "--prefix", keys.ROOT)

    def dump(self, prefix: str = keys.ROOT) -> dict[str, tuple[bytes, int]]:
        """Value and mod_revision of each key."""
        found = json.loads(self._etcdctl("get", "--prefix", prefix, "-w", "json")).get("kvs", [])
        return {
            base64.b64decode(item["key"]).decode(): (base64.b64decode(item["value"]), item["mod_revision"])
            for item in found
        }

    def advertised(self) -> set[str]:
        """The prefixes that the program says are advertised."""
        found = self.dump(keys.ADVERTISED.prefix(NODE))
        return {str(decode(keys.ADVERTISED.model, value).prefix) for value, _ in found.values()}

    def session(self) -> Session | None:
        """What the program says of its session."""
        found = self.dump(keys.SESSIONS.key(NODE, PEER))
        return next((decode(Session, value) for value, _ in found.values()), None)

    def session_is(self, state: SessionState, advertised: int) -> Session:
        """Wait until the store says so."""
        session = wait_until(
            self.session,
            UP_S,
            f"{state} with {advertised} prefixes",
            good=lambda now: now is not None and (now.state, now.advertised) == (state, advertised),
        )
        assert session is not None
        return session

    def register(self) -> None:
        """The node, its peer, a pool and a block that is ready."""
        self.put(keys.NODES.key(NODE), Node(name=NODE, asn=64511))
        self.put(keys.PEERS.key(PEER), Peer(name=PEER, address=TOR_ADDRESS, asn=64501, node=NODE))
        self.put(keys.POOLS.key("default"), Pool(name="default", cidr=ip_network("10.64.0.0/16")))
        self.ready(BLOCK)

    def ready(self, cidr: str, boot: str = "") -> None:
        """A block of the node that can be announced."""
        network = ip_network(cidr)
        self.put(keys.NODE_BLOCKS.key(NODE, network), Block(cidr=network, pool="default", node=NODE))
        self.put(keys.READY.key(NODE, network), Ready(prefix=network, node=NODE, boot_id=boot or boot_id()))

    def _etcdctl(self, *argv: str, stdin: str | None = None) -> str:
        endpoints = ",".join(self.etcd.endpoints)
        return self.cable.node.run("etcdctl", f"--endpoints={endpoints}", *argv, stdin=stdin).stdout


@pytest.fixture(scope="module")
def etcd(cabled: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One etcd on the node's loopback. A test leaves it running."""
    with EtcdServer(tmp_path_factory.mktemp("etcd"), netns=cabled.hosts["node"].netns) as server:
        yield server


@pytest.fixture
def bench(cable: Cable, etcd: EtcdServer) -> Iterator[Bench]:
    argv = [
        *(sys.executable, "-P", "-m", "agents.speaker", "--node", NODE),
        *("--run-dir", str(cable.base / "run"), "--etcd", ",".join(etcd.endpoints)),
    ]
    speaker = Program(cable.node, "speaker", argv)
    speaker.log.write_text("")  # the host, and so its files, are shared by the tests of this module
    made = Bench(cable, etcd, speaker)
    made.forget()
    try:
        yield made
    finally:
        speaker.stop()
        for found in (cable.base / "run" / "bgp").glob("*/"):
            retire(RunDir(found))


def without(dump: Mapping[str, tuple[bytes, int]], prefix: str) -> dict[str, tuple[bytes, int]]:
    return {key: value for key, value in dump.items() if not key.startswith(prefix)}


def running(bench: Bench) -> None:
    """The program runs, and the block is at the ToR and in the store."""
    bench.register()
    bench.speaker.start()
    bench.cable.routes_are(BLOCK)
    bench.session_is(SessionState.ESTABLISHED, 1)
    wait_until(bench.advertised, UP_S, "the report", good={BLOCK}.__eq__)


def test_from_a_key_to_a_route_and_back(bench: Bench) -> None:
    bench.speaker.start()
    bench.register()
    bench.cable.routes_are(BLOCK)
    session = bench.session_is(SessionState.ESTABLISHED, 1)
    assert (session.address, session.asn, session.reason) == (TOR_ADDRESS, 64501, "")
    assert bench.cable.tor.kernel_routes()[BLOCK].gateways == {str(NODE_ADDRESS)}
    wait_until(bench.advertised, UP_S, "the report", good={BLOCK}.__eq__)

    bench.delete(keys.READY.key(NODE, BLOCK))
    bench.cable.routes_are()
    wait_until(bench.advertised, UP_S, "the report to go", good=set[str]().__eq__)


def test_readiness_of_another_boot_does_not_count(bench: Bench) -> None:
    running(bench)
    bench.ready(OTHER, boot="before")
    bench.ready("10.64.1.0/26")
    bench.cable.routes_are(BLOCK, "10.64.1.0/26")


def test_kill_9_withdraws_nothing_and_the_next_start_writes_nothing(bench: Bench) -> None:
    running(bench)
    pid = bench.exabgp
    alive = keys.ALIVE.prefix(NODE)
    before = without(bench.dump(), alive)
    monitor = bench.cable.tor.host.monitor_routes()
    bench.speaker.kill()
    bench.speaker.start()
    wait_until(lambda: "adopted" in bench.speaker.log_tail(30), UP_S, "the program to adopt ExaBGP")
    wait_until(lambda: bench.dump(alive), UP_S, "the program to be alive")
    bench.ready(OTHER)
    bench.cable.routes_are(BLOCK, OTHER)
    assert bench.exabgp == pid
    assert [change.dst for change in monitor.stop()] == [OTHER]
    after = without(bench.dump(), alive)
    assert {key: after[key] for key in before if "sessions" not in key} == {
        key: value for key, value in before.items() if "sessions" not in key
    }
    session = bench.session_is(SessionState.ESTABLISHED, 2)
    assert session.since == decode(Session, before[keys.SESSIONS.key(NODE, PEER)][0]).since


def test_stop_and_start_write_nothing_but_the_lease(bench: Bench) -> None:
    running(bench)
    alive = keys.ALIVE.prefix(NODE)
    before = without(bench.dump(), alive)
    bench.speaker.stop()
    assert bench.dump(alive) == {}
    bench.speaker.start()
    wait_until(lambda: bench.dump(alive), UP_S, "the program to be alive")
    wait_until(
        lambda: bench.speaker.log_tail(30).count("state=ESTABLISHED"),
        UP_S,
        "the program to adopt ExaBGP",
        good=(2).__eq__,
    )
    bench.speaker.stop()
    assert without(bench.dump(), alive) == before
    bench.cable.routes_are(BLOCK)


def test_bgp_goes_on_with_etcd_away(bench: Bench) -> None:
    running(bench)
    monitor = bench.cable.tor.host.monitor_routes()
    bench.etcd.kill()
    try:
        pid = bench.exabgp
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: bench.exabgp != pid, UP_S, "another ExaBGP")
        wait_until(
            lambda: [path.stale for path in bench.cable.tor.bgp_route(BLOCK)],
            UP_S,
            "the route to be announced again",
            good=[False].__eq__,
        )
    finally:
        bench.etcd.start()
    bench.ready(OTHER)
    bench.cable.routes_are(BLOCK, OTHER)
    assert {change.dst for change in monitor.stop()} == {OTHER}


def test_a_peer_that_goes_is_withdrawn_from_and_its_process_ends(bench: Bench) -> None:
    running(bench)
    pid = bench.exabgp
    bench.delete(keys.PEERS.key(PEER))
    bench.cable.routes_are()
    wait_until(lambda: rundir.start_time(pid) is None, UP_S, "ExaBGP to end")
    wait_until(bench.advertised, UP_S, "the report to go", good=set[str]().__eq__)
    wait_until(lambda: bench.session() is None, UP_S, "the session's report to go")


def test_a_peer_that_went_while_the_program_was_away(bench: Bench) -> None:
    running(bench)
    pid = bench.exabgp
    bench.speaker.kill()
    bench.delete(keys.PEERS.key(PEER))
    bench.speaker.start()
    wait_until(lambda: rundir.start_time(pid) is None, UP_S, "ExaBGP to end")
    bench.cable.routes_are()
    wait_until(bench.advertised, UP_S, "the report to go", good=set[str]().__eq__)


def test_a_wrong_as_is_told_in_the_store(bench: Bench) -> None:
    bench.register()
    bench.put(keys.NODES.key(NODE), Node(name=NODE, asn=64999))
    bench.speaker.start()
    session = bench.session_is(SessionState.IDLE, 1)
    wait_until(
        lambda: (bench.session() or session).reason,
        UP_S,
        "the reason",
        good="peer sent NOTIFICATION: OPEN Message Error, Bad Peer AS (2/2)".__eq__,
    )


def test_an_unregistered_node_is_said_in_one_line_and_waited_for(bench: Bench) -> None:
    bench.speaker.start()
    wait_until(lambda: "polder node create node-1 --asn ASN" in bench.speaker.log_tail(), UP_S, "the warning")
    bench.register()
    bench.cable.routes_are(BLOCK)


def test_a_second_speaker_is_refused(bench: Bench) -> None:
    running(bench)
    second = bench.cable.node.run(*bench.speaker.argv, check=False)
    assert second.returncode == 2
    assert second.stderr.startswith("polder speaker: another speaker runs with")


def test_a_graceful_end_first_tells_the_router_to_prefer_others(bench: Bench) -> None:
    running(bench)
    bench.speaker.stop()
    retiring = bench.cable.node.record(*bench.speaker.argv, "--retire", "--graceful-s", "3")
    try:

        def communities() -> list[str]:
            shown = bench.cable.tor.vtysh_json(f"show bgp ipv4 unicast {BLOCK} json").get("paths", [])
            return [each for path in shown for each in path.get("community", {}).get("list", [])]

        wait_until(communities, UP_S, "GRACEFUL_SHUTDOWN", good=["gracefulShutdown"].__eq__)
        assert bench.cable.tor.kernel_routes()[BLOCK].gateways == {str(NODE_ADDRESS)}
        bench.cable.routes_are()
    finally:
        retiring.stop()


def test_retire_ends_everything(bench: Bench) -> None:
    running(bench)
    pid = bench.exabgp
    bench.speaker.stop()
    bench.cable.routes_are(BLOCK)
    bench.cable.node.run(*bench.speaker.argv, "--retire")
    assert bench.cable.tor.bgp_prefixes().isdisjoint({BLOCK})
    wait_until(lambda: rundir.start_time(pid) is None, UP_S, "ExaBGP to end")


def default_route(bench: Bench) -> str:
    return bench.cable.node.run("ip", "route", "show", "default").stdout.strip()


def test_an_imported_route_survives_the_program_and_goes_with_its_peer(bench: Bench) -> None:
    """Killed, and ExaBGP with it; then the router dies while etcd is away; then everything is retired."""
    cable, route = bench.cable, f"default via {TOR_ADDRESS} dev tor proto 81 metric 81"
    cable.configure("address-family ipv4 unicast", f"neighbor {NODE_ADDRESS} default-originate")
    bench.register()
    peer = Peer(name=PEER, address=TOR_ADDRESS, asn=64501, node=NODE, imports=("default-route",))
    bench.put(keys.PEERS.key(PEER), peer)
    bench.speaker.start()
    wait_until(lambda: default_route(bench), UP_S, "the default route", good=route.__eq__)
    wait_until(lambda: bench.dump(keys.IMPORTED.prefix(NODE)), UP_S, "the report")
    # Read before anything is killed: the next session may be up before a look at the store is over.
    since = bench.session_is(SessionState.ESTABLISHED, 1).since
    monitor = cable.node.monitor_routes()
    bench.speaker.kill()
    os.kill(bench.exabgp, signal.SIGKILL)
    bench.speaker.start()
    wait_until(
        bench.session,
        UP_S,
        "a new session",
        good=lambda now: now is not None and now.since > since and now.state is SessionState.ESTABLISHED,
    )
    assert [change.text for change in monitor.stop() if "default" in change.text] == []
    cable.node.run("ip", "route", "del", "default")
    wait_until(lambda: default_route(bench), UP_S, "the default route again", good=route.__eq__)

    bench.etcd.stop()
    try:
        cable.tor.bgpd.kill()
        wait_until(lambda: default_route(bench), UP_S, "the route to go", good="".__eq__)
    finally:
        bench.etcd.start()
        cable.tor.bgpd.start()
    cable.configure("address-family ipv4 unicast", f"neighbor {NODE_ADDRESS} default-originate")
    wait_until(lambda: default_route(bench), UP_S, "the default route back", good=route.__eq__)
    bench.speaker.stop()
    assert default_route(bench) == route
    bench.cable.node.run(*bench.speaker.argv, "--retire")
    assert default_route(bench) == ""
    cable.configure("address-family ipv4 unicast", f"no neighbor {NODE_ADDRESS} default-originate")


def test_hosts_are_announced_when_the_pool_says_so(bench: Bench) -> None:
    bench.register()
    bench.put(
        keys.POOLS.key("default"),
        Pool(name="default", cidr=ip_network("10.64.0.0/16"), advertise=Advertise.HOST),
    )
    bench.speaker.start()
    bench.session_is(SessionState.ESTABLISHED, 0)
    assert BLOCK not in bench.cable.tor.bgp_prefixes()
