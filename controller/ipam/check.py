"""The store against its own rules (`controller.ipam.units`), and against what the nodes really hold. Pure.

What is found is told, with its likely cause and its cure; nothing is changed. The parts were read one after
the other, so what changes meanwhile may look wrong: what is found twice is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from controller.ipam import blocks
from store import keys
from store.codec import encode
from store.model import (
    Address,
    AddressState,
    Block,
    Displaced,
    Endpoint,
    Holding,
    IPAddress,
    IPNetwork,
    Pool,
    Service,
    Severity,
    Usage,
)

BY_HAND = "somebody wrote to etcd by hand, or brought back a part of a backup"
ANEW = "polder endpoint delete {0}, and create it again"


class Finding(BaseModel):
    """One thing that is not as it should be."""

    kind: str
    severity: Severity
    keys: list[str]
    """What it is about, in etcd."""
    detail: str
    cause: str
    """The likely one."""
    cure: str


@dataclass(frozen=True, slots=True)
class State:
    """What was read."""

    pools: Mapping[str, Pool]
    endpoints: Mapping[str, Endpoint]
    copies: Sequence[tuple[str, Endpoint]]
    """Each with the node that it is below."""
    addresses: Sequence[Address]
    claims: Mapping[tuple[str, IPNetwork], Block]
    told_claims: Sequence[tuple[str, Block]]
    """The copies of claims, each with the node that it is below."""
    displaced: Sequence[tuple[str, Displaced]]
    """Each with the node that it is below."""
    holdings: Mapping[str, Holding]
    """Of the nodes whose agents live."""
    attached: frozenset[tuple[str, str]]
    """Node and endpoint of each attachment."""
    strangers: Sequence[str]
    """Nodes that are not registered, and have keys of their own."""
    services: Mapping[str, Service]
    usage: Mapping[str, Usage]
    """By tenant; of the same revision as endpoints and services."""
    moving: frozenset[tuple[str, str]] = frozenset()
    """Node and endpoint of each that is delivered by the node it leaves."""


def check(state: State) -> list[Finding]:
    """Everything that is not as it should be, by kind."""
    return [
        *_addresses(state),
        *_services(state),
        *_usage(state),
        *_copies(state),
        *_claims(state),
        *_exceptions(state),
        *_strangers(state),
        *_held(state),
        *_not_held(state),
    ]


def _addresses(state: State) -> Iterator[Finding]:
    assigned = {each.address: each for each in state.addresses if each.state is AddressState.ASSIGNED}
    for each in assigned.values():
        if each.address not in _addresses_of(state, each):
            what = "service" if each.service is not None else "endpoint"
            yield Finding(
                kind=f"address-without-{what}",
                severity=Severity.WARNING,
                keys=[_key(state, each)],
                detail=f"{each.address} is assigned to {each.holder}, which does not have it",
                cause=BY_HAND,
                cure=f"it is freed within minutes, if there is no such {what}; else delete the key",
            )
    for record in state.endpoints.values():
        for address, pool_name in record.placed:
            held = assigned.get(address)
            if held is None or held.endpoint != record.id:
                yield Finding(
                    kind="endpoint-without-address",
                    severity=Severity.ALARM,
                    keys=[keys.ENDPOINTS.key(record.id)],
                    detail=f"endpoint {record.id} has {address}, which is not assigned to it",
                    cause=BY_HAND,
                    cure=ANEW.format(record.id),
                )
            if (pool := state.pools.get(pool_name)) is None or _claim(state, pool, address) is None:
                yield Finding(
                    kind="block-not-claimed",
                    severity=Severity.ALARM,
                    keys=[keys.ENDPOINTS.key(record.id)],
                    detail=f"{address} of endpoint {record.id} is in no claimed block of pool {pool_name}",
                    cause=BY_HAND,
                    cure=ANEW.format(record.id),
                )


def _addresses_of(state: State, held: Address) -> Sequence[IPAddress]:
    """The addresses that the holder of one has by its own record; none without a record."""
    if held.service is not None:
        service = state.services.get(held.service)
        return (service.address,) if service is not None else ()
    record = state.endpoints.get(held.endpoint or "")
    return record.addresses if record is not None else ()


def _services(state: State) -> Iterator[Finding]:
    owner = {each.address: each for each in state.addresses if each.state is AddressState.ASSIGNED}
    for service in state.services.values():
        held = owner.get(service.address)
        if held is None or held.service != service.name:
            yield Finding(
                kind="service-without-address",
                severity=Severity.ALARM,
                keys=[keys.SERVICES.key(service.name)],
                detail=f"service {service.name} has {service.address}, which is not assigned to it",
                cause=BY_HAND,
                cure=f"polder service delete {service.name}, and create it again",
            )


def _usage(state: State) -> Iterator[Finding]:
    held: Counter[tuple[str, int]] = Counter()
    for record in state.endpoints.values():
        if record.tenant is not None:
            held.update((record.tenant, address.version) for address in record.addresses)
    held.update((each.tenant, each.address.version) for each in state.services.values() if each.tenant)
    for tenant in sorted({tenant for tenant, _ in held} | state.usage.keys()):
        counted = state.usage.get(tenant, Usage(tenant=tenant))
        right = Usage(tenant=tenant, ipv4=held[tenant, 4], ipv6=held[tenant, 6])
        if counted != right:
            key = keys.USAGE.key(tenant)
            put = _written(key, right) if right != Usage(tenant=tenant) else f"etcdctl del {key}"
            yield Finding(
                kind="usage-differs",
                severity=Severity.ALARM,
                keys=[key],
                detail=f"tenant {tenant} holds {_sum(right)}, and {_sum(counted)} are counted for its quota",
                cause=BY_HAND,
                cure=f"while nothing of the tenant is made or deleted: {put}",
            )


def _sum(usage: Usage) -> str:
    return f"{usage.ipv4} IPv4 and {usage.ipv6} IPv6 addresses"


def _written(key: str, value: Usage | Block) -> str:
    """The command that writes a value by hand; nothing in it needs an escape."""
    return f"etcdctl put {key} '{encode(value).decode()}'"


def _copies(state: State) -> Iterator[Finding]:
    below = {(node, copy.id): copy for node, copy in state.copies}
    wanted = {(record.node, record.id): record for record in state.endpoints.values()}
    for node, name in sorted(below.keys() | wanted.keys()):
        if below.get((node, name)) != wanted.get((node, name)):
            yield Finding(
                kind="copy-differs",
                severity=Severity.ALARM,
                keys=[keys.ENDPOINTS.key(name), keys.NODE_ENDPOINTS.key(node, name)],
                detail=f"what node {node} is told of endpoint {name} is not what its record says",
                cause=BY_HAND,
                cure=ANEW.format(name),
            )


def _claims(state: State) -> Iterator[Finding]:
    wanted = {(claim.node, claim.cidr): claim for claim in state.claims.values()}
    below = {(node, copy.cidr): copy for node, copy in state.told_claims}
    for node, cidr in sorted(wanted.keys() | below.keys(), key=str):
        claim = wanted.get((node, cidr))
        if claim == below.get((node, cidr)):
            continue
        copy = keys.NODE_BLOCKS.key(node, cidr)
        said = f"node {node} has claimed block {cidr}, and is not told so as it is"
        yield Finding(
            kind="claim-differs",
            severity=Severity.ALARM,
            keys=[keys.BLOCKS.key(claim.pool, cidr), copy] if claim else [copy],
            detail=said if claim else f"node {node} is told that block {cidr} is its own, which it is not",
            cause=BY_HAND,
            cure=_written(copy, claim) if claim else f"etcdctl del {copy}",
        )


def _exceptions(state: State) -> Iterator[Finding]:
    wanted = {}
    for record in state.endpoints.values():
        for address, pool_name in record.placed:
            pool = state.pools.get(pool_name)
            claim = _claim(state, pool, address) if pool else None
            if claim is not None and claim.node != record.node:
                wanted[claim.node, address] = (record.id, record.node)
    there = {(owner, each.address): (each.endpoint, each.node) for owner, each in state.displaced}
    for owner, address in sorted(wanted.keys() | there.keys(), key=str):
        if wanted.get((owner, address)) != there.get((owner, address)):
            yield Finding(
                kind="exception-differs",
                severity=Severity.ALARM,
                keys=[keys.DISPLACED.key(owner, address)],
                detail=f"what node {owner} is told of who holds {address} of its block is not so",
                cause=BY_HAND,
                cure="move the endpoint to another node and back: polder endpoint move"
                if (owner, address) in wanted
                else "it is removed within minutes, if the endpoint does not hold the address there",
            )


def _strangers(state: State) -> Iterator[Finding]:
    used = {record.node for record in state.endpoints.values()}
    used |= {claim.node for claim in state.claims.values()}
    for node in state.strangers:
        cause = "one of its programs wrote once more after it was deleted, or somebody did by hand"
        cure = f"stop its programs, and they are removed within minutes; or create node {node} again"
        if node in used:
            cause = "a restored backup is older than the node"
            cure = f"polder node create {node} --asn ASN"
        yield Finding(
            kind="keys-without-node",
            severity=Severity.ALARM if node in used else Severity.WARNING,
            keys=[keys.node_prefix(node)],
            detail=f"there are keys of node {node}, which is not registered",
            cause=cause,
            cure=cure,
        )


def _held(state: State) -> Iterator[Finding]:
    """What nodes hold and the store does not say."""
    owner = {each.address: each for each in state.addresses if each.state is AddressState.ASSIGNED}
    for node, holding in sorted(state.holdings.items()):
        for one in holding.endpoints:
            record = state.endpoints.get(one.endpoint)
            if (node, one.endpoint) in state.moving:
                continue
            if record is not None and record.node == node and set(record.addresses) == set(one.addresses):
                if (node, one.endpoint) not in state.attached:
                    yield _unattached(node, one.endpoint)
                continue
            rival = next((owner[each] for each in one.addresses if each in owner), None)
            doubled = rival is not None and (rival.endpoint, rival.node) != (one.endpoint, node)
            shown = ", ".join(map(str, one.addresses))
            yield Finding(
                kind="held-twice" if doubled else "held-unknown",
                severity=Severity.ALARM if doubled else Severity.WARNING,
                keys=[keys.HOLDING.key(node), keys.ENDPOINTS.key(one.endpoint)],
                detail=f"node {node} holds {shown} for endpoint {one.endpoint}, not there by the store"
                + (f"; {rival.address} is assigned to {_whose(rival)}" if rival else ""),
                cause="it was moved or deleted and the agent has not taken it down yet, or cannot",
                cure=f"see the log of the agent of {node}; on it: polder detach {one.endpoint}",
            )


def _unattached(node: str, endpoint: str) -> Finding:
    return Finding(
        kind="held-unattached",
        severity=Severity.ALARM,
        keys=[keys.ATTACHMENTS.key(node, endpoint), keys.HOLDING.key(node)],
        detail=f"node {node} holds endpoint {endpoint}, and has no attachment of it: when it is deleted, its "
        "address is free before the node has let go of it",
        cause=f"it is being detached now, or {BY_HAND}",
        cure=f"restart the agent of {node}, which writes it again; do not delete the endpoint before",
    )


def _not_held(state: State) -> Iterator[Finding]:
    """What the store says is attached, and a node that lives does not hold."""
    for record in state.endpoints.values():
        holding = state.holdings.get(record.node)
        if holding is None or (record.node, record.id) not in state.attached:
            continue
        if all(one.endpoint != record.id for one in holding.endpoints):
            yield Finding(
                kind="not-held",
                severity=Severity.WARNING,
                keys=[keys.ATTACHMENTS.key(record.node, record.id), keys.HOLDING.key(record.node)],
                detail=f"endpoint {record.id} is attached, but the switch of {record.node} has no port of it",
                cause="it is being attached now, or somebody took the port out of the switch",
                cure=f"on {record.node}: polder detach {record.id}, then polder attach",
            )


def _whose(held: Address) -> str:
    return held.holder if held.service is not None else f"{held.endpoint} on {held.node}"


def _claim(state: State, pool: Pool, address: IPAddress) -> Block | None:
    return state.claims.get((pool.name, blocks.block_of(pool, address)))


def _key(state: State, each: Address) -> str:
    pool = state.pools.get(each.pool)
    block = blocks.block_of(pool, each.address) if pool else "?"
    return keys.ADDRESSES.key(each.pool, block, each.address)
