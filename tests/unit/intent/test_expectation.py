"""What a change of a service leads to: lists of states of one node, and whether it is ready then."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from intent.advertisements import advertisements
from intent.expectation import settled
from store.model import Advertise, Alive, Check, CheckKind, Drained, DrainStage, EndpointState, Program, Value
from tests.support.cluster import BOOT, NODE, drain, endpoint, health, pool, service
from tests.support.cluster import ready as ready_
from tests.support.fleet import changed, node, tor
from tests.unit.intent.test_impact import NOW

TCP = Check(kind=CheckKind.TCP, port=80)
HTTP = Check(kind=CheckKind.HTTP, port=80)
WEB = endpoint(labels={"app": "web"})
OTHER = endpoint("other", "10.64.0.2", labels={"app": "other"})
READY = ready_("10.64.255.1/32")
OF_OTHER = service(selector={"app": "other"})
PREFIX = str(READY.prefix)


@dataclass
class Case:
    """A change of a service on a node with both endpoints, and why it is announced then; "" is not at all."""

    now: Value | None
    was: Value | None = None
    more: list[Value] = field(default_factory=list)
    reason: str = ""
    attached: frozenset[str] = frozenset({"web", "other"})


HERE = "service www: an endpoint here is healthy"
SOON = "service www: once an endpoint here is healthy"
NO_WEB = frozenset({"other"})

CASES: dict[str, Case] = {
    "a new service": Case(service(), reason=SOON),
    "a new service with a check": Case(service(check=TCP), reason=SOON),
    "a new service that selects nobody here": Case(service(selector={"app": "none"})),
    "a new service of another tenant": Case(service(tenant="shop")),
    "a new service of the other family": Case(service(address="2001:db8::1")),
    "a new service, and what it selects is not attached": Case(service(), attached=NO_WEB),
    "a new service, and what it selects is being released": Case(
        service(), more=[endpoint(labels={"app": "web"}, state=EndpointState.RELEASING)]
    ),
    "a new service of a pool that is not announced": Case(service(), more=[pool(advertise=Advertise.NONE)]),
    "a new service on a drained node": Case(
        service(), more=[drain(Drained.NODE, NODE, DrainStage.WITHDRAWING)]
    ),
    "a service that goes": Case(None, service(), [READY]),
    "other communities": Case(service(communities=["64500:1"]), service(), [READY], HERE),
    "other communities of one that nobody answers for": Case(service(communities=["64500:1"]), service()),
    "another selector, no check": Case(OF_OTHER, service(), [READY], HERE),
    "another selector, and nobody is attached": Case(
        OF_OTHER, service(), [READY], attached=frozenset({"web"})
    ),
    "another selector: who is to take over has not been asked": Case(
        service(selector={"app": "other"}, check=TCP),
        service(check=TCP),
        [READY, health("www", web=True)],
    ),
    "a wider selector: who was healthy stays": Case(
        service(selector={"tier": "a"}, check=TCP),
        service(check=TCP),
        [READY, health("www", web=True), endpoint(labels={"app": "web", "tier": "a"})],
        HERE,
    ),
    "a narrower selector: who stays is not healthy": Case(
        service(selector={"tier": "a"}, check=TCP),
        service(check=TCP),
        [
            READY,
            health("www", web=True, other=False),
            endpoint("other", "10.64.0.2", labels={"app": "web", "tier": "a"}),
        ],
    ),
    "another selector where none was ready": Case(
        service(selector={"app": "other"}, check=TCP), service(check=TCP), [health("www", web=False)], SOON
    ),
    "the same question, which failed": Case(
        service(check=TCP.model_copy(update={"interval_s": 9})),
        service(check=TCP),
        [health("www", web=False)],
    ),
    "another question where the first failed": Case(
        service(check=HTTP), service(check=TCP), [health("www", web=False)], SOON
    ),
    "what was said in another boot": Case(
        service(check=TCP.model_copy(update={"interval_s": 9})),
        service(check=TCP),
        [health("www", "before", web=False), ready_(PREFIX, "before")],
        SOON,
    ),
    "another check: a verdict outlives it": Case(
        service(check=HTTP), service(check=TCP), [READY, health("www", web=True)], HERE
    ),
    "a first check: who took packets does until it fails": Case(
        service(check=TCP), service(), [READY, health("www", web=True)], HERE
    ),
    "no check any more": Case(service(), service(check=TCP), [health("www", web=False)], SOON),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_follows_from_a_change_of_a_service(case: Case) -> None:
    alive = Alive(node=NODE, program=Program.AGENT, boot_id=BOOT, started=NOW)
    there = [pool(), node(), tor(), WEB, OTHER, alive, *case.more, *([case.was] if case.was else [])]
    puts, deletes = ([case.now], []) if case.now else ([], [case.was] if case.was else [])
    before, after = changed(there, puts, deletes)
    then = settled(before[NODE], after[NODE], case.attached)
    made = advertisements(then.snapshot, then.snapshot.peers["tor-a"], then.boot_id)
    assert {str(prefix): each.reason for prefix, each in made.items()} == (
        {PREFIX: case.reason} if case.reason else {}
    )


def test_a_node_that_a_change_is_nothing_to_is_the_same_object() -> None:
    before, after = changed([pool(), node(), tor(), WEB, service()], [service(communities=["64500:1"])])
    assert settled(before[NODE], after[NODE], {"web"}) is after[NODE]
