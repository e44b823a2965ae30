"""`bgp.latency`: from the wish for one more prefix until it is a route of the router's kernel.

Beside it GoBGP on another host, told by its own client, turn and turn about. The client's start would count
for much of it, so GoBGP's time is counted from the client's *end*: that is less than it took. Then ours
again, on a session that holds 20,000 other prefixes: it must meet the goal too. bgpd itself holds what it
hears for 50 ms.
"""

from __future__ import annotations

import time
from contextlib import closing

from bench.bgp_bed import Bed, Wanted, bed, hosts, wanted
from bench.rivals import GoBgp
from bench.route_watch import RouteWatch
from bench.row import Row, median, percentile, progress
from bgp.exabgp.driver import ExaBgpSpeaker
from lab.wait import wait_until

SAMPLES = 50
HELD = 20_000
GOAL_MS = 75.0
DEADLINE_S = 30.0


def measure() -> Row:
    """Measure."""
    with bed() as made, closing(RouteWatch(made.tor.host.netns)) as watch:
        speaker = made.speaker().speaker
        rival = GoBgp(made.rival, made.rival_ends)
        rival.program.start()
        wait_until(made.rival_is_up, DEADLINE_S, "the router's session with GoBGP")
        wish: Wanted = {}
        ours, theirs = [], []
        for number in range(SAMPLES):
            ours.append(_announce(speaker, wish, f"10.100.0.{number}", watch))
            theirs.append(_rival_announce(rival, f"10.110.0.{number}", watch))
        progress(f"bgp.latency: median {median(ours):.1f} ms, GoBGP {median(theirs):.1f} ms")
        held = _with_many(made, speaker, wish, watch)
    p50, held_p50, peer = median(ours), median(held), median(theirs)
    return Row(
        name="bgp.latency",
        value=p50,
        unit="ms",
        p50=p50,
        p99=percentile(ours, 99),
        peer="GoBGP, from the end of its client",
        peer_value=peer,
        ratio=peer / p50,
        goal=f"p50 <= {GOAL_MS:g} ms, and with {HELD} prefixes held ({held_p50:.1f})",
        ok=p50 <= GOAL_MS and held_p50 <= GOAL_MS,
    )


def _with_many(made: Bed, speaker: ExaBgpSpeaker, wish: Wanted, watch: RouteWatch) -> list[float]:
    before = made.routes()
    wish.update(wanted(hosts("10.120.0.0", HELD)))
    speaker.replace(dict(wish))
    made.wait_routes(before + HELD, DEADLINE_S)
    wait_until(lambda: len(speaker.advertised()) == len(wish), DEADLINE_S, "the acknowledgements")
    samples = [_announce(speaker, wish, f"10.101.0.{number}", watch) for number in range(SAMPLES)]
    p50, p99 = median(samples), percentile(samples, 99)
    progress(f"bgp.latency: with {HELD} prefixes held, median {p50:.1f} ms, p99 {p99:.1f} ms")
    return samples


def _announce(speaker: ExaBgpSpeaker, wish: Wanted, address: str, watch: RouteWatch) -> float:
    [prefix] = hosts(address, 1)
    wish.update(wanted([prefix]))
    whole = dict(wish)
    began = time.monotonic()
    speaker.replace(whole)
    return (watch.wait(prefix, DEADLINE_S) - began) * 1000


def _rival_announce(rival: GoBgp, address: str, watch: RouteWatch) -> float:
    [prefix] = hosts(address, 1)
    rival.announce(prefix)
    began = time.monotonic()
    return (watch.wait(prefix, DEADLINE_S) - began) * 1000
