"""An endpoint that moved away is not ended before every node that held it has let go of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.ipam.request import Request
from controller.reading import put, read
from controller.registry import Registry
from store import keys
from store.client import Delete
from store.memory import MemoryStore
from store.model import Attachment, Endpoint, Node, Pool
from tests.support.ipam import Controller, FlakyStore, check

NODES = ("n1", "n2", "n3")


@pytest.fixture
def store() -> FlakyStore:
    return FlakyStore(MemoryStore())


@pytest.fixture
def controller(store: FlakyStore) -> Iterator[Controller]:
    made = Controller.over(store)
    registry: Registry = made.registry
    registry.create_pool(Pool(name="p", cidr="10.0.0.0/24", block_prefixlen=26, cooldown_s=0))
    for name in NODES:
        registry.create_node(Node(name=name, asn=64512))
    made.allocator.assign(Request("n1", "web"))
    yield made
    made.committer.close()


def attach(controller: Controller, node: str | None = None) -> None:
    """As the agent of the node that has the endpoint, or of this one."""
    copy = here(controller)
    attachment = Attachment(
        endpoint="web",
        node=node or copy.node,
        addresses=copy.addresses,
        netns="/run/netns/web",
        ifname="eth0",
        boot_id="boot",
    )
    controller.store.txn((), (put(keys.ATTACHMENTS, attachment, attachment.node, "web"),))


def here(controller: Controller) -> Endpoint:
    found = read(controller.store, keys.ENDPOINTS, "web")
    assert found is not None
    return found.value


def let_go(controller: Controller, node: str) -> None:
    controller.store.txn((), (Delete(keys.ATTACHMENTS.key(node, "web")),))


def move(controller: Controller, node: str) -> None:
    controller.mover.change("web", lambda endpoint: endpoint.model_copy(update={"node": node}))


def test_a_moved_endpoint_is_not_ended_while_its_former_node_holds_it(controller: Controller) -> None:
    attach(controller)
    move(controller, "n2")
    assert controller.releaser.release("web") is not None, "n1 delivers to it still"
    let_go(controller, "n1")
    assert controller.releaser.release("web") is None
    check(controller.store)


def test_a_former_node_that_holds_it_after_all_when_it_is_ended_is_waited_for(
    controller: Controller, store: FlakyStore
) -> None:
    attach(controller)
    move(controller, "n2")
    let_go(controller, "n1")
    store.meets.append(lambda: attach(controller, "n1"))
    assert controller.releaser.release("web") is not None
    assert here(controller).node == "n2"
    let_go(controller, "n1")
    assert controller.releaser.release("web") is None
    check(controller.store)


def test_it_waits_for_every_node_it_was_on(controller: Controller) -> None:
    for node in ("n2", "n3"):
        attach(controller)
        move(controller, node)
    for node in ("n2", "n1"):
        assert controller.releaser.release("web") is not None
        let_go(controller, node)
    assert controller.releaser.release("web") is None


def test_a_move_forgets_the_nodes_that_have_let_go(controller: Controller) -> None:
    attach(controller)
    move(controller, "n2")
    let_go(controller, "n1")
    move(controller, "n3")
    held = read(controller.store, keys.ADDRESSES, "p", "10.0.0.0-26", here(controller).addresses[0])
    assert held is not None
    assert held.value.left == ()


def test_a_former_node_that_is_deleted_holds_nothing(controller: Controller) -> None:
    controller.store.txn((), (Delete(keys.NODES.key("n1")),))  # by hand: the API would refuse
    attach(controller)
    move(controller, "n2")
    assert controller.releaser.release("web") is None


def test_moved_away_and_home_again_it_is_held_by_home_alone(controller: Controller) -> None:
    attach(controller)
    move(controller, "n2")
    move(controller, "n1")
    assert controller.releaser.release("web") is not None
    let_go(controller, "n1")
    assert controller.releaser.release("web") is None
