"""What the rules of a node follow from."""

from __future__ import annotations

from agents.node.judging import Judging
from agents.parts import Parts
from agents.reconciler import Reconciler
from intent.held import Held
from intent.policy import policies, policy_parts
from intent.snapshot import Snapshot
from openflow.flow import Flow, FlowKey
from store.model import Action, Endpoint, Group, NodePolicy, NodeRule, PortMatch
from tests.support.cluster import endpoint
from tests.support.drivers import DictDriver

SHOP, NOBODYS = Group(tenant="shop", members="1" * 16), Group(members="2" * 16)


def switch(driver: DictDriver[FlowKey, Flow]) -> Reconciler[FlowKey, Flow]:
    return Reconciler("flows", driver)


def of(tenant: str | None) -> Endpoint:
    return endpoint().model_copy(update={"tenant": tenant})


def groups(judging: Judging, one: Endpoint, *told: Group) -> dict[str | None, Group]:
    """The groups that count once the store says so."""
    snapshot = Snapshot("node-1", endpoints={one.id: one}, groups={each.tenant: each for each in told})
    return dict(judging.rules(snapshot).groups)


def test_a_group_that_a_restored_store_lacks_counts_until_it_is_told_again() -> None:
    judging = Judging(switch(DictDriver()))
    assert groups(judging, of("shop"), SHOP, NOBODYS) == {"shop": SHOP, None: NOBODYS}
    assert groups(judging, of("shop"), NOBODYS) == {"shop": SHOP, None: NOBODYS}
    closed = SHOP.model_copy(update={"default": Action.DENY})
    assert groups(judging, of("shop"), closed, NOBODYS) == {"shop": closed, None: NOBODYS}


def test_a_group_goes_with_the_last_endpoint_and_that_of_those_without_tenant_at_once() -> None:
    judging = Judging(switch(DictDriver()))
    groups(judging, of("shop"), SHOP, NOBODYS)
    assert groups(judging, of(None)) == {}


def test_what_was_never_told_is_not_made_up() -> None:
    assert groups(Judging(switch(DictDriver())), of("shop"), NOBODYS) == {None: NOBODYS}


def denying(*orders: int) -> Snapshot:
    """Of each order a policy that denies one port and allows what is left of others."""
    rules = {}
    for order in orders:
        ports = (PortMatch(protocol="tcp", port=order),)
        both = (NodeRule(action="deny", anyone=True, ports=ports), NodeRule(action="allow", anyone=True))
        name = f"policy-{order}"
        rules[name] = NodePolicy(policy=name, selector={}, order=order, mode="enforced", ingress=both)
    return Snapshot("node-1", rules=rules)


def test_rules_keep_their_flows_across_a_restart_also_when_the_switch_is_away_at_first() -> None:
    driver, held = DictDriver[FlowKey, Flow](), [Held(endpoint(), 7, judged=True)]
    flows = switch(driver)
    judging = Judging(flows)
    for told in (denying(100, 300), denying(100, 200, 300), denying(200, 300)):
        wanted = Parts(policy_parts(judging.rules(told), held))
        flows.put(wanted)
        flows.delete(wanted)
    assert Parts(policy_parts(policies(told), held)) != driver.held, "who knows nothing places them otherwise"
    again = Judging(switch(driver))
    driver.away = True
    again.rules(told)
    driver.away = False
    assert Parts(policy_parts(again.rules(told), held)) == driver.held
