"""`dataplane.ready`: from the call to attach to the first ping that is answered through Open vSwitch.

A raw socket waits inside the container's namespace and asks another container on the same node once a
millisecond: the answer has passed the flows of both. Starting ping itself would take longer than the
attach.

Beside it OVN on a host of its own: `ovs-vsctl add-port`, then `ovn-nbctl --wait=hv lsp-add`, until a
container of the same logical switch has answered. Link and address are there before the clock starts.

`dataplane.dense` is the same on a node with 500 endpoints, and what an attach takes of the agent's CPU time
there: that should be as on a node with few. Beside it `ovs-vsctl add-port` on that node: with the netdev
datapath Open vSwitch itself takes longer the more ports it has.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from bench.crowd import crowd
from bench.ovn import FIRST, Ovn
from bench.row import Row, cpu_s, median, percentile, progress, seconds
from lab import netns
from lab.errors import LabError
from lab.host import Host
from lab.lab import Lab

SAMPLES = 50
GOAL_MS = 20.0
PEER = "ovs-vsctl add-port and ovn-nbctl --wait=hv lsp-add"
DEADLINE_S = 5.0
DENSE, DENSE_SAMPLES, DENSE_GOAL = 500, 30, 1.5
DENSE_PEER = "ovs-vsctl add-port"
SETTLE_S = 3.0
ECHO_REQUEST, ECHO_REPLY = 8, 0
IPV4_HEADER_BYTES = 20


def measure(lab: Lab) -> Row:
    """Measure."""
    node = lab.nodes[0]
    target = lab.container("target")
    address = _create(lab, target, node)
    lab.attach(target.name, target, node)
    containers = [lab.container(f"r{number}") for number in range(SAMPLES + 1)]
    for container in containers:
        _create(lab, container, node)
    samples = [_sample(lab, node, container, address) for container in containers][1:]
    p50, p99 = median(samples), percentile(samples, 99)
    progress(f"dataplane.ready: {SAMPLES} attaches, median {p50:.1f} ms, p99 {p99:.1f} ms")
    peer = median(_by_ovn(lab))
    progress(f"dataplane.ready: OVN, median {peer:.1f} ms")
    goal = f"p50 <= {GOAL_MS:g} ms"
    return Row("dataplane.ready", p50, "ms", p50, p99, PEER, peer, peer / p50, goal, p50 <= GOAL_MS)


def measure_dense(lab: Lab) -> Row:
    """Measure with many endpoints on the node."""
    node = lab.nodes[0]
    target = lab.container("target")
    address = _create(lab, target, node)
    lab.attach(target.name, target, node)
    _, few_ms = _attaches(lab, node, address, "f")
    progress(f"dataplane.dense: {few_ms:.1f} ms of the agent's CPU for an attach with few; {DENSE} come")
    crowd(lab, node, DENSE)
    samples, many_ms = _attaches(lab, node, address, "m")
    p50, peer = median(samples), median(_by_vsctl(lab, node))
    progress(f"dataplane.dense: {many_ms:.1f} ms with {DENSE} more, {many_ms / few_ms:.2f} times as much")
    goal = f"CPU time of the agent <= {DENSE_GOAL:g} times that with few endpoints"
    ok = many_ms <= DENSE_GOAL * few_ms
    return Row(
        "dataplane.dense", p50, "ms", p50, percentile(samples, 99), DENSE_PEER, peer, peer / p50, goal, ok
    )


def _attaches(lab: Lab, node: str, target: str, prefix: str) -> tuple[list[float], float]:
    """Milliseconds of some attaches, and of the agent's CPU for each with all that follows."""
    containers = [lab.container(f"{prefix}{number}") for number in range(DENSE_SAMPLES + 1)]
    for container in containers:
        _create(lab, container, node)
    _sample(lab, node, containers[0], target)
    agent = lab.polder.agents[node]
    time.sleep(SETTLE_S)  # what follows of what was done before is not counted
    before_s = cpu_s(agent.pid)
    samples = [_sample(lab, node, container, target) for container in containers[1:]]
    time.sleep(SETTLE_S)
    return samples, (cpu_s(agent.pid) - before_s) / DENSE_SAMPLES * 1000


def _by_vsctl(lab: Lab, node: str) -> list[float]:
    """Milliseconds of `ovs-vsctl add-port` to a bridge of its own on the same Open vSwitch."""
    host, ovs = lab.hosts[node], lab.fabric.switches[node]
    ovs.vsctl("add-br", "peer0", "--", "set", "bridge", "peer0", "datapath_type=netdev")
    names = [f"peer{number}" for number in range(1, DENSE_SAMPLES + 1)]
    netns.batch([f"link add {name} type veth peer name {name}x" for name in names], inside=host.netns)
    return [seconds(partial(ovs.vsctl, "add-port", "peer0", name)) * 1000 for name in names]


def _by_ovn(lab: Lab) -> list[float]:
    ovn = Ovn(lab)
    ovn.start()
    try:
        addresses = {}
        for number in range(FIRST, FIRST + SAMPLES + 2):
            addresses[number] = ovn.prepare(lab.container(f"o{number}"), number)
        ovn.attach(FIRST, addresses[FIRST])
        samples = [
            _until_answered(lab.hosts[f"o{number}"], addresses[FIRST], partial(ovn.attach, number, address))
            for number, address in addresses.items()
            if number > FIRST
        ]
    finally:
        ovn.stop()
    return samples[1:]


def _create(lab: Lab, container: Host, node: str) -> str:
    made = lab.api.do("POST", "/v1/endpoints", {"id": container.name, "node": node})
    return str(made["addresses"][0])


def _sample(lab: Lab, node: str, container: Host, target: str) -> float:
    return _until_answered(container, target, partial(lab.attach, container.name, container, node))


def _until_answered(container: Host, target: str, attach: Callable[[], object]) -> float:
    with _asking(container, target) as answered:
        began = time.monotonic()
        attach()
        if not answered.wait(DEADLINE_S):
            raise LabError(f"{container.name} got no answer from {target} in {DEADLINE_S:g} s")
        return (answered.at - began) * 1000


class _Answered(threading.Event):
    at = 0.0


@contextmanager
def _asking(container: Host, target: str) -> Iterator[_Answered]:
    """Ask for an echo every millisecond until one is answered, or the block ends."""
    asker = netns.within(
        container.netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    )
    answered, ended = _Answered(), threading.Event()
    thread = threading.Thread(target=_ask, args=(asker, target, answered, ended))
    thread.start()
    try:
        yield answered
    finally:
        ended.set()
        thread.join()
        asker.close()


def _ask(asker: socket.socket, target: str, answered: _Answered, ended: threading.Event) -> None:
    asker.settimeout(0.001)
    request = _echo_request()
    while not ended.is_set():
        try:
            asker.sendto(request, (target, 0))
        except OSError:  # no route yet: the container has no interface
            ended.wait(0.0005)
            continue
        try:
            answer, (sender, _) = asker.recvfrom(2048)
        except TimeoutError:
            continue
        if sender == target and answer[IPV4_HEADER_BYTES] == ECHO_REPLY:
            answered.at = time.monotonic()
            answered.set()
            return


def _echo_request() -> bytes:
    """ICMP echo request (RFC 792) with its checksum (RFC 1071)."""
    header = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, 0x504C, 1)
    total = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!BBHHH", ECHO_REQUEST, 0, ~total & 0xFFFF, 0x504C, 1)
