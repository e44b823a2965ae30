"""A restored backup is completed by the duty; what it says of a moment that is over does no harm then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address

import pytest

from controller.epoch import NOT_COMPLETED, Epoch
from controller.events import Events
from controller.ipam.request import Request
from controller.ipam.together import PATIENCE, Together
from controller.problem import Problem
from controller.reading import put, read, scan
from controller.restoring import PATIENCE_S, SETTLE_S, Restoring, finish, progress
from controller.unique import unique
from store import keys
from store.client import Put, Store
from store.memory import MemoryStore
from store.model import Endpoint, HeldEndpoint, Holding, Node, PendingState, Pool, Program, Restore
from tests.support.gone import DAY, Duty, Time, rise
from tests.support.ipam import Controller, FlakyStore
from tests.unit.controller.conftest import Api, Clock

BOOT = "b"


class Site:
    """A store with two nodes, and a controller that completes it."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.time = Time()
        self.controller = Controller.over(self.store)
        self.controller.registry.create_pool(
            Pool(name="p", cidr="10.0.0.0/26", block_prefixlen=28, cooldown_s=0)
        )
        for name in ("n1", "n2"):
            self.controller.registry.create_node(Node(name=name, asn=64512, reclaim_after_s=3600))
        epoch = Epoch(self.store, lambda: 0.0)
        epoch.check()
        self.events = Events(self.store, self.time)
        self.duty = Restoring(self.store, epoch, self.time, self.events, settle_s=0)

    def made(self, name: str, node: str = "n1") -> Endpoint:
        return self.controller.allocator.assign(Request(node, name))[0]

    def say(self, node: str, *held: HeldEndpoint) -> None:
        """As the node's agent does that doubts the store."""
        says(self.store, node, *held)

    def begin(self, *living: str, cluster: str = "2") -> None:
        """What is in the store is a backup that was just restored, and these nodes have an agent."""
        for node in living:
            rise(self.store, node)
        self.store.set_cluster_id(cluster)
        self.duty.turn()

    def complete(self, **held: list[HeldEndpoint]) -> Restore:
        """These nodes say what they hold, and no other has an agent."""
        self.begin(*held)
        for node, each in held.items():
            self.say(node, *each)
        self.duty.turn()
        report = read(self.store, keys.RESTORE)
        assert report is not None
        return report.value

    def has(self, name: str) -> bool:
        return read(self.store, keys.ENDPOINTS, name) is not None


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.controller.committer.close()


def holds(one: Endpoint) -> HeldEndpoint:
    """As a node says it of one that it got from the store."""
    return HeldEndpoint(endpoint=one.id, uid=one.uid, mac=one.mac, addresses=one.addresses)


def together(site: Site, *endpoints: Endpoint, state: PendingState = PendingState.MAKING) -> Together:
    """The backup was taken while these were made together."""
    making = Together(site.store, site.controller.committer, site.time)
    begun = making.begin([(each.id, each.uid) for each in endpoints])
    site.store.txn([], [put(keys.PENDING, begun.value.model_copy(update={"state": state}), begun.value.id)])
    return making


def test_endpoints_that_were_made_together_and_are_held_are_not_undone(site: Site) -> None:
    one, other = site.made("one"), site.made("other")
    making = together(site, one, other)
    site.complete(n1=[holds(one)])
    site.time.now += PATIENCE
    assert making.undo_overdue() == 0
    assert site.has("one")
    assert site.has("other"), "all or none: it was made as well, and is not attached yet"
    assert scan(site.store, keys.PENDING).values == []


def test_endpoints_that_were_made_together_and_nobody_holds_are_undone(site: Site) -> None:
    one, other = site.made("one"), site.made("other", "n2")
    making = together(site, one, other)
    anew = holds(one).model_copy(update={"uid": unique()})
    site.complete(n1=[anew], n2=[])
    site.time.now += PATIENCE
    assert making.undo_overdue() == 2
    assert not site.has("other")
    assert site.has("one"), "it was undone, and made anew since"


def test_endpoints_that_were_made_together_on_a_node_that_says_nothing_are_not_undone(site: Site) -> None:
    one, other = site.made("one"), site.made("other", "n2")
    making = together(site, one, other)
    site.complete(n1=[])
    site.time.now += PATIENCE
    assert making.undo_overdue() == 0
    assert site.has("other")


def test_what_was_being_undone_when_the_backup_was_taken_goes_on_being_undone(site: Site) -> None:
    one = site.made("one")
    making = together(site, one, state=PendingState.UNDOING)
    site.complete(n1=[])
    site.time.now += PATIENCE
    assert making.undo_overdue() == 1
    assert not site.has("one")


