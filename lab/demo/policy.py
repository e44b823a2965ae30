"""A tenant is closed but for what a policy allows: from then on its connections are tracked."""

from __future__ import annotations

from functools import partial
from operator import not_

from lab.demo.cast import TENANT, Cast
from lab.demo.reach import reaches
from lab.demo.report import Report, expect
from lab.topology import METAL_ADDRESS
from lab.wait import wait_until

TOLD_S = 15.0
PORTS = (5201, 5202)
"""What is open of TCP: for transfers (`lab.transfer`)."""


def a_tenant_is_closed(cast: Cast, report: Report) -> None:
    """Its containers may be pinged and asked over TCP; to what is outside they may only answer."""
    report.title("The tenant is closed but for what a policy allows")
    traffic = f"icmp/8 tcp/{PORTS[0]}-{PORTS[-1]}"
    peers = {"--ingress": f"allow {traffic} from endpoints {METAL_ADDRESS}/32"}
    peers["--egress"] = f"allow {traffic} to endpoints"
    cast.polder(
        "policy", "create", "inside", "--tenant", TENANT, *(w for pair in peers.items() for w in pair)
    )
    cast.polder("tenant", "set", TENANT, "--default", "deny")
    one, other = cast.containers["cache-1"], cast.containers["web-2"]
    with report.check(f"{one.name} does not reach metal; metal and {other.name} reach {one.name}"):
        closed = partial(reaches, one.host, METAL_ADDRESS)
        wait_until(closed, TOLD_S, f"{one.name} to be closed", good=not_)
        for sender in (cast.metal, other.host):
            expect(reaches(sender, one.address), f"{one.address} does not answer {sender.name}")
