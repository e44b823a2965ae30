"""What nodes tell when they are asked: what they hold otherwise than they should, what they have counted."""

from __future__ import annotations

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.parts import parts
from controller.policy_stats import PolicyStats, policy_stats
from controller.principal import principal
from controller.problem import Problem, not_found
from controller.reading import find, read
from store import keys
from store.model import DiffAsked, DiffSaid
from store.model.drops import DropsAsked, DropsSaid
from store.model.question import StatsAsked, StatsSaid

questions = Noun()


@questions.operation(
    Operation(
        "GET",
        "/v1/nodes/{name}/diff",
        "Compare what a node holds with what it should",
        {200: DiffSaid},
        refuses=(404, 503),
    )
)
def node_diff(name: str) -> Answer:
    """Ports, rules, neighbours, routes and flows, read by the node's agent now."""
    find(parts().store, keys.NODES, name, principal().scope)
    return Answer(parts().asking.ask(name, DiffAsked()))


@questions.operation(
    Operation(
        "GET",
        "/v1/endpoints/{id}/stats",
        "Read what an endpoint sent and got",
        {200: StatsSaid},
        refuses=(404, 503),
    )
)
def endpoint_stats(id: str) -> Answer:  # noqa: A002
    """Packets and bytes each way, and what was dropped for what it is, as its node counts them now."""
    node = _node_of(id)
    if parts().store.get(keys.ATTACHMENTS.key(node, id)) is None:
        raise Problem("not-found", f"endpoint {id} is not attached on node {node}: nothing of it is counted")
    return Answer(parts().asking.ask(node, StatsAsked(endpoint=id)))


@questions.operation(
    Operation(
        "GET",
        "/v1/policies/{name}/stats",
        "Read what the rules of a policy have matched",
        {200: PolicyStats},
        refuses=(404, 503),
    )
)
def get_policy_stats(name: str) -> Answer:
    """Packets and bytes of each rule, as all nodes with an endpoint of the policy count them now."""
    shared = parts()
    policy = find(shared.store, keys.POLICIES, name, principal().scope).value
    return Answer(policy_stats(shared.store, shared.asking, policy))


@questions.operation(
    Operation(
        "GET",
        "/v1/nodes/{name}/drops",
        "Read what a node's switch has dropped lately",
        {200: DropsSaid},
        refuses=(404, 503),
    )
)
def node_drops(name: str) -> Answer:
    """By flow and interval, each with its reason, and some of the packets; the latest first."""
    find(parts().store, keys.NODES, name, principal().scope)
    return Answer(parts().asking.ask(name, DropsAsked()))


@questions.operation(
    Operation(
        "GET",
        "/v1/endpoints/{id}/drops",
        "Read what was dropped lately of what an endpoint sent and of what was for it",
        {200: DropsSaid},
        refuses=(404, 503),
    )
)
def endpoint_drops(id: str) -> Answer:  # noqa: A002
    """By the flows that name it and interval, and some of the packets with the rule; the latest first."""
    return Answer(parts().asking.ask(_node_of(id), DropsAsked(endpoint=id)))


def _node_of(name: str) -> str:
    """The node of an endpoint that who asks may see."""
    found = read(parts().store, keys.ENDPOINTS, name)
    if found is None or not principal().scope.has(found.value):
        raise not_found("endpoint", name)
    return found.value.node
