"""What nodes on a segment are told of each other, by the duty that compares it with what should be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from controller.app import create_app
from controller.direct import Segments
from controller.parts import Parts
from controller.reading import put, scan
from store import keys
from store.client import Delete
from store.memory import MemoryStore
from store.model import Alive, Attachment, Program
from tests.support.client import client_of
from tests.unit.controller.conftest import NOW, Api, Clock

NODES = ("node-1", "node-2", "node-3")


@dataclass(frozen=True)
class Segment(Api):
    """Three nodes, two of them on a segment, each with an endpoint; and the duty."""

    duty: list[Segments] = field(default_factory=list)

    def told(self) -> dict[tuple[str, str], tuple[list[str], dict[str, str]]]:
        """After a look: who is told of whom, which blocks, and who has what of them."""
        self.duty[0].look()
        found = {}
        for each in scan(self.store, keys.ON_LINK).items:
            parts = keys.ON_LINK.parts(each.key)
            assert parts is not None
            elsewhere = {str(one.address): one.node for one in each.value.displaced}
            found[parts[0], parts[1]] = [str(block) for block in each.value.blocks], elsewhere
        return found

    def live(self, node: str) -> None:
        alive = Alive(node=node, program=Program.AGENT, boot_id="boot", started=NOW)
        self.store.txn((), (put(keys.ALIVE, alive, node, Program.AGENT),))

    def die(self, node: str) -> None:
        self.store.txn((), (Delete(keys.ALIVE.key(node, Program.AGENT)),))


@pytest.fixture
def segment() -> Iterator[Segment]:
    store = MemoryStore()
    parts = Parts.build(store, lambda: NOW)
    made = Segment(client_of(create_app(store, parts=parts)), store, parts, Clock(), [Segments(store)])
    made.made("/v1/pools", {"name": "default", "cidr": "10.64.0.0/24", "block_prefixlen": 26})
    for number, name in enumerate(NODES, start=1):
        direct = "rack" if number < 3 else None
        body = {"name": name, "asn": 64510 + number, "next_hops": [f"192.0.2.{number}"], "direct": direct}
        made.made("/v1/nodes", body)
        made.live(name)
        made.made("/v1/endpoints", {"id": f"on-{name}", "node": name})
    yield made
    parts.close()


TOLD = {
    ("node-1", "node-2"): (["10.64.0.64/26"], {}),
    ("node-2", "node-1"): (["10.64.0.0/26"], {}),
}


def test_nodes_are_told_of_the_others_on_their_segment(segment: Segment) -> None:
    assert segment.told() == TOLD
    before = segment.stored()
    assert segment.told() == TOLD
    assert segment.stored() == before, "what is so is not written again"


def test_a_node_that_leaves_the_segment_or_is_dead_is_told_of_no_more(segment: Segment) -> None:
    segment.told()
    segment.die("node-2")
    assert segment.told() == {("node-2", "node-1"): TOLD["node-2", "node-1"]}
    segment.live("node-2")
    assert segment.told() == TOLD
    segment.send("PATCH", "/v1/nodes/node-2", {"direct": None})
    assert segment.told() == {}


def test_what_has_moved_is_told_with_its_block(segment: Segment) -> None:
    segment.send("PATCH", "/v1/endpoints/on-node-2", {"node": "node-3"})
    assert segment.told()["node-1", "node-2"] == (["10.64.0.64/26"], {"10.64.0.64": "node-3"})
    segment.send("PATCH", "/v1/endpoints/on-node-2", {"node": "node-2"})
    assert segment.told() == TOLD


def test_what_is_on_its_way_is_told_to_be_where_it_was(segment: Segment) -> None:
    attach(segment, "on-node-2", "node-2")
    segment.send("PATCH", "/v1/endpoints/on-node-2", {"node": "node-3"})
    assert segment.told() == TOLD
    segment.send("PATCH", "/v1/endpoints/on-node-2?overlap_s=0", {"node": "node-3"})
    segment.send("PATCH", "/v1/endpoints/on-node-2?overlap_s=0", {"node": "node-1"})
    attach(segment, "on-node-2", "node-1")
    segment.send("PATCH", "/v1/endpoints/on-node-2", {"node": "node-2"})
    assert segment.told()["node-1", "node-2"] == (["10.64.0.64/26"], {"10.64.0.64": "node-1"}), "not home yet"


def test_another_controller_goes_on_and_the_first_finds_out(segment: Segment) -> None:
    segment.told()
    other = Segments(segment.store)
    segment.die("node-2")
    other.look()
    segment.live("node-2")
    segment.duty[0].look()  # believes what it wrote: nothing to do
    other.look()
    segment.die("node-1")
    segment.duty[0].look()
    segment.duty[0].look()
    assert set(segment.told()) == {("node-1", "node-2")}


def attach(segment: Segment, endpoint: str, node: str) -> None:
    addresses = segment.get(f"/v1/endpoints/{endpoint}")["addresses"]
    held = Attachment(
        endpoint=endpoint,
        node=node,
        addresses=addresses,
        netns="/run/netns/x",
        ifname="eth0",
        boot_id="boot",
    )
    segment.store.txn((), (put(keys.ATTACHMENTS, held, node, endpoint),))
