"""Blocks over time: what is free is used in turn, and what is empty goes back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from itertools import islice

import pytest

from controller.ipam import giveback
from controller.ipam.allocator import Allocator
from controller.ipam.giveback import EmptyBlocks
from controller.ipam.request import Request
from controller.ipam.unit import Unit
from controller.ipam.window import Window
from controller.reading import put, scan
from store import keys
from store.client import Absent, KeyValue, Put
from store.memory import MemoryStore
from store.model import Advertised, Block, Node, Pool, Program
from tests.support.gone import DAY, Duty, Time, fall, rise
from tests.support.ipam import Controller, FlakyStore, check


@dataclass
class Plant:
    """Two controllers, and the duty of one of them, by a clock of their own."""

    time_s: float = 0.0
    first: Controller = field(init=False)
    second: Controller = field(init=False)

    def __post_init__(self) -> None:
        self.memory = MemoryStore(lambda: self.time_s)
        self.store = FlakyStore(self.memory)
        self.first, self.second = Controller.over(self.store), Controller.over(FlakyStore(self.memory))
        for name in ("n1", "n2"):
            self.first.registry.create_node(Node(name=name, asn=64512))
        self.empty = EmptyBlocks(self.store, self.first.committer, idle_s=100, monotonic=lambda: self.time_s)

    def pool(self, **fields: object) -> None:
        wanted = {"name": "p", "cidr": "10.0.0.0/28", "block_prefixlen": 30, "cooldown_s": 5, **fields}
        self.first.registry.create_pool(Pool(**wanted))

    def claims(self) -> list[str]:
        return [str(claim.cidr) for claim in scan(self.memory, keys.BLOCKS).values]

    def look(self, after_s: float) -> list[str]:
        self.time_s += after_s
        self.memory.expire()
        return [str(block.cidr) for block in self.empty.give_back()]


@pytest.fixture
def plant() -> Iterator[Plant]:
    plant = Plant()
    yield plant
    plant.first.committer.close()
    plant.second.committer.close()
    check(plant.memory)


def last_digits(allocator: Allocator, count: int) -> list[int]:
    made = [allocator.assign(Request("n1"))[0] for _ in range(count)]
    return [int(str(endpoint.addresses[0]).split(".")[-1]) for endpoint in made]


def test_a_freed_address_is_the_last_to_be_used_again_also_after_a_restart(plant: Plant) -> None:
    plant.pool(cidr="10.0.0.0/28", block_prefixlen=28, cooldown_s=1)
    assert last_digits(plant.first.allocator, 3) == [1, 2, 3]
    for endpoint in scan(plant.memory, keys.ENDPOINTS).values:
        if not endpoint.addresses[0].packed.endswith(b"\3"):
            plant.first.releaser.release(endpoint.id)
    plant.time_s += 60
    plant.memory.expire()
    assert last_digits(plant.second.allocator, 13) == [4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 1, 2]


def test_a_block_that_was_empty_for_long_goes_back(plant: Plant) -> None:
    plant.pool()
    plant.first.allocator.assign(Request("n1", "a"))
    plant.first.allocator.assign(Request("n2", "b"))
    plant.first.releaser.release("a")
    assert plant.look(0) == [], "an address cools down in it"
    assert plant.look(10) == []
    assert plant.look(99) == []
    assert plant.look(1) == ["10.0.0.0/30"]
    assert plant.claims() == ["10.0.0.4/30"]
    assert last_digits(plant.first.allocator, 1) == [8], "it goes on with a block that nobody had"


def test_a_block_that_was_used_in_between_stays(plant: Plant) -> None:
    plant.pool(cidr="10.0.0.0/24", block_prefixlen=28, cooldown_s=0)
    for seconds in (0, 90, 90, 90):
        plant.first.allocator.assign(Request("n1", "a"))
        assert plant.look(seconds) == []
        plant.first.releaser.release("a")
        assert plant.look(seconds / 2) == []


def test_where_blocks_are_short_an_empty_one_goes_back_at_the_second_look(plant: Plant) -> None:
    plant.pool(cidr="10.0.0.0/29", cooldown_s=0)
    plant.first.allocator.assign(Request("n1", "a"))
    plant.first.allocator.assign(Request("n2", "b"))
    plant.first.releaser.release("a")
    assert plant.look(0) == []
    assert plant.look(20) == ["10.0.0.0/30"]


def test_an_address_is_assigned_while_its_block_goes_back(plant: Plant) -> None:
    plant.pool(cooldown_s=0)
    plant.first.allocator.assign(Request("n1", "a"))
    plant.first.releaser.release("a")
    plant.look(0)
    plant.store.meets.append(lambda: plant.second.allocator.assign(Request("n1", "b")))
    assert plant.look(200) == []


def test_a_block_goes_back_while_an_address_of_it_is_assigned(plant: Plant) -> None:
    plant.pool(cooldown_s=0)
    plant.first.allocator.assign(Request("n1", "a"))
    plant.first.releaser.release("a")
    plant.look(0)
    duty = EmptyBlocks(plant.memory, plant.second.committer, idle_s=0, monotonic=lambda: plant.time_s)
    plant.store.meets.append(lambda: duty.give_back())
    assert plant.first.allocator.assign(Request("n1", "b"))[0].addresses


def announced(plant: Plant, node: str = "n1", prefix: str = "10.0.0.0/30") -> None:
    """The speaker of a node says that it announces this."""
    said = Advertised(prefix=prefix, node=node, peers=("tor-a",))
    plant.memory.txn([], [put(keys.ADVERTISED, said, node, prefix)])


def emptied(plant: Plant) -> None:
    """`n1` has a block that is empty for long."""
    plant.pool(cooldown_s=0)
    plant.first.allocator.assign(Request("n1", "a"))
    plant.first.releaser.release("a")
    assert plant.look(0) == []
    plant.time_s += 100


def test_an_empty_block_goes_back_while_its_speaker_lives_to_withdraw_it(plant: Plant) -> None:
    emptied(plant)
    announced(plant)
    rise(plant.memory, "n1", Program.SPEAKER)
    assert plant.look(0) == ["10.0.0.0/30"]


def test_an_empty_block_stays_while_nobody_lives_to_withdraw_it(plant: Plant) -> None:
    emptied(plant)
    announced(plant)
    rise(plant.memory, "n1", Program.AGENT)
    assert plant.look(0) == []
    assert plant.claims() == ["10.0.0.0/30"]
    rise(plant.memory, "n1", Program.SPEAKER)
    assert plant.look(0) == ["10.0.0.0/30"]


def test_an_empty_block_of_a_node_that_is_gone_goes_back_with_what_the_node_said(plant: Plant) -> None:
    emptied(plant)
    announced(plant)
    clock = Time()
    duty = Duty(plant.first, clock)
    duty.turn()
    assert plant.look(0) == []
    clock.now += DAY
    duty.turn()
    assert plant.look(0) == ["10.0.0.0/30"]


def test_an_empty_block_that_an_edge_node_announces_stays_while_that_does_not_live(plant: Plant) -> None:
    emptied(plant)
    plant.first.registry.create_node(Node(name="edge", asn=64512, edge=True))
    announced(plant, "edge")
    assert plant.look(0) == []
    rise(plant.memory, "edge", Program.SPEAKER)
    assert plant.look(0) == ["10.0.0.0/30"]


def edges(plant: Plant, count: int) -> list[str]:
    names = [f"edge-{number}" for number in range(count)]
    for name in names:
        plant.first.registry.create_node(Node(name=name, asn=64512, edge=True))
    return names


@pytest.mark.parametrize("live", [True, False])
def test_an_empty_block_goes_back_with_more_edge_nodes_than_a_transaction_compares(
    plant: Plant, *, live: bool
) -> None:
    emptied(plant)
    for name in edges(plant, 130):
        if live:
            announced(plant, name)
            rise(plant.memory, name, Program.SPEAKER)
    assert plant.look(0) == ["10.0.0.0/30"]


def claimed(plant: Plant, count: int) -> list[str]:
    """`n1` has so many blocks, with nothing in them."""
    plant.pool(cidr="10.0.0.0/16")
    cidrs = list(islice(ip_network("10.0.0.0/16").subnets(new_prefix=30), count))
    for cidr in cidrs:
        block = Block(cidr=cidr, pool="p", node="n1")
        plant.memory.txn([], [put(keys.BLOCKS, block, "p", cidr), put(keys.NODE_BLOCKS, block, "n1", cidr)])
    return [str(cidr) for cidr in cidrs]


@pytest.mark.parametrize("count", [20, 60])
def test_what_edges_are_asked_does_not_grow_with_the_blocks_and_no_block_waits_for_ever(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(giveback, "AT_ONCE", 10)
    blocks, names = claimed(plant, count), edges(plant, 30)
    asked: list[int] = []
    for name in names:
        announced(plant, name, "10.9.0.0/30")
    stay = blocks[:15]
    for block in stay:
        announced(plant, names[-1], block)

    def get_many(wanted: Sequence[str]) -> Mapping[str, KeyValue]:
        asked[-1] += sum(keys.ADVERTISED.parts(key) is not None for key in wanted)
        return plant.memory.get_many(wanted)

    monkeypatch.setattr(plant.store, "get_many", get_many)
    back = plant.look(0)
    plant.time_s += 100
    for _ in range(2 * count // 10):
        asked.append(0)
        back += plant.look(0)
    assert sorted(back) == sorted(set(blocks) - set(stay))
    assert 0 < max(asked) <= 10 * (len(names) + 1)


def test_a_unit_that_the_store_refuses_does_not_keep_the_others_back(plant: Plant) -> None:
    large = Unit(tuple(Absent(f"/{number}") for number in range(200)), (Put("/large", b""),))
    window: Window[str] = Window(plant.first.committer)
    window.submit(Unit((Absent("/a"),), (Put("/a", b""),)), "a")
    window.submit(large, "large")
    window.submit(Unit((Absent("/b"),), (Put("/b", b""),)), "b")
    assert window.drain() == ["a", "b"]


@pytest.mark.parametrize("lived", [True, False])
def test_a_speaker_ends_or_announces_while_the_block_goes_back(plant: Plant, *, lived: bool) -> None:
    emptied(plant)
    if lived:
        announced(plant)
        rise(plant.memory, "n1", Program.SPEAKER)
    plant.store.meets.append(lambda: fall(plant.memory, "n1") if lived else announced(plant))
    assert plant.look(0) == []
    assert plant.claims() == ["10.0.0.0/30"]
