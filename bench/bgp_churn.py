"""`bgp.churn`: 200 changes a second for two minutes on one session, beside a standing table.

One prefix is announced, the oldest of 100 withdrawn, each as a wish of its own. A change is late by the
time until the router's kernel has it. Neither that lateness nor the memory of ExaBGP may grow from the first
quarter to the last. `POLDER_BENCH_CHURN_S` makes it shorter while one works on it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from bench.bgp_bed import Speaking, Wanted, bed, hosts, own_cpu_s, resident_mb, wanted
from bench.route_watch import RouteWatch
from bench.row import Row, alone, cpu_s, median, progress

SECONDS = float(os.environ.get("POLDER_BENCH_CHURN_S", "120"))
RATE = 200
STANDING, MOVING = 20_000, 100
LAST_GOAL_S = 1.0
GROWTH_MB, GROWTH_FACTOR = 5.0, 1.5
"""What still counts as no growth: noise of the allocator, and of a busy machine."""
DEADLINE_S = 60.0
POLL_S = 0.05

IPNetwork = IPv4Network | IPv6Network


@dataclass
class Churn:
    """What was asked for, and when the router's kernel had it."""

    watch: RouteWatch
    asked: dict[tuple[IPNetwork, bool], float] = field(default_factory=dict)
    late: list[tuple[float, float]] = field(default_factory=list)
    """When asked, and how much later it was there; in seconds."""

    def listen(self, ended: threading.Event) -> None:
        """Read what the kernel tells, in a thread of its own, until told to end."""
        while not ended.is_set():
            for change in self.watch.read(POLL_S):
                asked = self.asked.pop((change.prefix, change.deleted), None)
                if asked is not None:
                    self.late.append((asked, change.at - asked))

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen while the block runs."""
        ended = threading.Event()
        thread = threading.Thread(target=self.listen, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def measure() -> Row:
    """Measure. There is no peer in this row: the goal is that nothing grows."""
    with bed() as made, closing(RouteWatch(made.tor.host.netns)) as watch:
        speaking, before = made.speaker(), made.routes()
        wish = wanted(hosts("10.100.0.0", STANDING))
        speaking.speaker.replace(wish)
        made.wait_routes(before + STANDING, DEADLINE_S)
        churn = Churn(watch)
        with churn.listening():
            memory = _run(speaking, wish, churn)
    began = min(asked for asked, _ in churn.late)
    first = [late for asked, late in churn.late if asked < began + SECONDS / 4]
    last = [late for asked, late in churn.late if asked > began + SECONDS * 3 / 4]
    growth_mb, factor = memory[1] - memory[0], median(last) / median(first)
    samples = [late * 1000 for _, late in churn.late]
    final = max(churn.late)[1] if not churn.asked else DEADLINE_S
    return alone(
        "bgp.churn",
        samples,
        "ms",
        f"{RATE}/s for {SECONDS:g} s: last change <= {LAST_GOAL_S * 1000:g} ms, lateness x{factor:.2f} "
        f"(<= {GROWTH_FACTOR:g}), memory {growth_mb:+.1f} MB (<= {GROWTH_MB:g}), lost {len(churn.asked)} (0)",
        ok=final <= LAST_GOAL_S and factor <= GROWTH_FACTOR and growth_mb <= GROWTH_MB and not churn.asked,
        value=final * 1000,
    )


def _run(speaking: Speaking, wish: Wanted, churn: Churn) -> tuple[float, float]:
    """Change at the rate. Returns ExaBGP's memory in MB at the end of the first quarter, and of the last."""
    total = int(SECONDS * RATE)
    spent, ours = cpu_s(speaking.pid), own_cpu_s()
    memory = [0.0, 0.0]
    began = time.monotonic()
    for number, (prefix, deleted) in enumerate(_changes(total)):
        time.sleep(max(began + number / RATE - time.monotonic(), 0.0))
        if deleted:
            del wish[prefix]
        else:
            wish.update(wanted([prefix]))
        churn.asked[prefix, deleted] = time.monotonic()
        speaking.speaker.replace(wish)
        if number in (total // 4, total - 1):
            memory[number == total - 1] = resident_mb(speaking.pid)
    sent_s = time.monotonic() - began
    deadline = time.monotonic() + DEADLINE_S
    while churn.asked and time.monotonic() < deadline:
        time.sleep(POLL_S)
    progress(
        f"bgp.churn: {total} changes in {sent_s:.1f} s; CPU seconds: "
        f"ExaBGP {cpu_s(speaking.pid) - spent:.1f}, this process {own_cpu_s() - ours:.1f}; "
        f"memory of ExaBGP {memory[0]:.1f} MB, then {memory[1]:.1f} MB"
    )
    return memory[0], memory[1]


def _changes(total: int) -> Iterator[tuple[IPv4Network, bool]]:
    """So many: announcements, from the 100th on each followed by the withdrawal of the oldest."""
    prefixes = hosts("10.140.0.0", total)
    yield from ((prefix, False) for prefix in prefixes[:MOVING])
    for number in range(MOVING, (total + MOVING) // 2):
        yield prefixes[number], False
        yield prefixes[number - MOVING], True
