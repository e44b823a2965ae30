"""`dataplane.throughput`: TCP from a container to a ToR, through the pipeline with 100 policies of ten rules.

Beside it in the same run: the same path with one flow, `actions=NORMAL`, in front of all others (the
ratio), and a container that hangs on the node by a plain veth without Open vSwitch (told on standard
error). The three take turns, forth and back, so that what else the machine does falls on all of them; the
ratio is the median of the turns' ratios. One uplink is down: connections must not differ in their path.
"""

from __future__ import annotations

import json
from functools import partial

from bench.row import Row, median, percentile, progress
from lab import netns
from lab.host import Host
from lab.lab import Lab
from lab.topology import Role
from lab.wait import wait_until

ROUNDS = 12
SECONDS = 1
PEER = "one NORMAL flow"
GOAL_RATIO = 0.9
LABELS = {"app": "sender"}
PLAIN_ADDRESS = "10.2.200.1"
PLAIN_GATEWAY = "10.2.200.0"
POLICIES, RULES = 100, 10
POLICIES_S = 60.0
NORMAL = "table=0,priority=65535,cookie=0x1,actions=NORMAL"


def measure(lab: Lab) -> Row:
    """Measure."""
    node = lab.nodes[0]
    container = lab.container("sender")
    lab.api.do("POST", "/v1/endpoints", {"id": "sender", "node": node, "labels": LABELS})
    lab.attach("sender", container, node)
    _restrict(lab, node)
    plain = _plain(lab, node)
    switch = lab.fabric.switches[node]
    target = str(lab.topology.of(Role.TOR)[0].loopback).partition("/")[0]
    tor = lab.hosts["tor-a"]
    server = tor.record("iperf3", "-s", "-B", target)
    samples: dict[str, list[float]] = {"polder": [], PEER: [], "plain veth": []}
    lab.hosts[node].set_link("up-b", up=False)
    try:
        for sender in (container, plain):
            wait_until(partial(sender.ping, target), 10.0, f"{target} to answer", good=lambda got: got.ok)
        for number in range(ROUNDS):
            for normal in (False, True) if number % 2 else (True, False):
                if normal:
                    switch.ofctl("add-flow", "polder0", NORMAL)
                samples[PEER if normal else "polder"].append(_gbits(container, target))
                switch.ofctl("del-flows", "polder0", "cookie=0x1/-1")
            samples["plain veth"].append(_gbits(plain, target))
            last = ", ".join(f"{name} {values[-1]:.2f}" for name, values in samples.items())
            progress(f"dataplane.throughput: round {number + 1} of {ROUNDS}, Gbit/s: {last}")
    finally:
        server.stop()
    value, peer = median(samples["polder"]), median(samples[PEER])
    progress(f"dataplane.throughput: plain veth, median {median(samples['plain veth']):.2f} Gbit/s")
    ratio = median([ours / theirs for ours, theirs in zip(samples["polder"], samples[PEER], strict=True)])
    return Row(
        name="dataplane.throughput",
        value=value,
        unit="Gbit/s",
        p50=value,
        p99=percentile(samples["polder"], 1),  # the slowest: less is worse here
        peer=f"the same path with {PEER}",
        peer_value=peer,
        ratio=ratio,
        goal=f"ratio >= {GOAL_RATIO}",
        ok=ratio >= GOAL_RATIO,
    )


def _restrict(lab: Lab, node: str) -> None:
    """Policies that select the sender, both ways; what it sends here is in none of their rules."""
    for number in range(POLICIES):
        rules = [
            {
                "action": "deny",
                "peers": [{"cidr": f"198.18.{number}.{rule * 8}/29"}],
                "ports": [{"protocol": "tcp", "port": 1000 + rule}],
            }
            for rule in range(RULES)
        ]
        body = {"name": f"p{number}", "selector": LABELS, "egress": rules, "ingress": rules}
        lab.api.do("POST", "/v1/policies", body)
    wait_until(
        lambda: lab.fabric.switches[node].ofctl("dump-flows", "polder0").count("=198.18."),
        POLICIES_S,
        "the flows of all rules",
        good=lambda count: count >= 2 * POLICIES * RULES,
    )


def _gbits(sender: Host, target: str) -> float:
    done = sender.run("iperf3", "-c", target, "-t", str(SECONDS), "-J", timeout_s=SECONDS + 20)
    return float(json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]) / 1e9


def _plain(lab: Lab, node: str) -> Host:
    """A container on the node by a veth alone; tor-a and tor-b know its address by a static route."""
    plain = lab.container("plain")
    inside, on_node = plain.netns, lab.hosts[node].netns
    netns.batch([f"link add bare0 netns {on_node} type veth peer name eth0 netns {inside}"])
    netns.batch([f"address add {PLAIN_GATEWAY}/31 dev bare0", "link set bare0 up"], inside=on_node)
    netns.batch(
        [
            f"address add {PLAIN_ADDRESS}/31 dev eth0",
            "link set eth0 up",
            f"route add default via {PLAIN_GATEWAY}",
        ],
        inside=inside,
    )
    for tor in lab.topology.of(Role.TOR):
        uplink = next(far.ip for _, far in lab.topology.ends(tor.name) if far.host == node)
        netns.batch([f"route add {PLAIN_ADDRESS}/32 via {uplink}"], inside=lab.hosts[tor.name].netns)
    return plain
