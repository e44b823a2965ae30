"""What nodes are told of policies, however it came about, is what a look at everything says."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from intent import shards
from intent.compiler import Compiler
from store import keys
from store.model import AddressSet, Endpoint, Group, IPAddress, NodePolicy, Policy, Tenant, Told, Value

TENANTS = ["red", "blue"]
labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"), max_size=2).map(
    lambda given: dict(sorted(given.items()))
)
tenants = st.none() | st.sampled_from(TENANTS)
endpoints = st.integers(0, 11).flatmap(
    lambda number: st.builds(
        Endpoint,
        id=st.just(f"e{number}"),
        uid=st.sampled_from(["0" * 32, "1" * 32]),
        node=st.sampled_from(["n1", "n2", "n3"]),
        tenant=tenants,
        pools=st.just(("default",)),
        addresses=st.sampled_from([(f"10.0.0.{number}",), (f"10.0.1.{number}",)]),
        mac=st.just("02:00:00:00:00:01"),
        labels=labels,
    )
)
peers = st.one_of(
    st.builds(dict, cidr=st.sampled_from(["192.0.2.0/24", "10.0.0.0/8"])),
    st.builds(dict, selector=labels, tenant=tenants),
)
rules = st.lists(
    st.builds(
        dict, action=st.sampled_from(["allow", "deny"]), peers=st.lists(peers, max_size=2, unique_by=str)
    ),
    min_size=1,
    max_size=2,
)
policies = st.builds(dict, name=st.sampled_from("pqr"), tenant=tenants, selector=labels, ingress=rules).map(
    Policy.model_validate
)


def meant(endpoint: Endpoint, tenant: str | None, selector: dict[str, str]) -> bool:
    return tenant in {None, endpoint.tenant} and selector.items() <= endpoint.labels.items()


class Machine(RuleBasedStateMachine):
    """Changes in any order, and what they amount to."""

    def __init__(self) -> None:
        super().__init__()
        self.compiler = Compiler()
        self.endpoints: dict[str, Endpoint] = {}
        self.policies: dict[str, Policy] = {}
        self.tenants: dict[str, Tenant] = {}
        self.left: dict[str, str] = {}
        self.stored: dict[str, Value] = {}

    @rule(endpoint=endpoints)
    def put_endpoint(self, endpoint: Endpoint) -> None:
        self.endpoints[endpoint.id] = endpoint
        self.compiler.put_endpoint(endpoint)

    @rule(number=st.integers(0, 11))
    def drop_endpoint(self, number: int) -> None:
        self.endpoints.pop(f"e{number}", None)
        self.compiler.drop_endpoint(f"e{number}")

    @rule(number=st.integers(0, 11), source=st.sampled_from(["n1", "n2", "n3"]))
    def put_move(self, number: int, source: str) -> None:
        self.left[f"e{number}"] = source
        self.compiler.put_move(f"e{number}", source)

    @rule(number=st.integers(0, 11))
    def drop_move(self, number: int) -> None:
        self.left.pop(f"e{number}", None)
        self.compiler.drop_move(f"e{number}")

    @rule(policy=policies)
    def put_policy(self, policy: Policy) -> None:
        self.policies[policy.name] = policy
        self.compiler.put_policy(policy)

    @rule(name=st.sampled_from("pqr"))
    def drop_policy(self, name: str) -> None:
        self.policies.pop(name, None)
        self.compiler.drop_policy(name)

    @rule(name=st.sampled_from(TENANTS), default=st.sampled_from(["allow", "deny"]))
    def put_tenant(self, name: str, default: Any) -> None:
        self.tenants[name] = Tenant(name=name, default=default)
        self.compiler.put_tenant(self.tenants[name])

    @rule(name=st.sampled_from(TENANTS))
    def drop_tenant(self, name: str) -> None:
        self.tenants.pop(name, None)
        self.compiler.drop_tenant(name)

    @rule()
    def store(self) -> None:
        for key, value in self.compiler.changes().items():
            assert self.stored.get(key) != value, "no write without a change"
            if value is None:
                del self.stored[key]
            else:
                self.stored[key] = value

    @invariant()
    def it_is_what_a_look_at_everything_says(self) -> None:
        self.store()
        assert self.stored == self.compiler.wanted
        shards = [each for each in self.stored.values() if isinstance(each, AddressSet)]
        assert all(each.addresses for each in shards if each.shard), (
            "an empty shard is stored if it is the first"
        )
        meant = {
            (peer.tenant or policy.tenant or "*", tuple((peer.selector or {}).items()))
            for policy in self.policies.values()
            for rule in policy.ingress
            for peer in rule.peers
            if peer.cidr is None
        }
        meant.update((tenant, ()) for tenant in ([*self.tenants, "-"] if self.tenants else ()))
        assert len([each for each in shards if each.shard == 0]) == len(meant), "the sets that are named"
        for node in ("n1", "n2", "n3"):
            self.check_node(node)

    def check_node(self, node: str) -> None:
        here = [
            each for each in self.endpoints.values() if node in {each.node, self.left.get(each.id, each.node)}
        ]
        mine = [value for key, value in self.stored.items() if key.startswith(keys.compiled_prefix(node))]
        known = {each.endpoint: each.uid for each in mine if isinstance(each, Told)}
        assert known == {each.id: each.uid for each in here}
        told = {each.policy: each for each in mine if isinstance(each, NodePolicy)}
        groups = {each.tenant: each for each in mine if isinstance(each, Group)}
        sets: dict[str, set[IPAddress]] = defaultdict(set)
        for each in self.stored.values():
            if isinstance(each, AddressSet):
                sets[each.set].update(each.addresses)
        needed = {
            name: policy
            for name, policy in self.policies.items()
            if any(meant(each, policy.tenant, policy.selector) for each in here)
        }
        assert told.keys() == needed.keys()
        for name, policy in needed.items():
            for wanted, made in zip(policy.ingress, told[name].ingress, strict=True):
                ids = iter(made.sets)
                assert made.anyone == (not wanted.peers)
                assert made.cidrs == tuple(each.cidr for each in wanted.peers if each.cidr is not None)
                meanings = {
                    (peer.tenant or policy.tenant, tuple(sorted((peer.selector or {}).items()))): None
                    for peer in wanted.peers
                    if peer.cidr is None
                }
                for tenant, selector in meanings:
                    assert sets.get(next(ids), set()) == self.addresses(tenant, dict(selector))
                assert next(ids, None) is None
        present = {each.tenant for each in here}
        assert groups.keys() == present & (self.tenants.keys() | ({None} if self.tenants else set()))
        for name_, group in groups.items():
            assert name_ is None or group.default == self.tenants[name_].default
            assert sets[group.members] == {
                address
                for each in self.endpoints.values()
                if each.tenant == name_
                for address in each.addresses
            }

    def addresses(self, tenant: str | None, selector: dict[str, str]) -> set[IPAddress]:
        return {
            address
            for each in self.endpoints.values()
            if meant(each, tenant, selector)
            for address in each.addresses
        }


class SmallShards(Machine):
    """Likewise, with sets that are cut and joined all the time."""

    def __init__(self) -> None:
        super().__init__()
        shards.PER_SHARD = 2

    def teardown(self) -> None:
        shards.PER_SHARD = 16


TestTold = Machine.TestCase
TestTold.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestSmallShards = SmallShards.TestCase
TestSmallShards.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
