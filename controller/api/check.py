"""/v1/addresses:check: the store against its rules, and against what the nodes really hold. Read only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from pydantic import BaseModel

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.ipam.check import Finding, State, check
from controller.ipam.leftovers import strangers
from controller.parts import parts
from controller.reading import decodable, read_at_once, read_many, scan, scan_all
from store import keys
from store.client import KeyValue, Store
from store.model import Block, Displaced, Endpoint, Program

checks = Noun()


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
    store = parts().store
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


def _read(store: Store, registered: list[str]) -> State:
    others = strangers(store)
    nodes = sorted({*registered, *others})
    living = {each.node for each in scan(store, keys.ALIVE).values if each.program is Program.AGENT}
    # Of one revision: what tenants hold is counted in the transactions that make and end these.
    stored, _ = read_at_once(store, [keys.ENDPOINTS.prefix(), keys.SERVICES.prefix(), keys.USAGE.prefix()])
    records = {found.key: found.value for found in decodable(keys.ENDPOINTS, stored)}
    known = {item.value: records[item.key] for item in stored if item.key in records}
    copies: list[tuple[str, Endpoint]] = []
    claims: list[tuple[str, Block]] = []
    displaced: list[tuple[str, Displaced]] = []
    attached: set[tuple[str, str]] = set()
    for node in nodes:
        below = scan_all(store, keys.node_prefix(node))
        copies += ((node, each) for each in _copies(below, node, known))
        claims += ((node, found.value) for found in decodable(keys.NODE_BLOCKS, below))
        displaced += ((node, found.value) for found in decodable(keys.DISPLACED, below))
        attached.update((node, key[1]) for item in below if (key := keys.ATTACHMENTS.parts(item.key)))
    heard = read_many(store, keys.HOLDING, [(node,) for node in nodes if node in living])
    return State(
        pools={pool.name: pool for pool in scan(store, keys.POOLS).values},
        endpoints={each.id: each for each in records.values()},
        copies=copies,
        addresses=scan(store, keys.ADDRESSES).values,
        claims={(each.pool, each.cidr): each for each in scan(store, keys.BLOCKS).values},
        told_claims=claims,
        displaced=displaced,
        holdings={node: said for (node,), said in heard.items()},
        attached=frozenset(attached),
        strangers=others,
        services={found.value.name: found.value for found in decodable(keys.SERVICES, stored)},
        usage={found.value.tenant: found.value for found in decodable(keys.USAGE, stored)},
        moving=frozenset((each.source, each.endpoint.id) for each in scan(store, keys.MOVES).values),
    )


def _copies(below: Iterable[KeyValue], node: str, known: Mapping[bytes, Endpoint]) -> Iterator[Endpoint]:
    """The copies of records below a node: one that is as its record is not decoded again."""
    start, strange = keys.NODE_ENDPOINTS.prefix(node), []
    for item in below:
        if item.key.startswith(start):
            if item.value in known:
                yield known[item.value]
            else:
                strange.append(item)
    yield from (found.value for found in decodable(keys.NODE_ENDPOINTS, strange))
