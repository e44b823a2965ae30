"""/v1/addresses:check: the store against its rules, and against what the nodes really hold. Read only."""

from __future__ import annotations

from pydantic import BaseModel

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.ipam.check import Finding, State, check
from controller.ipam.leftovers import strangers
from controller.reading import read, scan
from controller.services import services
from store import keys
from store.client import Store
from store.model import Program

checks = Noun("checks")


class CheckView(BaseModel):
    """What is not as it should be."""

    findings: list[Finding]
    endpoints: int
    """How many were looked at."""
    addresses: int
    heard: list[str]
    """The nodes whose agents live and say what they hold."""
    unheard: list[str]
    """The other nodes: what they hold is not known."""


@checks.operation(
    Operation(
        "GET",
        "/v1/addresses:check",
        "Compare the store with its rules and with what the nodes really hold",
        {200: CheckView},
    )
)
def check_addresses() -> Answer:
    """Changes nothing. What is found twice, some seconds apart, is so."""
    store = services().store
    nodes = [node.name for node in scan(store, keys.NODES).values]
    state = _read(store, nodes)
    view = CheckView(
        findings=check(state),
        endpoints=len(state.endpoints),
        addresses=len(state.addresses),
        heard=sorted(state.holdings),
        unheard=sorted(set(nodes) - state.holdings.keys()),
    )
    return Answer(view)


def _read(store: Store, nodes: list[str]) -> State:
    living = {each.node for each in scan(store, keys.ALIVE).values if each.program is Program.AGENT}
    said = {node: read(store, keys.HOLDING, node) for node in nodes if node in living}
    return State(
        pools={pool.name: pool for pool in scan(store, keys.POOLS).values},
        endpoints={each.id: each for each in scan(store, keys.ENDPOINTS).values},
        copies=[(node, each) for node in nodes for each in scan(store, keys.NODE_ENDPOINTS, node).values],
        addresses=scan(store, keys.ADDRESSES).values,
        claims={(each.pool, each.cidr): each for each in scan(store, keys.BLOCKS).values},
        displaced=[(node, each) for node in nodes for each in scan(store, keys.DISPLACED, node).values],
        holdings={node: found.value for node, found in said.items() if found},
        attached=frozenset(
            (node, each.endpoint) for node in nodes for each in scan(store, keys.ATTACHMENTS, node).values
        ),
        strangers=strangers(store),
        services={each.name: each for each in scan(store, keys.SERVICES).values},
        moving=frozenset((each.source, each.endpoint.id) for each in scan(store, keys.MOVES).values),
    )
