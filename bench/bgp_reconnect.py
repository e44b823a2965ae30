"""`bgp.reconnect`: a session with 20,000 routes is cleared at the router; until all are there again, and EOR.

The router drops the routes at once (NOTIFICATION, so no graceful restart) and waits to be called again. The
node has a second session, with its own ExaBGP, with the same router: none of its routes may be touched.
"""

from __future__ import annotations

import time
from contextlib import closing
from ipaddress import IPv4Network

from bench.bgp_bed import Bed, Speaking, bed, hosts, own_cpu_s, wanted
from bench.route_watch import RouteWatch
from bench.row import Row, alone, cpu_s, median, progress
from lab.wait import wait_until

COUNT, BESIDE = 20_000, 1_000
ROUNDS = 3
GOAL_S = 6.0
DEADLINE_S = 60.0


def measure() -> Row:
    """Measure. There is no peer in this row: the goal is a time."""
    with bed() as made, closing(RouteWatch(made.tor.host.netns)) as watch:
        empty = made.routes()
        cleared, beside = made.speaker(), made.speaker("node2")
        others = hosts("10.130.0.0", BESIDE)
        cleared.speaker.replace(wanted(hosts("10.100.0.0", COUNT)))
        beside.speaker.replace(wanted(others))
        full = empty + COUNT + BESIDE
        made.wait_routes(full, DEADLINE_S)
        wait_until(lambda: made.has_end_of_rib(cleared.local_address), DEADLINE_S, "End-of-RIB")
        _changed(watch)
        samples = []
        touched: set[IPv4Network] = set()
        for _ in range(ROUNDS):
            samples.append(_clear(made, cleared, full))
            touched |= set(others) & _changed(watch)
    p50 = median(samples)
    return alone(
        "bgp.reconnect",
        samples,
        "s",
        f"<= {GOAL_S:g} s, routes of the other session touched: {len(touched)} (0)",
        ok=p50 <= GOAL_S and not touched,
    )


def _clear(made: Bed, cleared: Speaking, full: int) -> float:
    spent, ours = cpu_s(cleared.pid), own_cpu_s()
    address = cleared.local_address
    began = time.monotonic()
    made.tor.clear(address)
    wait_until(lambda: made.routes() < full, DEADLINE_S, "the routes to go")
    made.wait_routes(full, DEADLINE_S)
    table_s = time.monotonic() - began
    wait_until(lambda: made.has_end_of_rib(address), DEADLINE_S, "End-of-RIB")
    taken = time.monotonic() - began
    progress(
        f"bgp.reconnect: full table after {table_s:.2f} s, End-of-RIB after {taken:.2f} s; CPU seconds: "
        f"ExaBGP {cpu_s(cleared.pid) - spent:.2f}, this process {own_cpu_s() - ours:.2f}"
    )
    return taken


def _changed(watch: RouteWatch) -> set[IPv4Network]:
    """The prefixes of which the kernel told something, until it is quiet."""
    changed: set[IPv4Network] = set()
    while changes := watch.read(0.1):
        changed.update(change.prefix for change in changes)
    return changed
