"""`ipam.reclaim`: 100,000 addresses of a thousand nodes that are gone are found and freed.

A pass of the duty over an etcd with its data on disk: from the look at who lives to the last address that
cools down. Ten nodes live, hold as many endpoints each, and must keep them. Beside it in the same run: as
many puts of the same size, 120 in a transaction, one after the other on one connection.
"""

from __future__ import annotations

import gc
import logging
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

from bench.puts import PEER, TXN, puts_s
from bench.row import Row, progress
from controller.__main__ import GARBAGE_AFTER
from controller.events import Events
from controller.ipam import blocks
from controller.ipam.committer import Committer
from controller.ipam.gone import RollCall
from controller.ipam.reclaim import COMMITTERS, Reclaimer
from controller.reading import put
from lab.etcd import EtcdServer
from store import keys
from store.client import KeyValue, Op
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.model import (
    Address,
    Alive,
    Attachment,
    Block,
    Endpoint,
    IPAddress,
    Lost,
    Node,
    Pool,
    Program,
    Ready,
)
from store.model.endpoint import host_prefix

GONE, LIVING, EACH = 1000, 10, 100
KEYS = 5
"""Of each endpoint: its record and the copy of that, its address, and what its agent says."""
VALUE = b"x" * 300
GOAL_S = 10.0
POOL = Pool(name="default", cidr="10.0.0.0/13", block_prefixlen=25)
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(days=2)


def measure() -> Row:
    """Measure."""
    # Not below /tmp where that is memory: etcd's log has to reach a disk.
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        etcd = stack.enter_context(EtcdServer(directory / "etcd"))
        with closing(EtcdStore(EtcdConfig(etcd.endpoints))) as store:
            logging.basicConfig(filename=directory / "controller.log", level="INFO", force=True)
            progress(f"ipam.reclaim: filling the store with {(GONE + LIVING) * EACH} endpoints")
            store.txn([], [put(keys.POOLS, POOL, POOL.name)])
            for number in range(GONE + LIVING):
                _write(store, list(_node(number)))
            peer_s = puts_s(store, GONE * EACH, VALUE)
            took_s = _reclaim_s(store)
            left = store.range(keys.ENDPOINTS.prefix(), limit=LIVING * EACH + 1).items
            held = sum(b'"assigned"' in item.value for item in _addresses(store))
    good = len(left) == held == LIVING * EACH
    progress(f"ipam.reclaim: {took_s:.1f} s; {len(left)} endpoints and {held} addresses stay")
    return Row(
        name="ipam.reclaim",
        value=took_s,
        unit=f"s for {GONE * EACH} addresses",
        p50=took_s,
        p99=took_s,
        peer=PEER,
        peer_value=peer_s,
        ratio=peer_s / took_s,
        goal=f"<= {GOAL_S:g} s, and nothing that is held",
        ok=good and took_s <= GOAL_S,
    )


def _reclaim_s(store: EtcdStore) -> float:
    committers = [Committer(store) for _ in range(COMMITTERS)]
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)  # as in the controller
    began = time.perf_counter()
    gone = RollCall(store, _now, Events(store, _now)).call()
    reclaimer = Reclaimer(store, committers, _now)
    ended = sum(len(all_of_it) for _, all_of_it in reclaimer.reclaim_all(gone))
    took_s = time.perf_counter() - began
    for each in committers:
        each.close()
    progress(f"ipam.reclaim: {ended} endpoints ended")
    return took_s


def _node(number: int) -> Iterator[Op]:
    name = f"node-{number}"
    block = Block(cidr=blocks.block_at(POOL, number), pool=POOL.name, node=name)
    yield put(keys.NODES, Node(name=name, asn=64512), name)
    yield put(keys.BLOCKS, block, POOL.name, block.cidr)
    yield put(keys.NODE_BLOCKS, block, name, block.cidr)
    if number < GONE:
        yield put(keys.LOST, Lost(node=name, since=LONG_AGO), name)
    else:
        alive = Alive(node=name, program=Program.AGENT, boot_id="b", started=LONG_AGO)
        yield put(keys.ALIVE, alive, name, Program.AGENT.value)
    found = blocks.assignable(POOL, ip_network(block.cidr))
    for index, address in zip(range(EACH), found, strict=False):
        yield from _endpoint(f"e-{number}-{index}", name, block, address)


def _endpoint(name: str, node: str, block: Block, address: IPAddress) -> Iterator[Op]:
    endpoint = Endpoint(
        id=name,
        uid=f"{int(address):032x}",
        node=node,
        pools=(POOL.name,),
        addresses=(address,),
        mac=blocks.mac_of(address),
    )
    held = Address(address=address, pool=POOL.name, endpoint=name, node=node, since=LONG_AGO)
    attachment = Attachment(
        endpoint=name, node=node, addresses=(address,), netns="/run/netns/x", ifname="eth0", boot_id="b"
    )
    yield put(keys.ENDPOINTS, endpoint, name)
    yield put(keys.NODE_ENDPOINTS, endpoint, node, name)
    yield put(keys.ADDRESSES, held, POOL.name, block.cidr, address)
    yield put(keys.ATTACHMENTS, attachment, node, name)
    ready = Ready(prefix=host_prefix(address), node=node, boot_id="b", endpoint=name)
    yield put(keys.READY, ready, node, ready.prefix)


def _write(store: EtcdStore, ops: Sequence[Op]) -> None:
    """Some hundred puts. Those of one endpoint are written together: its two copies have one revision."""
    head, tail = ops[: len(ops) - KEYS * EACH], ops[len(ops) - KEYS * EACH :]
    store.txn([], head)
    for start in range(0, len(tail), TXN):
        store.txn([], tail[start : start + TXN])


def _addresses(store: EtcdStore) -> Iterator[KeyValue]:
    answer = store.range(keys.ADDRESSES.prefix(), limit=1000)
    yield from answer.items
    while answer.more:
        answer = store.range(keys.ADDRESSES.prefix(), limit=1000, after=answer.items[-1].key)
        yield from answer.items


def _now() -> datetime:
    return NOW