def test_an_endpoint_that_was_made_anew_on_another_node_is_adopted_and_the_first_is_told(site: Site) -> None:
    first = site.made("web")
    address = ip_address("10.0.0.40")
    later = holds(first).model_copy(update={"uid": unique(), "addresses": (address,)})
    report = site.complete(n1=[holds(first)], n2=[later])
    assert (len(report.adopted), len(report.refused)) == (1, 1), report
    for taken in (*first.addresses, address):
        with pytest.raises(Problem, match="web"):
            site.controller.allocator.assign(Request("n1", "another", addresses=(taken,)))


def test_a_node_that_was_away_when_the_backup_was_taken_has_all_of_its_time_again(site: Site) -> None:
    site.made("web")
    reclaim = Duty(site.controller, site.time)
    reclaim.turn()
    assert [each.node for each in scan(site.store, keys.LOST).values] == ["n1", "n2"]
    site.time.now += DAY
    site.complete(n2=[])
    assert reclaim.turn() == []
    assert [(each.node, each.since) for each in scan(site.store, keys.LOST).values] == [("n1", site.time.now)]
    site.time.now += timedelta(seconds=3599)
    assert reclaim.turn() == []
    site.time.now += timedelta(seconds=1)
    assert reclaim.turn() == ["web"]


def test_a_store_that_is_completed_while_another_controller_takes_up_the_duty_is_not_doubted(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.begin("n1")
    site.say("n1")
    epoch = Epoch(site.store, lambda: 0.0)
    later = Restoring(site.store, epoch, site.time, site.events, settle_s=0)

    def check(look: Callable[..., None] = epoch.check, *, anew: bool = False) -> None:
        try:
            look(anew=anew)
        finally:
            site.duty.turn()  # the former holder completes it now

    monkeypatch.setattr(epoch, "check", check)
    later.turn()
    assert read(site.store, keys.RESTORE) is not None
    Epoch(site.store).check()


def test_nodes_are_asked_in_the_turn_in_which_an_agent_is_believed_that_saw_a_restore(api: Api) -> None:
    """Who reads that a backup is being completed can tell it to finish: no turn lies in between."""
    duty = Restoring(api.store, api.parts.epoch, Time(), api.parts.events)
    api.parts.epoch.check()
    stored = read(api.store, keys.CLUSTER)
    assert stored is not None
    rise(api.store, "n1")
    alive = read(api.store, keys.ALIVE, "n1", Program.AGENT.value)
    assert alive is not None
    doubts = alive.value.model_copy(update={"waits_for": stored.value.nonce})
    api.store.txn([], [put(keys.ALIVE, doubts, "n1", Program.AGENT.value)])
    duty.turn()
    told = api.send("POST", "/v1/restore:finish")
    assert (told.status_code, told.json["restoring"], told.json["waiting_for"]) == (200, True, ["n1"]), (
        told.text
    )


def test_finish_is_refused_until_nodes_are_asked_and_ends_the_wait_from_then_on(api: Api) -> None:
    rise(api.store, "n1")
    duty = Restoring(api.store, api.parts.epoch, Time(), api.parts.events)
    assert not api.send("POST", "/v1/restore:finish").json["restoring"], "there is nothing to finish"
    api.store.set_cluster_id("2")
    before = api.stored()
    refused = api.send("POST", "/v1/restore:finish")
    assert (refused.status_code, refused.json["type"]) == (409, "/problems/not-begun"), refused.text
    assert int(refused.headers["Retry-After"]) >= 1
    assert api.stored() == before
    duty.turn()
    assert api.send("POST", "/v1/restore:finish").json["waiting_for"] == ["n1"]
    duty.turn()
    assert not api.get("/v1/restore")["restoring"]


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_an_operator_told_is_not_lost_when_another_controller_takes_up_the_duty(
    site: Site, when: str
) -> None:
    """It asks anew, so who answers has the time for that; nobody else is waited for."""
    web = site.made("web")
    clock, store = Clock(), FlakyStore(site.store)
    former, later = (
        Restoring(each, Epoch(each, lambda: 0.0), site.time, site.events, monotonic=clock)
        for each in (site.store, store)
    )
    for node in ("n1", "n2"):
        rise(site.store, node)
    site.store.set_cluster_id("2")
    former.turn()
    clock.now_s += PATIENCE_S - 1
    if when == "before":
        finish(site.store)
    else:
        store.meets.append(lambda: finish(site.store))
        later.turn()
    later.turn()
    site.say("n1", holds(web))
    clock.now_s += SETTLE_S - 1
    former.turn()
    later.turn()
    assert read(site.store, keys.RESTORE) is None, "they need time to answer"
    clock.now_s += 1
    later.turn()
    report = read(site.store, keys.RESTORE)
    assert report is not None
    assert (report.value.heard, report.value.confirmed) == (("n1",), 1)


@pytest.mark.parametrize(("cluster", "marked"), [("2", True), ("2", False), ("1.1", True)])
def test_what_was_said_for_an_earlier_restore_counts_no_more(site: Site, cluster: str, marked: bool) -> None:
    """The backup was taken while that was being completed: it was known in the store, or not yet."""
    web = site.made("web")
    stored = read(site.store, keys.CLUSTER)
    assert stored is not None
    if marked:
        doubted = stored.value.model_copy(update={"id": NOT_COMPLETED})
        site.store.txn([], [put(keys.CLUSTER, doubted)])
    gone = holds(web).model_copy(update={"endpoint": "gone", "addresses": (ip_address("10.0.0.40"),)})
    site.say("n1", holds(web), gone)
    site.say("n2", gone)
    begun = Put(keys.RESTORE_BEGUN, f"{site.store.cluster_id()} {stored.value.nonce}".encode())
    site.store.txn([], [begun, Put(keys.FINISH, stored.value.nonce.encode())])

    site.begin("n2", cluster=cluster)
    assert progress(site.store).heard == {}
    assert progress(site.store).silent == ("n2",)
    site.duty.turn()
    assert read(site.store, keys.RESTORE) is None, "nobody has told this one to finish"
    site.say("n2")
    site.duty.turn()
    report = read(site.store, keys.RESTORE)
    assert report is not None
    assert (report.value.heard, report.value.unheard) == (("n2",), ("n1",))
    assert site.has("web")
    assert not site.has("gone")


def says(store: Store, node: str, *held: HeldEndpoint) -> None:
    """As a node's agent does that is asked."""
    stored = read(store, keys.CLUSTER)
    assert stored is not None
    said = Holding(node=node, waits_for=stored.value.nonce, boot_id=BOOT, endpoints=held)
    store.txn([], [put(keys.HOLDING, said, node)])


def test_a_store_that_lacks_the_pools_is_completed_only_when_it_is_told_and_with_what_was_created(
    api: Api,
) -> None:
    """As an etcd that has lost all: its nodes would take down what they hold."""
    web = HeldEndpoint(
        endpoint="web", uid=unique(), mac="02:00:00:00:00:01", addresses=(ip_address("10.0.0.9"),)
    )
    clock = Clock()
    rise(api.store, "n1")
    duty = Restoring(api.store, api.parts.epoch, Time(), api.parts.events, monotonic=clock)
    api.parts.epoch.check()
    api.store.set_cluster_id("2")
    duty.turn()
    says(api.store, "n1", web)
    assert api.get("/v1/restore")["waits_for_finish"], "it will when nodes have been waited for"
    for _ in range(3):
        clock.now_s += PATIENCE_S
        duty.turn()
    view = api.get("/v1/restore")
    assert (view["restoring"], view["no_pool"]) == (True, ["endpoint web (10.0.0.9) on node n1"])
    assert view["waits_for_finish"]
    reasons = [event["reason"] for event in api.get("/v1/events")["items"]]
    assert sorted(reasons) == ["store-lacks-pools", "store-restored"], "it is said once"

    api.made("/v1/pools", {"name": "p", "cidr": "10.0.0.0/29"})
    changed = api.send("PATCH", "/v1/pools/p?max_withdraw=10", {"cidr": "10.0.0.0/24"})
    assert changed.status_code == 200, changed.text
    api.made("/v1/nodes", {"name": "n1", "asn": 64512})
    assert api.send("POST", "/v1/endpoints", {"node": "n1"}).json["type"] == "/problems/restoring"
    clock.now_s += PATIENCE_S
    duty.turn()
    view = api.get("/v1/restore")
    waits = (view["restoring"], view["no_pool"], view["waits_for_finish"])
    assert waits == (True, [], True), "who creates says when all is there"
    api.store.set_cluster_id(
        "2.1"
    )  # to another controller etcd's revision went back, or to the first one only
    duty = Restoring(api.store, api.parts.epoch, Time(), api.parts.events, monotonic=clock)
    duty.turn()
    says(api.store, "n1", web)
    clock.now_s += PATIENCE_S
    duty.turn()
    assert api.get("/v1/restore")["restoring"], "also to another controller that takes up the duty"

    assert api.send("POST", "/v1/restore:finish").status_code == 200
    duty.turn()
    report = api.get("/v1/restore")["report"]
    assert api.store.get(keys.LACKS_POOLS) is None
    assert (len(report["adopted"]), report["refused"]) == (1, [])
    assert api.get("/v1/endpoints/web")["addresses"] == ["10.0.0.9"]


@pytest.mark.parametrize("query", ["", "?dry_run=true", "?max_withdraw=100"])
def test_what_has_a_name_is_not_deleted_while_a_backup_is_completed_and_no_trial_says_it_is(
    api: Api, query: str
) -> None:
    api.made("/v1/pools", {"name": "p", "cidr": "10.0.0.0/24"})
    api.parts.epoch.check()
    api.store.set_cluster_id("2")
    assert api.send("POST", f"/v1/nodes{query}", {"name": "n1", "asn": 64512}).status_code in {200, 201}
    refused = api.send("DELETE", f"/v1/pools/p{query}")
    assert (refused.status_code, refused.json["type"]) == (503, "/problems/restoring"), refused.text
