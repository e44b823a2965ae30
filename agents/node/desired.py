"""What each device of a node should hold in one pass. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Set
from typing import Any

from agents.node.plan import Plan
from agents.parts import Parts
from intent.direct import direct_routes
from intent.flows import flow_parts
from intent.held import Held
from intent.limits import meter_flow_parts, meters
from intent.neighbours import neighbour_parts
from intent.policy import NO_RULES, Policies, policy_parts
from intent.routes import Route, RouteKey, range_routes, route_parts, rules
from intent.services import Serving, elsewhere, service_flows_of, service_neighbours, service_routes
from intent.shares import shares
from intent.snapshot import Snapshot
from openflow.flow import CONTROLLER, Flow, FlowKey, Measure, Output
from openflow.sampling import SAMPLES
from store.model import IPNetwork


def desired_of(
    snapshot: Snapshot,
    held: Collection[Held],
    serving: Mapping[str, Serving],
    leaving: Collection[Serving],
    ranges: Collection[IPNetwork],
    judging: Policies = NO_RULES,
) -> tuple[Mapping[Any, Any], ...]:
    """Rules, neighbours, routes, shares, meters and flows, in the order of going up.

    Args:
        snapshot: what should be.
        held: the endpoints that the node holds.
        serving: the services that they hold, by name.
        leaving: those that are not served any more, and are delivered for now.
        ranges: the prefixes that are announced as one, or were until a moment ago.
        judging: the rules of policies, compiled.
    """
    services = (*serving.values(), *leaving)  # last what leaves, so that it counts
    made = Parts([*neighbour_parts(held), *map(service_neighbours, services)])
    elsewheres = elsewhere(snapshot, serving)
    ways = Parts([*route_parts(snapshot, held), elsewheres, *map(service_routes, services)])
    ways = _and(ways, direct_routes(snapshot, ways))
    ways = _and(ways, range_routes(snapshot, ranges, ways))
    matched = [*flow_parts(held), *policy_parts(judging, held), *map(service_flows_of, services)]
    matched += meter_flow_parts(held)
    measured = {**meters(held), SAMPLES.meter_id: SAMPLES}
    return rules(), made, ways, shares(snapshot.node, held), measured, Parts(matched)


def _and(parts: Parts[RouteKey, Route], last: Mapping[RouteKey, Route]) -> Parts[RouteKey, Route]:
    return Parts([*parts.parts, last]) if last else parts


def takeable(wanted: Mapping[FlowKey, Flow], missing: Set[int]) -> Mapping[FlowKey, Flow]:
    """The flows without those of meters that the switch has not: it would refuse all of them together."""
    if not missing:
        return wanted
    return {key: flow for key, flow in wanted.items() if missing.isdisjoint(_measured(flow))}


def _measured(flow: Flow) -> Iterator[int]:
    for each in flow.actions:
        if isinstance(each, Measure):
            yield each.meter_id
        elif isinstance(each, Output) and each.port == CONTROLLER:
            yield SAMPLES.meter_id


def with_last_takers(
    todo: Plan, leaving: Collection[Serving], before: Mapping[str, Held], held: dict[str, Held]
) -> Plan:
    """An endpoint that takes the last packets of a service stays as long as the service is announced.

    Args:
        todo: what the pass would do.
        leaving: the services that are announced still.
        before: what the last pass held.
        held: what this one holds; such endpoints are added.
    """
    late = {
        one.endpoint.id: one
        for serving in leaving
        for one in serving.takers
        if one.endpoint.id in todo.down and before.get(one.endpoint.id) is one
    }
    if not late:
        return todo
    held.update(late)
    draining = {**todo.draining, **{name: one.endpoint for name, one in late.items()}}
    return Plan(todo.up, draining, {name: why for name, why in todo.down.items() if name not in late})
