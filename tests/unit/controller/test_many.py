"""Many endpoints in one call: each on its own account, or all or none whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import count

import pytest

from controller.ipam.allocator import Allocator
from controller.ipam.committer import Committer
from controller.ipam.request import Request
from controller.ipam.together import PATIENCE, Together
from controller.problem import Problem
from controller.reading import put, read, scan
from controller.registry import Registry
from store import keys
from store.client import Compare, Op, Put, TxnResult
from store.memory import MemoryStore
from store.model import Endpoint, Node, Pool, Tenant
from tests.support.ipam import LOST_AFTER, LOST_BEFORE, REFUSED, FlakyStore, check


@dataclass
class Plant:
    """A controller that makes many at a time, and another that tidies up."""

    memory: MemoryStore = field(default_factory=MemoryStore)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    store_type: type[FlakyStore] = FlakyStore

    def __post_init__(self) -> None:
        self.store = self.store_type(self.memory)
        self.committer = Committer(self.store, pauses_s=(0, 0, 0))
        self.allocator = Allocator(self.store, [self.committer], lambda: self.now)
        self.registry = registry = Registry(self.store, self.committer)
        registry.create_pool(Pool(name="p", cidr="10.0.0.0/23", block_prefixlen=28))
        registry.create_pool(Pool(name="six", cidr="2001:db8::/64", priority=0))
        registry.create_tenant(Tenant(name="red", max_ipv4=30))
        for name in ("n1", "n2"):
            registry.create_node(Node(name=name, asn=64512))

    def ids(self) -> set[str]:
        return {endpoint.id for endpoint in scan(self.memory, keys.ENDPOINTS).values}

    def blocks(self) -> set[str]:
        return {found.key for found in scan(self.memory, keys.BLOCKS).items}

    def once_there(self, endpoint_id: str, act: Callable[[], None]) -> None:
        """Have something happen just before the first transaction that follows the one that makes it."""

        def look() -> None:
            if endpoint_id in self.ids():
                act()
            else:
                self.store.meets.append(look)

        self.store.meets.append(look)

    def tidy(self) -> None:
        """What the duty of another controller does after the deadline."""
        self.now += PATIENCE
        other = Committer(self.memory, pauses_s=(0,))
        Together(self.memory, other, lambda: self.now).undo_overdue()
        other.close()


@pytest.fixture
def plant() -> Iterator[Plant]:
    plant = Plant()
    yield plant
    plant.committer.close()
    check(plant.memory)
    assert not scan(plant.memory, keys.PENDING).items


def many(count: int, node: str = "n1", **others: object) -> list[Request]:
    return [Request(node, f"e{number}", **others) for number in range(count)]


def kinds(answers: list[tuple[Endpoint, bool] | Problem]) -> list[str]:
    return [
        answer.kind if isinstance(answer, Problem) else "new" if answer[1] else "old" for answer in answers
    ]


@pytest.mark.parametrize("atomic", [False, True])
def test_each_gets_an_address_of_its_own(plant: Plant, atomic: bool) -> None:
    requests = many(100) + [Request("n2", families=(4, 6)) for _ in range(50)]
    answers = plant.allocator.assign_many(requests, atomic=atomic)
    assert kinds(answers) == ["new"] * 150
    given = [address for answer in answers if isinstance(answer, tuple) for address in answer[0].addresses]
    assert len(set(given)) == len(given) == 200
    again = plant.allocator.assign_many(requests[:100], atomic=atomic)
    assert kinds(again) == ["old"] * 100
    assert [a[0] for a in again if isinstance(a, tuple)] == [
        a[0] for a in answers[:100] if isinstance(a, tuple)
    ]


def test_a_storm_of_repeated_requests_takes_nothing(plant: Plant) -> None:
    plant.allocator.assign_many(many(10))
    before = plant.memory.range("").items
    for request in many(10) * 5:
        assert not plant.allocator.assign(request)[1]
    assert plant.memory.range("").items == before, "no block was claimed for them"


def test_each_fails_on_its_own_account(plant: Plant) -> None:
    wanted = Request("n1", addresses=(ip_address("10.0.1.9"),))
    requests = [*many(40, tenant="red"), Request("n3"), Request("n1", pools=("q",)), wanted, wanted]
    answers = plant.allocator.assign_many(requests)
    assert sorted(kinds(answers[:40])) == ["new"] * 30 + ["over-quota"] * 10
    assert kinds(answers[40:]) == ["invalid", "invalid", "new", "address-in-use"]


@pytest.mark.parametrize("atomic", [False, True])
def test_who_may_have_no_more_gets_no_block(plant: Plant, atomic: bool) -> None:
    plant.allocator.assign_many(many(20, tenant="red"))
    before = plant.blocks()
    answers = plant.allocator.assign_many([Request("n2", tenant="red") for _ in range(500)], atomic=atomic)
    assert kinds(answers).count("over-quota") == 490
    assert kinds(answers).count("new") == (0 if atomic else 10)
    assert len(plant.blocks() - before) <= 1, "ten addresses fit into one"


@pytest.mark.parametrize("atomic", [False, True])
def test_a_quota_is_given_out_to_the_last_address(plant: Plant, atomic: bool) -> None:
    plant.registry.create_tenant(Tenant(name="blue", max_ipv4=300))
    answers = plant.allocator.assign_many(many(300, tenant="blue"), atomic=atomic)
    assert kinds(answers) == ["new"] * 300, "units that are committed are not counted twice"
    again = plant.allocator.assign_many(many(300, tenant="blue"), atomic=atomic)
    assert kinds(again) == ["old"] * 300
    assert kinds(plant.allocator.assign_many([Request("n2", tenant="blue")])) == ["over-quota"]


@pytest.mark.parametrize("families", [(), (4,)])
def test_who_may_have_no_more_gets_no_block_for_an_address_of_it(
    plant: Plant, families: tuple[int, ...]
) -> None:
    plant.allocator.assign_many(many(30, tenant="red"))
    before = plant.blocks()
    for number in range(4):
        wanted = (ip_address(f"10.0.1.{16 * number + 1}"),)
        refused = Request("n2", addresses=wanted, tenant="red", families=families)
        assert kinds(plant.allocator.assign_many([refused])) == ["over-quota"]
    assert plant.blocks() == before


def test_where_one_family_cannot_be_had_no_block_is_claimed_for_an_address_of_the_other(plant: Plant) -> None:
    plant.allocator.assign_many([Request("n1", addresses=(ip_address("2001:db8::9"),))])
    before = plant.blocks()
    both = (ip_address("10.0.1.1"), ip_address("2001:db8::9"))
    assert kinds(plant.allocator.assign_many([Request("n2", addresses=both)])) == ["address-in-use"]
    assert plant.blocks() == before


@pytest.mark.parametrize(
    "culprit",
    [
        Request("n3"),
        Request("n1", addresses=(ip_address("10.0.0.0"),)),
        Request("n1", "e7", addresses=(ip_address("10.0.0.99"),)),
        Request("n1", tenant="red", pools=("p",)),
    ],
)
def test_all_or_none_is_none_when_one_is_refused(plant: Plant, culprit: Request) -> None:
    plant.allocator.assign_many([Request("n2", tenant="red") for _ in range(30)])
    before = plant.ids()
    answers = plant.allocator.assign_many([*many(60), culprit], atomic=True)
    assert kinds(answers)[:60].count("undone") >= 59
    assert kinds(answers)[-1] not in {"new", "old", "undone"} or "conflict" in kinds(answers)
    assert plant.ids() == before
    assert all(each.state == "assigned" for each in scan(plant.memory, keys.ADDRESSES).values)
    assert kinds(plant.allocator.assign_many(many(60), atomic=True)) == ["new"] * 60


def test_what_cannot_be_read_is_undone_when_it_can_be_and_keeps_nothing_else(plant: Plant) -> None:
    makers = Together(plant.memory, plant.committer, lambda: plant.now)
    begun = {}
    for name in ("a", "b"):
        endpoint, _ = plant.allocator.assign(Request("n1", name))
        begun[makers.begin([(name, endpoint.uid)]).key] = endpoint
    first = begun[min(begun)]
    key = keys.ADDRESSES.key("p", "10.0.0.0/28", first.addresses[0])
    item = plant.memory.get(key)
    assert item is not None
    plant.memory.txn([], [Put(key, b"?")])
    plant.tidy()
    assert plant.ids() == {first.id}
    plant.memory.txn([], [Put(key, item.value)])
    plant.tidy()
    assert plant.ids() == set()


@pytest.mark.parametrize("when", range(6))
@pytest.mark.parametrize("fault", [REFUSED, LOST_AFTER, LOST_BEFORE])
def test_who_dies_in_the_middle_leaves_nothing_half_made(plant: Plant, when: int, fault: str) -> None:
    """From the transaction `when` on the store is away for this controller."""
    plant.allocator.assign(Request("n1", "first"))
    plant.store.meets.extend([None] * when + [fault] + [REFUSED] * 60)
    answers = plant.allocator.assign_many(many(90), atomic=True)
    plant.store.meets.clear()
    plant.tidy()
    made = plant.ids() - {"first"}
    assert made in (set(), {f"e{number}" for number in range(90)}), "all or none"
    if "new" in kinds(answers):
        assert kinds(answers) == ["new"] * 90
        assert made


@pytest.mark.parametrize("late", [False, True])
def test_what_is_in_the_making_is_promised_to_nobody(plant: Plant, late: bool) -> None:
    """Who asks for it comes back, or ends it where its maker must be dead."""
    told: list[str] = []

    def ask() -> None:
        plant.now += PATIENCE if late else timedelta()
        other = Committer(plant.memory, pauses_s=(0,))
        try:
            told.append(Allocator(plant.memory, [other], lambda: plant.now).assign(Request("n1", "e0"))[0].id)
        except Problem as problem:
            told.append(problem.kind)
        other.close()

    first, _ = plant.allocator.assign(Request("n1"))
    plant.once_there("e0", ask)
    answers = plant.allocator.assign_many(many(90), atomic=True)
    if late:
        assert told == ["e0"]
        assert set(kinds(answers)) <= {"busy", "undone"}
        assert plant.ids() - {first.id} == {"e0"}
    else:
        assert (told, kinds(answers)) == (["busy"], ["new"] * 90)


def test_who_takes_too_long_is_undone(plant: Plant) -> None:
    plant.allocator.assign(Request("n1", "first"))
    plant.once_there("e0", plant.tidy)
    answers = plant.allocator.assign_many(many(90), atomic=True)
    assert set(kinds(answers)) <= {"busy", "undone"}
    assert plant.ids() == {"first"}
    assert plant.now - datetime(2026, 1, 1, tzinfo=UTC) == PATIENCE < timedelta(minutes=1)


@pytest.mark.parametrize("first", [True, False])
def test_of_two_that_want_the_same_the_one_that_was_announced_first_waits_for_the_other_to_give_way(
    plant: Plant, monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    together = Together(plant.memory, plant.committer, lambda: plant.now)
    before = together.begin([("e", "0" * 32)])
    made, _ = plant.allocator.assign(Request("n1", "e"))
    theirs = together.begin([("e", made.uid)])
    mine = before if first else together.begin([("e", "0" * 32)])
    monkeypatch.setattr("controller.ipam.together.pause", lambda seconds: together.undo(theirs))
    if first:
        assert together.find("e", mine) is None
    else:
        with pytest.raises(Problem, match="being made together"):
            together.find("e", mine)
    assert ("e" in plant.ids()) is not first
    plant.tidy()


class RestlessStore(FlakyStore):
    """Each transaction that makes endpoints is followed by a change of the pool, by somebody else."""

    tried = 0

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        result = super().txn(compares, ops)
        if any(op.key.startswith(keys.ENDPOINTS.prefix()) for op in ops if isinstance(op, Put)):
            self.tried += 1
            self.change()
        return result

    def change(self) -> None:
        pool = read(self.inner, keys.POOLS, "p")
        assert pool is not None
        changed = pool.value.model_copy(update={"cooldown_s": self.tried})
        assert self.inner.txn([pool.unchanged()], [put(keys.POOLS, changed, "p")]).succeeded


@pytest.mark.parametrize("atomic", [False, True])
def test_all_are_served_while_a_pool_is_changed_all_the_time(atomic: bool) -> None:
    plant = Plant(store_type=RestlessStore)
    plant.allocator.assign(Request("n1", "first"))
    assert kinds(plant.allocator.assign_many(many(90), atomic=atomic)) == ["new"] * 90
    check(plant.memory)


@pytest.mark.parametrize("atomic", [False, True])
def test_who_cannot_be_served_for_long_is_told_to_come_back(
    monkeypatch: pytest.MonkeyPatch, atomic: bool
) -> None:
    plant = Plant(store_type=RestlessStore)
    store = plant.store
    assert isinstance(store, RestlessStore)
    looks_at_the_clock = count()
    monkeypatch.setattr(plant.allocator, "_monotonic", lambda: float(next(looks_at_the_clock)))
    store.meets.extend([store.change] * 2000)
    answers = plant.allocator.assign_many(many(90), atomic=atomic)
    assert set(kinds(answers)) <= {"busy", "undone"}
    assert plant.ids() == set()
    assert next(looks_at_the_clock) == PATIENCE.total_seconds() + 2
