"""Both routers hold the nodes' blocks, each from the right next hop, in BGP and in their kernels."""

from __future__ import annotations

from functools import partial

from lab.demo.cast import Cast
from lab.demo.report import Report, expect
from lab.router import Router
from lab.wait import wait_until

LEARN_S = 10.0


def both_hold_the_blocks(cast: Cast, report: Report) -> None:
    """One prefix per node, straight from that node."""
    report.title("What the routers hold")
    report.note(cast.polder("bgp", "summary").replace("\n", "\n   "))
    blocks = {one.block: one.node for one in cast.containers.values()}
    for name, tor in cast.lab.tors.items():
        for block, node in blocks.items():
            expected = cast.uplink(node, name)
            with report.check(f"{name} has {block} from {node}, next hop {expected}") as measured:
                wait_until(partial(next_hops, tor, block), LEARN_S, block)
                hops = next_hops(tor, block)
                expect(hops == [expected], f"its kernel has {hops}")
                best = next(path for path in tor.bgp_route(block) if path.best)
                expect(best.next_hop == expected, f"BGP's best path is {best}")
                measured.append(f"as_path {' '.join(map(str, best.as_path))}")
        with report.check(f"{name} has no /32: every container is inside its node's block"):
            hosts = [dst for dst in tor.kernel_routes() if dst.startswith("10.64.") and dst.endswith("/32")]
            expect(not hosts, f"it has {hosts}")


def next_hops(tor: Router, prefix: str) -> list[str]:
    """The gateways of a prefix in the router's kernel; empty without a route."""
    route = tor.kernel_routes().get(prefix)
    return [] if route is None else sorted(str(hop.gateway) for hop in route.hops)
