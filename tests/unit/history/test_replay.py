"""The store's own history: what a bug would write there is found, however short it was there."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from controller.reading import put
from store import keys
from store.client import Change, Changed, Delete, KeyValue, Op, Put, Removed
from store.model import (
    Address,
    AddressState,
    Endpoint,
    EndpointState,
    Pending,
    PendingState,
    Tenant,
    Usage,
)
from tests.history.replay import Replay, replayed
from tests.support.cluster import endpoint
from tests.support.ipam import now

BLOCK = ip_network("10.64.0.0/26")
WEB = endpoint("web", "10.64.0.1")
DB = endpoint("db", "10.64.0.1")


def record(of: Endpoint) -> Put:
    return put(keys.ENDPOINTS, of, of.id)


def held(by: Endpoint, state: AddressState = AddressState.ASSIGNED) -> Put:
    address = Address(
        address=by.addresses[0], pool="default", endpoint=by.id, node=by.node, state=state, since=now()
    )
    return put(keys.ADDRESSES, address, "default", BLOCK, address.address)


def gone(of: Put) -> Delete:
    return Delete(of.key)


def history(*transactions: list[Op]) -> list[Change]:
    """What a watch tells of these transactions, one revision each."""
    changes: list[Change] = []
    for revision, ops in enumerate(transactions, start=2):
        for op in ops:
            assert isinstance(op, Put | Delete)
            changes.append(
                Changed(KeyValue(op.key, op.value, revision, revision))
                if isinstance(op, Put)
                else Removed(op.key, revision)
            )
    return changes


ASSIGNED: list[Op] = [record(WEB), held(WEB)]
FREED: list[Op] = [gone(record(WEB)), gone(held(WEB))]
COOLED: list[Op] = [gone(record(WEB)), held(WEB, AddressState.COOLDOWN)]
MOVED: list[Op] = [record(WEB.model_copy(update={"node": "node-2"})), held(WEB)]

QUOTA = put(keys.TENANTS, Tenant(name="red", max_ipv4=1), "red")
RED = WEB.model_copy(update={"tenant": "red"})
MORE = endpoint("more", "10.64.0.2").model_copy(update={"tenant": "red"})


def used(count: int) -> Put:
    return put(keys.USAGE, Usage(tenant="red", ipv4=count), "red")


def both(state: PendingState = PendingState.MAKING) -> Put:
    """Web and db are made all or none."""
    wanted = ((WEB.id, WEB.uid), (DB.id, DB.uid))
    return put(keys.PENDING, Pending(id="0" * 32, endpoints=wanted, deadline=now(), state=state), "0" * 32)


ASIDE = DB.model_copy(update={"addresses": endpoint("db", "10.64.0.2").addresses})
ALSO: list[Op] = [record(ASIDE), held(ASIDE)]
RELEASING = record(WEB.model_copy(update={"state": EndpointState.RELEASING}))
DECIDED: list[Op] = [both(PendingState.MADE)]
UNDOING: list[Op] = [both(PendingState.UNDOING)]

GOOD: dict[str, list[list[Op]]] = {
    "assigned, moved, freed": [ASSIGNED, MOVED, FREED],
    "cooled down, then another's": [ASSIGNED, COOLED, [gone(held(WEB))], [record(DB), held(DB)]],
    "freed, then another's": [ASSIGNED, FREED, [record(DB), held(DB)]],
    "counted": [[QUOTA], [record(RED), held(RED), used(1)], [*FREED, used(0)]],
    "the last one goes, and the sum with it": [
        [QUOTA],
        [record(RED), held(RED), used(1)],
        [*FREED, gone(used(1))],
    ],
    "all of them": [[both()], ASSIGNED, ALSO, DECIDED, [gone(both())]],
    "all, of which one was there before": [ASSIGNED, [both()], ALSO, DECIDED, [gone(both())]],
    "none of them": [[both()], ASSIGNED, UNDOING, FREED, [gone(both())]],
    "none of them, and one is being taken down": [[both()], ASSIGNED, UNDOING, [RELEASING], [gone(both())]],
}
BAD: dict[str, list[list[Op]]] = {
    "taken over for a moment": [ASSIGNED, [record(DB), held(DB)], [gone(record(DB)), held(WEB)]],
    "taken over while it cools down": [ASSIGNED, COOLED, [record(DB), held(DB)]],
    "a key without its record": [[held(WEB)]],
    "a record without its key": [[record(WEB)]],
    "not counted": [[QUOTA], [record(RED), held(RED)]],
    "counted too late": [[QUOTA], [record(RED), held(RED)], [used(1)]],
    "counted and not there": [[QUOTA], [used(1)]],
    "freed and still counted": [[QUOTA], [record(RED), held(RED), used(1)], FREED],
    "the sum goes and one is held": [[QUOTA], [record(RED), held(RED), used(1)], [gone(used(1))]],
    "more than the quota": [
        [QUOTA],
        [record(RED), held(RED), used(1)],
        [record(MORE), held(MORE), used(2)],
    ],
    "some of them": [[both()], ASSIGNED, DECIDED, [gone(both())]],
    "none of them, and one stays": [[both()], ASSIGNED, UNDOING, [gone(both())]],
    "none of them, and one comes": [[both()], UNDOING, ASSIGNED],
    "one comes after all is over": [[both()], UNDOING, [gone(both())], ASSIGNED, FREED],
    "undecided": [[both()], ASSIGNED, FREED, [gone(both())]],
    "the record goes first": [ASSIGNED, [gone(record(WEB))], [gone(held(WEB))]],
    "another record takes its place and the key stays": [
        ASSIGNED,
        [record(endpoint("web", "10.64.0.2")), held(endpoint("web", "10.64.0.2"))],
    ],
}


def replay(transactions: list[list[Op]]) -> Replay:
    return replayed(history(*transactions))


@pytest.mark.parametrize("case", GOOD)
def test_a_sound_history(case: str) -> None:
    assert replay(GOOD[case]).faults == []


@pytest.mark.parametrize("case", BAD)
def test_an_unsound_history(case: str) -> None:
    assert replay(BAD[case]).faults


def test_who_ever_had_what() -> None:
    assert replay([ASSIGNED, FREED, [record(DB), held(DB)]]).assigned == {
        ("web", WEB.uid, ("10.64.0.1",)),
        ("db", DB.uid, ("10.64.0.1",)),
    }
