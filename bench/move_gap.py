"""`move.gap`: how long an established TCP connection is silent while its workload moves to another node.

Make before break, and beside it in the same run break before make (`overlap_s=0`). The workload is in one
network namespace all the time, as a virtual machine is that migrates with its connections; it uses its new
interface as soon as that is attached. Beside the connection, which is used every millisecond, an echo is
asked for every millisecond.
"""

from __future__ import annotations

from bench.row import Row, median, percentile, progress
from lab.host import Host
from lab.lab import Lab
from lab.migration import migrated
from lab.stream import Stream
from lab.wait import wait_until

SAMPLES = 6
"""Moves of either kind, there and home again in turn."""

GOAL_MS = 200.0
NODES = ("node-1", "node-2")
IFNAMES = ("eth0", "eth1")


def measure(lab: Lab) -> Row:
    """Measure."""
    lab.api.do("POST", "/v1/endpoints", {"id": "mover", "node": NODES[0]})
    workload = lab.container("mover")
    made = lab.attach("mover", workload, NODES[0])
    address = str(made["addresses"][0])
    lab.hosts["metal"].ping_background(address).stop()
    gaps: dict[int, list[float]] = {30: [], 0: []}
    lost: dict[int, list[int]] = {30: [], 0: []}
    for number in range(SAMPLES):
        for overlap_s, samples in gaps.items():
            place = (number * 2 + (overlap_s == 0)) % 2
            gap_ms, missing = _move(lab, workload, address, place, overlap_s)
            samples.append(gap_ms)
            lost[overlap_s].append(missing)
    for overlap_s, what in ((30, "make before break"), (0, "break before make")):
        shown = ", ".join(f"{gap:.0f}" for gap in gaps[overlap_s])
        progress(f"move.gap: {what}: silent for {shown} ms; echoes lost {lost[overlap_s]}")
    p50, p99 = median(gaps[30]), percentile(gaps[30], 99)
    other = median(gaps[0])
    goal = f"p99 <= {GOAL_MS:g} ms"
    return Row("move.gap", p50, "ms", p50, p99, "break before make", other, other / p50, goal, p99 <= GOAL_MS)


def _move(lab: Lab, workload: Host, address: str, place: int, overlap_s: int) -> tuple[float, int]:
    """The longest silence of the connection in milliseconds, and how many echoes got lost."""
    source, target = NODES[place], NODES[1 - place]
    metal, agent = lab.hosts["metal"], lab.polder.agent_api(source)
    ping = metal.ping_background(address, 0.001)
    try:
        with Stream(metal, workload, address) as stream:
            lab.api.do("PATCH", f"/v1/endpoints/mover?overlap_s={overlap_s}", {"node": target})
            if overlap_s:
                with migrated(workload, IFNAMES[place]):
                    lab.attach("mover", workload, target, ifname=IFNAMES[1 - place])
            wait_until(
                lambda: agent.do("GET", "/v1/attachments")["items"],
                10.0,
                f"{source} to let go",
                good=lambda items: not items,
            )
            if not overlap_s:
                lab.attach("mover", workload, target, ifname=IFNAMES[1 - place])
            ping.wait_answers(50, 10.0)
            seen = stream.answered
            wait_until(lambda: stream.answered > seen, 30.0, "the connection to go on")
            return stream.stop().longest_gap_s * 1000, len(ping.stop().lost)
    finally:
        ping.stop()
