"""A router loses its links to all nodes; traffic goes on through the other one."""

from __future__ import annotations

from functools import partial

from lab.demo.cast import Cast
from lab.demo.reach import reaches
from lab.demo.report import Report, expect
from lab.demo.routers import next_hops
from lab.topology import Role
from lab.wait import wait_until

DETOUR_S = 10.0
BACK_S = 30.0


def one_router_is_cut_off(cast: Cast, report: Report) -> None:
    """metal is behind tor-a: with tor-a's links to the nodes down, its packets go by way of tor-b."""
    report.title("tor-a loses its links to every node")
    tor = cast.lab.tors["tor-a"]
    nodes = {spec.name for spec in cast.lab.topology.of(Role.NODE)}
    links = [near.ifname for near, far in cast.lab.topology.ends("tor-a") if far.host in nodes]
    container = cast.containers["db-1"]
    ping = cast.metal.ping_background(container.address)
    try:
        with report.check(f"metal still reaches {container.name}, through tor-b") as measured:
            for link in links:
                tor.host.set_link(link, up=False)
            ping.wait_answers(10, DETOUR_S)
            hop = next_hops(tor, container.block)
            expect(
                reaches(container.host, cast.everyone["metal"][1]), f"{container.name} does not reach metal"
            )
            measured.append(f"tor-a's next hop is now {', '.join(hop)}")
    finally:
        for link in links:
            tor.host.set_link(link, up=True)
    with report.check("with the links back, tor-a learns every block from its node again"):
        for one in cast.containers.values():
            direct = [cast.uplink(one.node, "tor-a")]
            wait_until(partial(next_hops, tor, one.block), BACK_S, f"next hop {direct}", good=direct.__eq__)
    report.note(f"longest gap of the ping (20 ms interval): {ping.stop().longest_gap_s * 1000:.0f} ms")
