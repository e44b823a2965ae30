"""`policy.scale`: from the request that changes an endpoint's label to the last node that it concerns.

1,000 policies of ten rules over 10,000 endpoints on 100 nodes, of four tenants; a real etcd, and a controller
that has the duty. Each node listens with a feed of its own, as its agent does. Which values have to reach
which nodes is computed beside it; a sample ends when the last of them is there. How long the duty takes from
nothing is told on standard error, with its CPU time.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from pathlib import Path

from agents.parts import Parts
from bench.row import Row, median, percentile, progress
from bench.service import Service
from controller.reading import put, read
from intent.compiler import Compiler
from intent.held import Held
from intent.policy import policies, policy_parts
from intent.snapshot import View
from lab.errors import LabError
from lab.wait import wait_until
from store import keys
from store.client import Put, Store
from store.etcd import EtcdStore
from store.feed import Delete, Feed, InSync
from store.feed import Put as Told
from store.model import Endpoint, Node, Policy, Pool, Tenant, Value

ENDPOINTS = 10_000
POLICIES = 1_000
NODES = 100
TENANTS = 4
APPS = 100
RULES = 10
SAMPLES = 40
READY_S = 120.0
SAMPLE_S = 30.0
GOAL_MS = 1000.0
OPS = 120


def measure() -> Row:
    """Measure. There is no peer that does the same job."""
    world = World()
    with Service(world.write) as service, closing(service.store()) as store:
        began = time.perf_counter()
        count, some = len(world.compiler.wanted), world.some_keys()
        wait_until(lambda: len(store.get_many(some)) == len(some), READY_S, "values to be written")
        wait_until(lambda: _told(store) == count, READY_S, f"{count} values to be written", poll_s=1)
        progress(
            f"policy.scale: {count} values for {NODES} nodes from nothing in "
            f"{time.perf_counter() - began + service.ready_s:.1f} s with the start of the controller, "
            f"which used {_cpu_s(service.process.pid):.1f} s of CPU"
        )
        with Listeners(store) as listeners:
            before_s = _cpu_s(service.process.pid)
            samples = [_sample(service, world, listeners, number) for number in range(SAMPLES)]
            cpu_ms = (_cpu_s(service.process.pid) - before_s) / SAMPLES * 1000
            new = [_arrival(service, store, world, listeners, number) for number in range(SAMPLES)]
    progress(f"policy.scale: a new endpoint is told to all nodes after {median(new):.0f} ms (median)")
    progress(f"policy.scale: {cpu_ms:.1f} ms of the controller's CPU for each change")
    progress(
        f"policy.scale: {Agent(world, 'node-0').changed():.0f} ms of an agent's CPU for its flows (median)"
    )
    p50, p99 = median(samples), percentile(samples, 99)
    return Row(
        name="policy.scale",
        value=p99,
        unit="ms",
        p50=p50,
        p99=p99,
        peer=None,
        peer_value=None,
        ratio=None,
        goal=f"p99 <= {GOAL_MS:g} ms",
        ok=p99 <= GOAL_MS,
    )


def _sample(service: Service, world: World, listeners: Listeners, number: int) -> float:
    """Milliseconds from the request to the last value at the last node."""
    endpoint, wanted = world.relabel(number)
    began = time.perf_counter()
    service.send("PATCH", f"/v1/endpoints/{endpoint.id}", {"labels": endpoint.labels})
    wait_until(lambda: listeners.have(wanted, began), SAMPLE_S, f"{len(wanted)} values", poll_s=0.002)
    return (listeners.last(wanted) - began) * 1000


def _arrival(service: Service, store: Store, world: World, listeners: Listeners, number: int) -> float:
    """Milliseconds from the request for an endpoint until the last node has its address in its sets."""
    asked = {"id": f"new-{number}", "node": f"node-{number % NODES}", "tenant": "tenant-0"}
    began = time.perf_counter()
    service.send("POST", "/v1/endpoints", {**asked, "labels": {"app": f"app-{number % APPS}"}})
    found = read(store, keys.ENDPOINTS, asked["id"])
    if found is None:
        raise LabError(f"endpoint {asked['id']} is not stored")
    world.compiler.put_endpoint(found.value)
    wanted = frozenset(world.compiler.changes())
    wait_until(lambda: listeners.have(wanted, began), SAMPLE_S, f"{len(wanted)} values", poll_s=0.002)
    return (listeners.last(wanted) - began) * 1000


def _told(store: Store) -> int:
    count, after, more = 0, "", True
    while more:
        page = store.range(keys.COMPILED, limit=5000, after=after)
        count, more = count + len(page.items), page.more
        after = page.items[-1].key if page.items else ""
    return count


def _cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class World:
    """What is there, and what nodes have to be told of it."""

    def __init__(self) -> None:
        chance = random.Random(1)  # noqa: S311
        self.tenants = [Tenant(name=f"tenant-{number}") for number in range(TENANTS)]
        self.endpoints = [_endpoint(number, chance) for number in range(ENDPOINTS)]
        self.policies = [_policy(number, chance) for number in range(POLICIES)]
        self.compiler = Compiler()
        for tenant in self.tenants:
            self.compiler.put_tenant(tenant)
        for endpoint in self.endpoints:
            self.compiler.put_endpoint(endpoint)
        for policy in self.policies:
            self.compiler.put_policy(policy)
        self.compiler.changes()

    def relabel(self, number: int) -> tuple[Endpoint, frozenset[str]]:
        """An endpoint with another label, and the keys that this has to change."""
        before = self.endpoints[number * 7]
        app = f"app-{(int(before.labels['app'][4:]) + 13) % APPS}"
        after = before.model_copy(update={"labels": {**before.labels, "app": app}})
        self.compiler.put_endpoint(after)
        return after, frozenset(self.compiler.changes())

    def some_keys(self) -> list[str]:
        """Enough of what nodes are told to see when all of it is there: all is much to read."""
        return sorted(self.compiler.wanted)[:: len(self.compiler.wanted) // 500]

    def write(self, store: EtcdStore) -> None:
        """Write it as the API would."""
        ops = list(self._ops())
        for start in range(0, len(ops), OPS):
            store.txn((), ops[start : start + OPS])

    def _ops(self) -> Iterator[Put]:
        yield put(keys.POOLS, Pool(name="new", cidr=ip_network("10.128.0.0/16")), "new")
        for number in range(NODES):
            yield put(keys.NODES, Node(name=f"node-{number}", asn=64512), f"node-{number}")
        for tenant in self.tenants:
            yield put(keys.TENANTS, tenant, tenant.name)
        for endpoint in self.endpoints:
            yield put(keys.ENDPOINTS, endpoint, endpoint.id)
            yield put(keys.NODE_ENDPOINTS, endpoint, endpoint.node, endpoint.id)
        for policy in self.policies:
            yield put(keys.POLICIES, policy, policy.name)


def _endpoint(number: int, chance: random.Random) -> Endpoint:
    return Endpoint.model_validate(
        {
            "id": f"e{number}",
            "uid": f"{number:032x}",
            "node": f"node-{chance.randrange(NODES)}",
            "tenant": f"tenant-{number % TENANTS}",
            "pools": ["default"],
            "addresses": [f"10.0.{number >> 8}.{number & 255}"],
            "mac": "02:00:00:00:00:01",
            "labels": {"app": f"app-{chance.randrange(APPS)}", "stage": chance.choice(["live", "test"])},
        }
    )


def _policy(number: int, chance: random.Random) -> Policy:
    rules = [
        {
            "action": "allow",
            "peers": [{"selector": {"app": f"app-{chance.randrange(APPS)}"}}],
            "ports": [{"protocol": "tcp", "port": 8000 + place}],
        }
        for place in range(RULES - 1)
    ]
    return Policy.model_validate(
        {
            "name": f"policy-{number}",
            "tenant": f"tenant-{number % TENANTS}",
            "selector": {"app": f"app-{chance.randrange(APPS)}"},
            "ingress": [*rules, {"action": "deny"}],
        }
    )


class Agent:
    """What the agent of one node computes when it is told."""

    def __init__(self, world: World, node: str) -> None:
        self._world = world
        self._node = node
        self._view = View(node)
        for key, value in world.compiler.wanted.items():
            self._put(key, value)
        mine = [endpoint for endpoint in world.endpoints if endpoint.node == node]
        self._held = [Held(endpoint, port, judged=True) for port, endpoint in enumerate(mine, 1)]
        self._rules = policies(self._view.snapshot)
        self._flows = Parts(policy_parts(self._rules, self._held))

    def changed(self) -> float:
        """Milliseconds of CPU from values that were told to the flows that differ (median)."""
        samples = []
        for number in range(SAMPLES, 2 * SAMPLES):
            _, keys_ = self._world.relabel(number)
            for key in keys_:
                self._put(key, self._world.compiler.wanted.get(key))
            began = time.process_time()
            self._rules = policies(self._view.snapshot, self._rules)
            flows = Parts(policy_parts(self._rules, self._held))
            flows.touched(self._flows)
            samples.append((time.process_time() - began) * 1000)
            self._flows = flows
        return median(samples)

    def _put(self, key: str, value: Value | None) -> None:
        if not key.startswith(keys.compiled_prefix(self._node)):
            return
        if value is None:
            self._view.delete(key)
        else:
            self._view.put(key, value)


class Listeners:
    """A feed for each node, and when each key was told last. A context manager."""

    def __init__(self, store: Store) -> None:
        self._feeds = [Feed(store, [keys.compiled_prefix(f"node-{number}")]) for number in range(NODES)]
        self._told: dict[str, float] = {}
        self._in_sync = threading.Semaphore(0)

    def __enter__(self) -> Listeners:
        for feed in self._feeds:
            threading.Thread(target=self._listen, args=(feed,), daemon=True).start()
        for _ in self._feeds:
            self._in_sync.acquire(timeout=READY_S)
        return self

    def __exit__(self, *_: object) -> None:
        for feed in self._feeds:
            feed.close()

    def have(self, wanted: frozenset[str], since: float) -> bool:
        """Whether each of these was told since then."""
        return all(self._told.get(key, 0.0) > since for key in wanted)

    def last(self, wanted: frozenset[str]) -> float:
        """When the last of these was told."""
        return max(self._told[key] for key in wanted)

    def _listen(self, feed: Feed) -> None:
        for item in feed:
            if isinstance(item, InSync):
                self._in_sync.release()
            elif isinstance(item, Told | Delete):
                self._told[item.key] = time.perf_counter()
