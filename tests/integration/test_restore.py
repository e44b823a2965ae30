"""A backup of a real etcd is restored while nodes hold what it does not know: nothing is doubled or lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agents.belief import Belief, was_heard
from agents.knowledge import Knowledge
from agents.node.holding import HoldingReport
from agents.node.plug import Plugged
from agents.node.wants import Want
from agents.publisher import Publisher
from agents.report import StoreDriver
from controller.app import create_app
from controller.epoch import NOT_COMPLETED
from controller.parts import Parts
from controller.reading import put, read, scan
from controller.restoring import Restoring
from intent.snapshot import watched
from lab.etcd import EtcdServer
from lab.wait import wait_until
from store import keys
from store.errors import Unavailable
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.model import Alive, Endpoint, Program
from tests.support.client import client_of
from tests.support.gone import attach
from tests.support.ipam import check, now

pytestmark = pytest.mark.needs("etcd", "etcdctl")
SOON_S = 30
BOOT = "b"


class Node:
    """A node's agent as far as the store sees it: what it knows, what it says, and what is plugged in."""

    def __init__(self, name: str, server: EtcdServer, directory: Path) -> None:
        self.name = name
        self.file = directory / f"{name}.json"
        self.store = EtcdStore(EtcdConfig(server.endpoints))
        self.knowledge = Knowledge(
            self.store, name, lambda: None, Belief(self.file, was_heard), watched(name)
        )
        self.publisher = Publisher({"holding": StoreDriver(self.store, keys.HOLDING, name)})
        self.report = HoldingReport(name, BOOT, self.publisher)
        self.plugged: dict[str, Plugged] = {}
        self.publisher.recheck = lambda _name: None

    def start(self) -> None:
        self.live()
        self.knowledge.start()
        self.publisher.start()

    def live(self) -> None:
        doubted = self.knowledge.waits_for
        alive = Alive(node=self.name, program=Program.AGENT, boot_id=BOOT, started=now(), waits_for=doubted)
        self.store.txn([], [put(keys.ALIVE, alive, self.name, Program.AGENT.value)])

    def plug(self, endpoint: Endpoint) -> None:
        want = Want(endpoint.id, f"/run/netns/{endpoint.id}", "1", "eth0")
        self.plugged[endpoint.id] = Plugged(want, "pl0", 1, endpoint)
        attach(self.store, endpoint, self.name)

    def say(self) -> None:
        trust = {"waits_for": self.knowledge.waits_for, "believes": self.knowledge.believes}
        self.report.say(self.plugged, **trust)

    def knows(self) -> set[str]:
        snapshot = self.knowledge.snapshot()
        return set(snapshot.endpoints) if snapshot else set()

    def stop(self) -> None:
        self.knowledge.stop()
        self.publisher.stop()
        self.store.close()


