"""A container moves to another node and keeps its address."""

from __future__ import annotations

from functools import partial

from lab.demo.cast import Cast
from lab.demo.reach import reaches
from lab.demo.report import Report, expect
from lab.demo.routers import next_hops
from lab.wait import wait_until

ANSWER_S = 10.0


def a_container_moves(cast: Cast, report: Report) -> None:
    """web-1 goes from node-1 to node-2: the address stays, a /32 says where it is now, node-1 goes last."""
    report.title("web-1 moves from node-1 to node-2")
    web, neighbour = cast.containers["web-1"], cast.containers["web-2"]
    ping = cast.metal.ping_background(web.address)
    try:
        with report.check("it answers from metal again, at the same address") as measured:
            cast.polder("endpoint", "move", "web-1", "node-2")
            new = cast.lab.container("web-1-moved")
            made = cast.attach("web-1", "node-2", new)
            expect(made["addresses"] == [web.address], f"it got {made['addresses']}")
            web.host, web.node = new, "node-2"
            ping.wait_answers(10, ANSWER_S)
            measured.append(f"gap {ping.stop().longest_gap_s * 1000:.0f} ms")
    finally:
        ping.stop()
    with report.check("node-1 lets go once node-2 announces it"):
        where = "/v1/endpoints/web-1/move"
        wait_until(lambda: cast.lab.api.get(where).status == 404, ANSWER_S, "the move to be over")
    for name, tor in cast.lab.tors.items():
        expected = cast.uplink("node-2", name)
        with report.check(f"{name} has {web.host_prefix} from node-2, next hop {expected}"):
            wait_until(partial(next_hops, tor, web.host_prefix), ANSWER_S, web.host_prefix)
            hops = next_hops(tor, web.host_prefix)
            expect(hops == [expected], f"its kernel has {hops}")
    with report.check("its former neighbour on node-1 reaches it, and it the neighbour"):
        wait_until(lambda: reaches(neighbour.host, web.address), ANSWER_S, f"{web.address} to answer web-2")
        expect(reaches(web.host, neighbour.address), f"{neighbour.address} does not answer")
    with report.check("node-1 keeps nothing of it"):
        node = cast.lab.hosts["node-1"]
        wait_until(lambda: node.route(web.host_prefix) is None, ANSWER_S, f"no route to {web.host_prefix}")
        flows = cast.lab.fabric.switches["node-1"].ofctl("dump-flows", "polder0").splitlines()
        # it is of the tenant of containers that node-1 has
        left = [line for line in flows if web.address in line and "conjunction(" not in line]
        expect(not left, "\n".join([f"flows of {web.address} are left:", *left]))
