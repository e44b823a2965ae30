"""`agent.start`: the agent of a node with 500 endpoints is killed and started, under pings to one of them.

The time is from the start of the process until it says that routes and flows are what they should be
(`/readyz` of its socket). Part of the goal: no ping is lost, and how much memory it takes then.
"""

from __future__ import annotations

import time

from bench.crowd import crowd
from bench.ipam_scale import resident_mb
from bench.row import Row, alone, median, progress
from lab.lab import Lab
from lab.topology import dual_tor
from lab.wait import wait_until

ENDPOINTS = 500
ROUNDS = 5
GOAL_S, MEMORY_GOAL_MB = 2.0, 120.0
READY_S = 60.0
NODE = "node-1"


def measure() -> Row:
    """Measure. Its value is seconds until in sync."""
    progress(f"agent.start: building a lab with {ENDPOINTS} endpoints on one node")
    with Lab("bench", topology=dual_tor(1)) as lab:
        address = crowd(lab, NODE, ENDPOINTS)
        agent, metal = lab.polder.agents[NODE], lab.hosts["metal"]
        wait_until(lambda: metal.ping(address).ok, READY_S, f"{address} to answer")
        ping = metal.ping_background(address, interval_s=0.01)
        samples, memory_mb = list[float](), list[float]()
        for number in range(ROUNDS):
            agent.kill()
            began = time.monotonic()
            agent.launch()
            agent.wait_ready(READY_S)
            samples.append(time.monotonic() - began)
            ping.wait_answers(20)
            memory_mb.append(resident_mb(agent.pid))
            progress(f"agent.start: round {number + 1}: {samples[-1]:.2f} s, {memory_mb[-1]:.0f} MB")
        report = ping.stop()
    value = median(samples)
    progress(f"agent.start: {len(report.lost)} of {report.sent} pings lost")
    goal = f"p50 <= {GOAL_S:g} s, no packet lost, memory <= {MEMORY_GOAL_MB:g} MB"
    good = value <= GOAL_S and report.ok and max(memory_mb) <= MEMORY_GOAL_MB
    return alone("agent.start", samples, "s", goal, ok=good)