class Site:
    """An etcd, a controller, and two nodes."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self.etcd = stack.enter_context(EtcdServer(directory / "etcd"))
        self.backup = directory / "backup"
        self.store = EtcdStore(EtcdConfig(self.etcd.endpoints))
        stack.callback(self.store.close)
        self.parts = Parts.build(self.store)
        stack.callback(self.parts.close)
        self.client = client_of(create_app(self.store, parts=self.parts))
        self.made("/v1/pools", {"name": "p", "cidr": "10.64.0.0/24", "block_prefixlen": 28, "cooldown_s": 0})
        for name in ("n1", "n2"):
            self.made("/v1/nodes", {"name": name, "asn": 64512})
        self.nodes = {name: Node(name, self.etcd, directory) for name in ("n1", "n2")}
        for node in self.nodes.values():
            node.start()
            stack.callback(node.stop)

    def made(self, path: str, body: object) -> dict[str, object]:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, object] = answer.json
        return found

    def held(self, name: str, node: str) -> Endpoint:
        """An endpoint that is created and plugged in."""
        self.made("/v1/endpoints", {"id": name, "node": node})
        found = read(self.store, keys.ENDPOINTS, name)
        assert found is not None
        self.nodes[node].plug(found.value)
        wait_until(lambda: name in self.nodes[node].knows(), SOON_S, f"{node} to know {name}")
        return found.value

    def save(self) -> None:
        self.etcd.save(self.backup)

    def restore(self, token: str) -> None:
        """Bring the backup back, in place of what there is."""
        self.etcd.stop()
        self.etcd.bring_back(self.backup, token=token)
        self.etcd.start()
        for store in (self.store, *(node.store for node in self.nodes.values())):  # they still try to connect
            wait_until(lambda store=store: _answers(store), SOON_S, "etcd to answer again")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path, stack)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("after-the-fire", id="as another cluster"),
        pytest.param("", id="under the same cluster id"),
    ],
)
def test_what_nodes_hold_is_adopted_before_anything_is_assigned(site: Site, token: str) -> None:
    site.held("old", "n1")
    site.held("moved-on", "n1")
    site.save()
    young = site.held("young", "n1")
    other = site.held("other", "n2")
    del site.nodes["n1"].plugged["moved-on"]
    assert site.client.delete("/v1/endpoints/moved-on").status_code in {202, 204}

    site.restore(token)

    duty = Restoring(site.parts.store, site.parts.epoch, now, site.parts.events, settle_s=0)
    for node in site.nodes.values():
        wait_until(lambda each=node: each.knowledge.waits_for, SOON_S, f"{node.name} to see it")
        node.live()
    for _ in range(20):  # more than a block has addresses
        refused = site.client.post("/v1/endpoints", json={"id": "new", "node": "n2"})
        assert (refused.status_code, refused.json["type"]) == (503, "/problems/restoring"), refused.text
    assert site.client.get("/v1/restore").json["waiting_for"] == ["n1", "n2"]
    duty.turn()
    assert site.client.get("/v1/restore").json["restoring"]
    told = read(site.store, keys.CLUSTER)
    assert told is not None
    assert told.value.id == NOT_COMPLETED, "who starts anew sees it too"
    assert site.nodes["n1"].knows() >= {"old", "young"}, "nobody tells it to take anything down"
    assert site.nodes["n2"].knows() == {"other"}

    asked = told.value.nonce
    for node in site.nodes.values():
        wait_until(lambda each=node: each.knowledge.waits_for == asked, SOON_S, f"{node.name} to be asked")
        node.say()
        wait_until(lambda each=node: _heard(site, each.name), SOON_S, f"{node.name} to be heard")
    duty.turn()

    view = site.client.get("/v1/restore").json
    assert not view["restoring"], view
    assert (view["report"]["heard"], view["report"]["confirmed"]) == (["n1", "n2"], 1)
    assert len(view["report"]["adopted"]) == 2
    check(site.store)
    records = {each.id: each for each in scan(site.store, keys.ENDPOINTS).values}
    assert records["young"].addresses == young.addresses
    assert records["other"].addresses == other.addresses
    for node, names in {"n1": {"old", "young"}, "n2": {"other"}}.items():
        wait_until(lambda each=node: not site.nodes[each].knowledge.waits_for, SOON_S, f"{node} to believe")
        assert site.nodes[node].knows() >= names
    made = site.made("/v1/endpoints", {"id": "new", "node": "n2"})
    taken = {str(address) for each in records.values() for address in each.addresses}
    assert not taken & set(made["addresses"])
    assert len(scan(site.store, keys.BLOCKS).values) == 2, "who asks again and again uses up no block"
    check(site.store)


def test_an_operator_does_not_have_to_wait_for_a_node_that_says_nothing(site: Site) -> None:
    site.held("old", "n1")
    site.save()
    site.held("young", "n1")
    site.restore("after-the-fire")
    for node in site.nodes.values():
        node.live()
    duty = Restoring(site.parts.store, site.parts.epoch, now, site.parts.events)
    assert site.client.post("/v1/restore:finish").status_code == 409, "nobody is asked yet"
    duty.turn()
    duty.turn()
    assert site.client.get("/v1/restore").json["restoring"]
    assert site.client.post("/v1/restore:finish").status_code == 200
    duty.turn()
    view = site.client.get("/v1/restore").json
    assert (view["restoring"], view["report"]["unheard"]) == (False, ["n1", "n2"])
    site.made("/v1/endpoints", {"id": "new", "node": "n2"})


def _answers(store: EtcdStore) -> bool:
    try:
        store.get(keys.ROOT)
    except Unavailable:
        return False
    return True


def _heard(site: Site, name: str) -> bool:
    return name in site.client.get("/v1/restore").json["heard"]
