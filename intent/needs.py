"""What nodes need of one policy or tenant: a value, where it is needed, and the sets that it speaks of."""

from __future__ import annotations

from dataclasses import dataclass

from intent.population import ANY, NONE, Choice
from store import keys
from store.keys import Kind
from store.model import Action, Group, NodePolicy, NodeRule, PeerMatch, Policy, Rule, Value

NeedId = tuple[str, str]
"""Of what kind, and its name."""


@dataclass(frozen=True, slots=True)
class Need:
    """A value for every node that has an endpoint of `subject`, and the sets that it speaks of."""

    kind: Kind[Value]
    name: str
    subject: Choice
    sets: frozenset[Choice]
    value: Value

    @property
    def id(self) -> NeedId:
        """What it is known by."""
        return self.kind.template, self.name


def policy_need(policy: Policy) -> Need:
    """A policy as nodes need it."""
    sets = {
        peer_choice(policy, peer)
        for rule in (*policy.ingress, *policy.egress)
        for peer in rule.peers
        if peer.cidr is None
    }
    value = NodePolicy(
        policy=policy.name,
        tenant=policy.tenant,
        selector=policy.selector,
        order=policy.order,
        mode=policy.mode,
        ingress=tuple(_node_rule(policy, rule) for rule in policy.ingress),
        egress=tuple(_node_rule(policy, rule) for rule in policy.egress),
    )
    return Need(keys.RULES, policy.name, subject_choice(policy), frozenset(sets), value)


def group_need(group: str, default: Action) -> Need:
    """A tenant, or the endpoints without tenant (`NONE`), as nodes need it."""
    choice = Choice(group)
    tenant = None if group == NONE else group
    value = Group(tenant=tenant, default=default, members=choice.set_id)
    return Need(keys.GROUPS, group, choice, frozenset({choice}), value)


def _node_rule(policy: Policy, rule: Rule) -> NodeRule:
    sets = dict.fromkeys(peer_choice(policy, peer).set_id for peer in rule.peers if peer.cidr is None)
    return NodeRule(
        name=rule.name,
        action=rule.action,
        log=rule.log,
        anyone=not rule.peers,
        sets=tuple(sets),
        cidrs=tuple(peer.cidr for peer in rule.peers if peer.cidr is not None),
        ports=rule.ports,
    )


def subject_choice(policy: Policy) -> Choice:
    """The endpoints that a policy selects."""
    return Choice.of(policy.tenant or ANY, policy.selector)


def peer_choice(policy: Policy, peer: PeerMatch) -> Choice:
    """The endpoints that a peer of a policy means; it has no cidr."""
    return Choice.of(peer.tenant or policy.tenant or ANY, peer.selector or {})
