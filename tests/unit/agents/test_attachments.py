"""Attach and detach through the agent's socket: what callers are told, and what is left behind."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from agents.belief import Belief, Believed, was_heard
from agents.kernel.netns import NetnsGone
from agents.knowledge import Knowledge
from agents.node.api import ApiServer, SocketInUse
from agents.node.attachments import Attachments
from agents.node.places import Places
from agents.node.wants import Refused, Stage, Wants
from intent.snapshot import Snapshot, watched
from lab.wait import wait_until
from store import keys
from store.client import Delete, Put
from store.codec import encode
from store.memory import MemoryStore
from store.model import (
    Cluster,
    Endpoint,
    EndpointKind,
    EndpointState,
    Membership,
    Segment,
    Telling,
    Value,
)
from tests.support.cluster import BOOT, NODE, endpoint, key_of, pool

BODY = {"endpoint": "web", "netns": "/run/netns/web", "ifname": "eth0"}


class Agent:
    """The socket API over a store in memory; `work` stands for the pass and is called when it is woken."""

    def __init__(self, run_dir: Path) -> None:
        self.store = MemoryStore()
        self.wants = Wants()
        self.knowledge = Knowledge(
            self.store, NODE, lambda: None, Belief(run_dir / "belief.json", was_heard), watched(NODE)
        )
        self.attachments = Attachments(
            node=NODE,
            boot_id=BOOT,
            store=self.store,
            knowledge=self.knowledge,
            wants=self.wants,
            wake=self.wake,
            written=lambda key, value, revision: self.written.append(key),
            recheck=self.recheck,
            places=Places(self.netns_id, {"vhu0", "vhu1", "pl00"}.__contains__),
        )
        self.refuse: Refused | None = None
        self.meanwhile: Callable[[], None] = lambda: None
        self.works = True
        self.rechecks = 0
        self.written: list[str] = []
        self.socket = run_dir / "agent.sock"
        self.waiting: dict[str, str] = {}
        self.server = ApiServer(self.socket, self.attachments, lambda: self.waiting)

    def recheck(self) -> None:
        self.rechecks += 1

    def wake(self) -> None:
        self.meanwhile()
        if not self.works:
            return
        for name, want in self.wants.all().items():
            if want.stage is Stage.DETACHING:
                self.wants.remove(name)
            elif self.refuse is not None:
                self.wants.remove(name, self.refuse)
            elif want.stage is Stage.WANTED:
                self.wants.attached([name])

    def netns_id(self, path: str) -> str:
        if path == "/run/netns/gone":
            raise NetnsGone(path, "does not exist")
        return f"id of {path}"

    def know(self, *values: Value) -> None:
        for value in values:
            self.store.txn((), (Put(key_of(value), encode(value)),))

    def ask(self, method: str, path: str, body: object = None, raw: bytes | None = None) -> tuple[int, Any]:
        with closing(HTTPConnection("localhost")) as connection:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.connect(str(self.socket))
            connection.request(method, path, raw if raw is not None else json.dumps(body) if body else None)
            answer = connection.getresponse()
            text = answer.read()
        if answer.status >= 400 and path != "/readyz":
            assert answer.headers["Content-Type"] == "application/problem+json"
        return answer.status, json.loads(text) if text else None


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    made.knowledge.start()
    made.server.start()
    yield made
    made.server.stop()
    made.knowledge.stop()
    made.store.close()


def test_attach_answers_what_the_container_has_and_again_the_same(agent: Agent) -> None:
    agent.know(pool(), endpoint())
    status, made = agent.ask("POST", "/v1/attachments", BODY)
    assert status == 201
    assert made["addresses"] == ["10.64.0.1"]
    assert made["gateways"] == ["169.254.1.1"]
    assert made["mtu_bytes"] == 1500
    assert agent.ask("POST", "/v1/attachments", BODY) == (200, made)
    assert agent.written == [keys.ATTACHMENTS.key(NODE, "web")], "once"
    assert agent.ask("GET", "/v1/attachments") == (200, {"items": [made]})
    assert agent.store.get(keys.ATTACHMENTS.key(NODE, "web")) is not None


def test_nothing_is_attached_that_a_restored_backup_lacks(agent: Agent) -> None:
    """It may be there again when the backup is completed: who asked is to ask again."""
    agent.store.txn((), (Put(keys.CLUSTER.key(), encode(Cluster(id="1", nonce="a" * 16))),))
    agent.know(pool(), endpoint())
    assert agent.knowledge.wait_for(lambda told: told.cluster is not None and "web" in told.endpoints, 5)
    agent.store.set_cluster_id("2")
    wait_until(lambda: agent.knowledge.waits_for, 5, "the agent to doubt")
    agent.store.txn((), (Delete(keys.NODE_ENDPOINTS.key(NODE, "web")),))
    status, problem = agent.ask("POST", "/v1/attachments", BODY)
    assert (status, agent.wants.all()) == (503, {})
    assert "restored" in problem["detail"]


def test_detach_is_done_once_and_may_be_asked_for_again(agent: Agent) -> None:
    agent.know(pool(), endpoint())
    agent.ask("POST", "/v1/attachments", BODY)
    assert agent.ask("DELETE", "/v1/attachments/web") == (204, None)
    assert agent.ask("DELETE", "/v1/attachments/web") == (204, None)
    assert agent.wants.all() == {}


@pytest.mark.parametrize(
    ("change", "status", "pointer"),
    [
        ({"color": "red"}, 422, "/color"),
        ({"endpoint": 7}, 422, "/endpoint"),
        ({"endpoint": "a/b"}, 422, "/endpoint"),
        ({"netns": "relative"}, 422, "/netns"),
        ({"ifname": "a-name-that-is-too-long"}, 422, "/ifname"),
        ({"port": "eth0/1"}, 422, "/port"),
        ({"port": "tap0"}, 422, ""),
        ({"netns": None}, 422, ""),
        ({"netns": None, "port": "eth3", "via": ["10.0.0.1", "10.0.0.2"]}, 422, ""),
        ({"netns": None, "port": "eth3", "via": ["fe80::7"]}, 422, ""),
        ({"netns": None, "via": ["10.0.0.1"]}, 422, ""),
        ({"via": ["10.0.0.1"]}, 422, ""),
    ],
)
def test_a_bad_body_names_the_field(
    agent: Agent, change: dict[str, object], status: int, pointer: str
) -> None:
    found, problem = agent.ask("POST", "/v1/attachments", {**BODY, **change})
    assert found == status
    assert [one["pointer"] for one in problem["errors"]] == [pointer]
    assert agent.wants.all() == {}


def of_kind(kind: EndpointKind, name: str = "web", address: str = "10.64.0.1", **more: object) -> Endpoint:
    return endpoint(name, address).model_copy(update={"kind": kind, **more})


@pytest.mark.parametrize(
    ("kind", "place", "status", "words"),
    [
        (EndpointKind.CONTAINER, {"port": "vhu0"}, 422, "name its netns"),
        (EndpointKind.VM, {"netns": "/run/netns/web"}, 422, "name its port"),
        (EndpointKind.VM, {"port": "vhu0", "via": ["192.0.2.7"]}, 422, "name its port"),
        (EndpointKind.VM, {"port": "no-such-link"}, 422, "make it first"),
        (EndpointKind.HOST, {"port": "lo"}, 409, "addresses of this host"),
        (EndpointKind.HOST, {"port": "vhu0", "via": ["fd00::7"]}, 422, "IPv4 as well"),
        (EndpointKind.VM, {"port": "pl00"}, 409, "this agent's own"),
    ],
)
def test_an_endpoint_is_attached_as_its_kind_says(
    agent: Agent, kind: EndpointKind, place: dict[str, object], status: int, words: str
) -> None:
    agent.know(pool(), of_kind(kind))
    found, problem = agent.ask("POST", "/v1/attachments", {"endpoint": "web", **place})
    assert (found, words in problem["detail"]) == (status, True), problem
    assert agent.wants.all() == {}


@pytest.mark.parametrize(
    ("uplink", "place", "status", "words"),
    [
        ("vhu0", {"port": "vhu1"}, 201, ""),
        ("vhu0", {"port": "vhu0"}, 409, "is the uplink of the endpoint's segment"),
        ("vhu0", {"port": "vhu1", "via": ["203.0.113.77"]}, 422, "it is on the segment itself"),
        ("no-link", {"port": "vhu1"}, 409, "is no link of this node"),
        ("lo", {"port": "vhu1"}, 409, "cannot be used"),
    ],
)
def test_an_endpoint_on_a_segment_needs_the_uplink(
    agent: Agent, uplink: str, place: dict[str, object], status: int, words: str
) -> None:
    kind = EndpointKind.HOST if "via" in place else EndpointKind.VM
    on = Membership(segment=Segment(vlan=120, uplink=uplink), networks=(ip_network("10.64.0.0/24"),))
    agent.know(pool(), of_kind(kind, membership=on))
    found, answer = agent.ask("POST", "/v1/attachments", {"endpoint": "web", **place})
    assert (found, words in answer.get("detail", "")) == (status, True), answer


def test_a_port_and_a_mac_are_one_endpoints(agent: Agent) -> None:
    other = of_kind(EndpointKind.VM, "db", "10.64.0.2")
    twin = of_kind(EndpointKind.CONTAINER, "twin", "10.64.0.3", mac=endpoint().mac)
    agent.know(pool(), of_kind(EndpointKind.VM), other, twin)
    status, made = agent.ask("POST", "/v1/attachments", {"endpoint": "web", "port": "vhu0"})
    assert (status, made["port"], "netns" in made) == (201, "vhu0", False)
    for body, words in (
        ({"endpoint": "db", "port": "vhu0"}, "endpoint web's"),
        ({**BODY, "endpoint": "twin"}, "create it with another"),
    ):
        status, problem = agent.ask("POST", "/v1/attachments", body)
        assert (status, words in problem["detail"]) == (409, True), problem
    assert list(agent.wants.all()) == ["web"]


def test_endpoints_behind_one_neighbour_share_its_port_and_its_mac(agent: Agent) -> None:
    first, second = (
        of_kind(EndpointKind.HOST),
        of_kind(EndpointKind.HOST, "db", "10.64.0.2", mac=endpoint().mac),
    )
    agent.know(pool(), first, second, of_kind(EndpointKind.HOST, "own", "10.64.0.3"))
    for name in ("web", "db"):
        body = {"endpoint": name, "port": "vhu0", "via": ["203.0.113.77"]}
        status, made = agent.ask("POST", "/v1/attachments", body)
        assert status == 201, made
        assert (made["port"], made["via"]) == ("vhu0", ["203.0.113.77"])
        assert (made["gateways"], made["mac"]) == (["169.254.1.1"], first.mac)
    status, problem = agent.ask("POST", "/v1/attachments", {"endpoint": "own", "port": "vhu0"})
    assert (status, "endpoint web's" in problem["detail"]) == (409, True)


def test_bad_requests_are_told_so(agent: Agent) -> None:
    assert agent.ask("POST", "/v1/attachments", raw=b"{")[0] == 422
    assert agent.ask("POST", "/v1/attachments", raw=b"x" * 900_000)[0] == 413
    assert agent.ask("POST", "/v1/other", BODY)[0] == 404
    assert agent.ask("DELETE", "/v1/attachments/")[0] == 404


def test_what_cannot_be_attached_leaves_nothing(agent: Agent) -> None:
    releasing = endpoint("old", "10.64.0.2", state=EndpointState.RELEASING)
    agent.know(pool(), endpoint(), releasing)
    assert agent.ask("POST", "/v1/attachments", {**BODY, "netns": "/run/netns/gone"})[0] == 422
    assert agent.ask("POST", "/v1/attachments", {**BODY, "endpoint": "old"})[0] == 409
    agent.refuse = Refused(409, "ifname eth0 is taken")
    status, problem = agent.ask("POST", "/v1/attachments", BODY)
    assert (status, problem["detail"]) == (409, "ifname eth0 is taken")
    assert agent.wants.all() == {}
    assert agent.rechecks == 1, "the attachment that was written goes now, not at the next resync"


def test_an_endpoint_is_attached_in_one_place(agent: Agent) -> None:
    agent.know(pool(), endpoint())
    agent.ask("POST", "/v1/attachments", BODY)
    status, problem = agent.ask("POST", "/v1/attachments", {**BODY, "netns": "/run/netns/other"})
    assert status == 409
    assert "eth0 in /run/netns/web" in problem["detail"]


def test_an_attach_that_is_detached_meanwhile_leaves_nothing(agent: Agent) -> None:
    agent.know(pool(), endpoint())
    agent.meanwhile = lambda: agent.wants.remove("web")
    status, problem = agent.ask("POST", "/v1/attachments", BODY)
    assert (status, agent.rechecks) == (409, 1)
    assert "detached meanwhile" in problem["detail"]


def test_the_answer_is_the_endpoint_that_was_made_anew_meanwhile(agent: Agent) -> None:
    agent.know(pool(), endpoint())

    def recreate() -> None:
        agent.know(endpoint(address="10.64.0.7"))
        assert agent.knowledge.wait_for(
            lambda seen: str(seen.endpoints["web"].addresses[0]) == "10.64.0.7", timeout_s=5.0
        )

    agent.meanwhile = recreate
    assert agent.ask("POST", "/v1/attachments", BODY)[1]["addresses"] == ["10.64.0.7"]


def test_an_endpoint_that_was_made_a_moment_ago_is_waited_for(agent: Agent) -> None:
    agent.know(pool())
    wait_for = agent.knowledge.wait_for

    def late(told: Callable[[Snapshot], bool], timeout_s: float) -> bool:
        agent.know(endpoint())
        return wait_for(told, timeout_s)

    agent.knowledge.wait_for = late
    assert agent.ask("POST", "/v1/attachments", BODY)[0] == 201


def test_an_endpoint_that_is_deleted_meanwhile_is_not_attached(agent: Agent) -> None:
    known(agent, pool(), endpoint())
    agent.knowledge.stop()
    agent.store.txn((), (Delete(keys.NODE_ENDPOINTS.key(NODE, "web")),))
    status, problem = agent.ask("POST", "/v1/attachments", BODY)
    assert (status, agent.wants.all(), agent.written) == (404, {}, [])
    assert "deleted or moved meanwhile" in problem["detail"]


def test_a_known_endpoint_is_attached_while_the_store_is_away(agent: Agent) -> None:
    known(agent, pool(), endpoint())
    agent.store.set_available(False)
    assert agent.ask("POST", "/v1/attachments", BODY)[0] == 201
    assert agent.written == []


def test_before_the_store_was_read_nothing_is_called_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.node.attachments.KNOWN_WAIT_S", 0.05)
    (tmp_path / "belief.json").write_bytes(encode(Believed(nonce="a" * 16)))
    agent = Agent(tmp_path)
    agent.server.start()
    status, problem = agent.ask("POST", "/v1/attachments", BODY)
    assert (status, "check etcd" in problem["detail"]) == (503, True), problem
    agent.store.txn((), (Put(keys.CLUSTER.key(), encode(Cluster(id="2", nonce="b" * 16))),))
    agent.knowledge.start()
    wait_until(lambda: agent.knowledge.waits_for, 5, "the agent to doubt")
    status, problem = agent.ask("POST", "/v1/attachments", BODY)
    assert (status, "restored" in problem["detail"]) == (503, True), problem
    agent.server.stop()
    agent.knowledge.stop()
    agent.store.close()


@pytest.mark.parametrize(("values", "why"), [([], "see /readyz"), ([Telling()], "no controller has told")])
def test_what_takes_too_long_goes_on_and_says_what_it_waits_for(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, values: list[Value], why: str
) -> None:
    for name in ("ATTACH_WAIT_S", "DETACH_WAIT_S"):
        monkeypatch.setattr(f"agents.node.attachments.{name}", 0)
    agent.works = False
    known(agent, pool(), *values, endpoint())
    status, problem = agent.ask("POST", "/v1/attachments", BODY)
    assert (status, why in problem["detail"]) == (503, True), problem
    assert agent.wants.all()["web"].stage is Stage.WANTED
    assert agent.ask("DELETE", "/v1/attachments/web")[0] == 503
    assert agent.wants.all()["web"].stage is Stage.DETACHING


def known(agent: Agent, *values: Value) -> None:
    """The store has these, the endpoint last, and the agent knows them."""
    agent.know(*values)
    assert agent.knowledge.wait_for(lambda told: "web" in told.endpoints, 5)


def test_an_unknown_endpoint_is_waited_for_then_refused(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.node.attachments.KNOWN_WAIT_S", 0.05)
    agent.know(pool())
    status, problem = agent.ask("POST", "/v1/attachments", BODY)
    assert status == 404
    assert "not assigned to node node-1" in problem["detail"]


def test_readiness_names_what_is_waited_for(agent: Agent) -> None:
    assert agent.ask("GET", "/readyz") == (200, {"ready": True, "not_ready": []})
    agent.waiting = {"switch": "not connected"}
    expected = {"ready": False, "not_ready": [{"what": "switch", "why": "not connected"}]}
    assert agent.ask("GET", "/readyz") == (503, expected)


def test_the_socket_is_the_owners_and_a_second_agent_is_refused(agent: Agent) -> None:
    assert agent.socket.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SocketInUse, match="another agent"):
        ApiServer(agent.socket, agent.attachments, dict)


def test_nobody_else_may_connect_from_the_first_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    listen = ApiServer.server_activate

    def noted(server: ApiServer) -> None:
        modes.append((tmp_path / "agent.sock").stat().st_mode & 0o777)
        listen(server)

    monkeypatch.setattr(ApiServer, "server_activate", noted)
    before = os.umask(0)
    try:
        Agent(tmp_path).server.server_close()
    finally:
        os.umask(before)
    assert modes == [0o600]


def test_the_socket_of_a_killed_agent_is_taken_over(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(tmp_path / "agent.sock"))
    left.close()
    made = Agent(tmp_path)
    made.server.start()
    made.server.stop()
    assert not made.socket.exists()
