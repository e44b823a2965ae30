"""`bgp.burst`: from the wish for many /32 until all of them are routes of the router's kernel.

One speaker, one session, 20,000 prefixes and then 100,000. BIRD, on another host with a session of its own
to the same router, enables a static protocol with as many. The two take turns with 20,000. The memory is
that of the one ExaBGP with 100,000 routes, at its peak.
"""

from __future__ import annotations

from contextlib import ExitStack
from ipaddress import IPv4Network

from bench.bgp_bed import Bed, Speaking, bed, hosts, own_cpu_s, peak_mb, timed, wanted
from bench.rivals import Bird
from bench.row import Row, cpu_s, median, percentile, progress
from lab.wait import wait_until

FEW, MANY = 20_000, 100_000
ROUNDS = 3
FEW_GOAL_S, MANY_GOAL_S, MEMORY_GOAL_MB = 3.0, 15.0, 250.0
DEADLINE_S = 120.0


def measure() -> Row:
    """Measure."""
    with bed() as made:
        speaking = made.speaker()
        ours, theirs = [], []
        with ExitStack() as stack:
            bird = _bird(made, stack, hosts("10.110.0.0", FEW))
            for number in range(ROUNDS):
                theirs.append(_bird_burst(made, bird, FEW))
                ours.append(_burst(made, speaking, FEW))
                progress(f"bgp.burst: round {number + 1} of {ROUNDS}: BIRD {theirs[-1]:.2f} s")
        many = _burst(made, speaking, MANY)
        memory = peak_mb(speaking.pid)
        with ExitStack() as stack:
            bird_many = _bird_burst(made, _bird(made, stack, hosts("10.110.0.0", MANY)), MANY)
    progress(f"bgp.burst: {MANY} prefixes: {many:.2f} s, BIRD {bird_many:.2f} s; ExaBGP {memory:.0f} MB")
    value, peer = median(ours), median(theirs)
    return Row(
        name="bgp.burst",
        value=value,
        unit="s",
        p50=value,
        p99=percentile(ours, 99),
        peer="BIRD 2, as many",
        peer_value=peer,
        ratio=peer / value,
        goal=f"{FEW} in <= {FEW_GOAL_S:g} s; {MANY} in <= {MANY_GOAL_S:g} s ({many:.1f}), "
        f"<= {MEMORY_GOAL_MB:g} MB ({memory:.0f})",
        ok=value <= FEW_GOAL_S and many <= MANY_GOAL_S and memory <= MEMORY_GOAL_MB,
    )


def _burst(made: Bed, speaking: Speaking, count: int) -> float:
    """Announce, tell, withdraw again."""
    before = made.routes()
    wish = wanted(hosts("10.100.0.0", count))
    spent, ours = cpu_s(speaking.pid), own_cpu_s()
    taken = timed(
        lambda: speaking.speaker.replace(wish), lambda: made.wait_routes(before + count, DEADLINE_S)
    )
    progress(
        f"bgp.burst: {count} prefixes in {taken:.2f} s; CPU seconds: "
        f"ExaBGP {cpu_s(speaking.pid) - spent:.2f}, this process {own_cpu_s() - ours:.2f}"
    )
    speaking.speaker.replace({})
    made.wait_routes(before, DEADLINE_S)
    return taken


def _bird(made: Bed, stack: ExitStack, prefixes: list[IPv4Network]) -> Bird:
    bird = Bird(made.rival, made.rival_ends, prefixes)
    bird.program.start()
    stack.callback(bird.program.stop)
    wait_until(made.rival_is_up, DEADLINE_S, "the router's session with BIRD")
    return bird


def _bird_burst(made: Bed, bird: Bird, count: int) -> float:
    before = made.routes()
    taken = timed(bird.announce, lambda: made.wait_routes(before + count, DEADLINE_S))
    bird.withdraw()
    made.wait_routes(before, DEADLINE_S)
    return taken
