"""`ipam.scale`: a controller over 1,000 nodes and 100,000 endpoints, beside one over an empty store.

The store is filled with the very values that the controller and the agents of the nodes write, and then the
controller is started: how long until it is ready, how much it works while nobody asks for anything, how fast
it assigns, in turns with the other one, and then how long a page of 500 endpoints takes and how much memory
it has.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

from bench.load import Job, load
from bench.row import Row, cpu_s, median, percentile, progress
from bench.service import Service
from controller.ipam.blocks import mac_of
from controller.reading import put
from controller.unique import unique
from store import keys
from store.client import MAX_TXN_OPS, Put
from store.etcd import EtcdStore
from store.model import (
    Address,
    Alive,
    Attachment,
    Block,
    Endpoint,
    HeldEndpoint,
    Holding,
    IPNetwork,
    Node,
    Pool,
    Program,
    Ready,
)
from store.model.endpoint import host_prefix

NODES, ENDPOINTS = 1_000, 100_000
LARGE = 10_000
"""Bytes of a value with which a transaction ends: etcd takes 1.5 MiB."""
BOOT = "00000000-0000-4000-8000-000000000001"
POOL = Pool(name="default", cidr=ip_network("10.0.0.0/10"), block_prefixlen=25)
PAGE, PAGES = 500, 20
CLIENTS, ROUNDS, SECONDS = 32, 5, 3.0
READY_GOAL_S, MEMORY_GOAL_MB, PAGE_GOAL_MS, RATIO_GOAL = 15.0, 600.0, 50.0, 0.8
REST_S, REST_GOAL = 20.0, 0.2
"""The first seconds, and the part of a core that its duties take of them; a goal of our own."""


def measure() -> Row:
    """Measure."""
    with ExitStack() as stack:
        empty = stack.enter_context(Service(lambda store: fill(store, 0)))
        progress(f"ipam.scale: {NODES} nodes and {ENDPOINTS} endpoints go into the store")
        full = stack.enter_context(Service(lambda store: fill(store, ENDPOINTS)))
        progress(f"ipam.scale: ready after {full.ready_s:.2f} s (goal {READY_GOAL_S:g})")
        rest = _rest(full)
        progress(f"ipam.scale: at rest it takes {rest:.2f} of a core (goal {REST_GOAL:g})")
        rates = [(_rate(full), _rate(empty)) for _ in range(ROUNDS)]
        pages_ms = list(_pages_ms(full))
        memory_mb = resident_mb(full.pid)
    ours, theirs = median([one for one, _ in rates]), median([other for _, other in rates])
    page_ms = percentile(pages_ms, 99)
    progress(f"ipam.scale: a page of {PAGE} takes {median(pages_ms):.1f} ms, at most {page_ms:.1f} ms")
    progress(f"ipam.scale: {memory_mb:.0f} MB resident (goal {MEMORY_GOAL_MB:g})")
    ok = (
        full.ready_s <= READY_GOAL_S
        and memory_mb <= MEMORY_GOAL_MB
        and page_ms <= PAGE_GOAL_MS
        and rest <= REST_GOAL
        and ours / theirs >= RATIO_GOAL
    )
    goal = (
        f"ratio >= {RATIO_GOAL}; ready {full.ready_s:.1f} of {READY_GOAL_S:g} s, "
        f"memory {memory_mb:.0f} of {MEMORY_GOAL_MB:g} MB, page {page_ms:.0f} of {PAGE_GOAL_MS:g} ms, "
        f"at rest {rest:.2f} of {REST_GOAL:g} cores"
    )
    return Row(
        name="ipam.scale",
        value=ours,
        unit="addresses/s",
        p50=median(pages_ms),
        p99=page_ms,
        peer="the same over an empty store",
        peer_value=theirs,
        ratio=ours / theirs,
        goal=goal,
        ok=ok,
    )


def fill(store: EtcdStore, endpoints: int) -> None:
    """Write a pool, the nodes, and so many endpoints, evenly spread; in full transactions."""
    batch: list[Put] = []
    for each in _writes(endpoints):
        batch.append(each)
        if len(batch) == MAX_TXN_OPS or len(each.value) > LARGE:
            store.txn([], batch)
            batch = []
    if batch:
        store.txn([], batch)


def _writes(endpoints: int) -> Iterator[Put]:
    yield put(keys.POOLS, POOL, POOL.name)
    size = 1 << (POOL.cidr.max_prefixlen - POOL.block_prefixlen)
    first = int(POOL.cidr.network_address)
    for number in range(NODES):
        node = f"node-{number:04}"
        yield put(keys.NODES, Node(name=node, asn=64512), node)
        for program in Program:
            alive = Alive(node=node, program=program, boot_id=BOOT, started=datetime.now(UTC))
            yield put(keys.ALIVE, alive, node, program.value)
        if endpoints:
            cidr = ip_network((first + number * size, POOL.block_prefixlen))
            block = Block(cidr=cidr, pool=POOL.name, node=node)
            yield put(keys.BLOCKS, block, POOL.name, cidr)
            yield put(keys.NODE_BLOCKS, block, node, cidr)
            made = [_endpoint(node, cidr, offset) for offset in range(1, endpoints // NODES + 1)]
            for endpoint in made:
                yield from _plan(endpoint, cidr)
            yield from _said(node, cidr, made)


def _endpoint(node: str, cidr: IPNetwork, offset: int) -> Endpoint:
    address = ip_address(int(cidr.network_address) + offset)
    return Endpoint(
        id=unique(),
        uid=unique(),
        node=node,
        pools=(POOL.name,),
        addresses=(address,),
        mac=mac_of(address),
        labels={"app": f"app-{offset % 50}"},
    )


def _plan(endpoint: Endpoint, cidr: IPNetwork) -> Iterator[Put]:
    """What the controller wrote of an endpoint."""
    node, address = endpoint.node, endpoint.addresses[0]
    held = Address(address=address, pool=POOL.name, endpoint=endpoint.id, node=node, since=datetime.now(UTC))
    record = put(keys.ENDPOINTS, endpoint, endpoint.id)
    yield record
    yield Put(keys.NODE_ENDPOINTS.key(node, endpoint.id), record.value)
    yield put(keys.ADDRESSES, held, POOL.name, cidr, address)


def _said(node: str, cidr: IPNetwork, endpoints: Sequence[Endpoint]) -> Iterator[Put]:
    """What the node's agent said: it holds all of them, and delivers each address and the block."""
    held = [
        HeldEndpoint(
            endpoint=each.id,
            uid=each.uid,
            mac=each.mac,
            addresses=each.addresses,
            netns=f"/run/netns/{each.id}",
            ifname="eth0",
        )
        for each in endpoints
    ]
    yield put(keys.HOLDING, Holding(node=node, boot_id=BOOT, endpoints=tuple(held)), node)
    yield put(keys.READY, Ready(prefix=cidr, node=node, boot_id=BOOT), node, cidr)
    for each in endpoints:
        attachment = Attachment(
            endpoint=each.id,
            node=node,
            addresses=each.addresses,
            netns=f"/run/netns/{each.id}",
            ifname="eth0",
            boot_id=BOOT,
        )
        yield put(keys.ATTACHMENTS, attachment, node, each.id)
        prefix = host_prefix(each.addresses[0])
        yield put(keys.READY, Ready(prefix=prefix, node=node, boot_id=BOOT, endpoint=each.id), node, prefix)


def _pages_ms(service: Service) -> Iterator[float]:
    """The time of each of the first pages of the list, the very first included."""
    place = f"/v1/endpoints?limit={PAGE}"
    following = ""
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)) as connection:
        for _ in range(PAGES):
            began = time.perf_counter()
            connection.request("GET", place + following)
            body = connection.getresponse().read()
            yield (time.perf_counter() - began) * 1000
            answer = json.loads(body)
            if len(answer["items"]) != PAGE:
                raise SystemExit(f"bench: a page of {len(answer['items'])} instead of {PAGE}")
            following = f"&cursor={answer['next']}"


def _rate(service: Service) -> float:
    names = [f"node-{number:04}" for number in range(0, NODES, NODES // CLIENTS)]
    requests = tuple(("POST", "/v1/endpoints", json.dumps({"node": name})) for name in names)
    return load(Job(service.port, requests, CLIENTS, SECONDS)).rate


def _rest(service: Service) -> float:
    """How many cores the controller uses while nobody asks for anything, from now on."""
    began = cpu_s(service.pid)
    time.sleep(REST_S)
    return (cpu_s(service.pid) - began) / REST_S


def resident_mb(pid: int) -> float:
    """How much memory a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024
