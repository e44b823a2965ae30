"""Routers that configurations are generated for: the simple case, and everything at once."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

from bgp.tor.router import Accepted, Group, Neighbour, Router, Terms
from bgp.tor.vendors import RENDER

TERMS = Terms(
    version=4,
    internal=False,
    families=(4,),
    hold_time_s=90,
    keepalive_s=30,
    graceful_restart=True,
    secret=None,
    gtsm=False,
    multihop_ttl=None,
    waits=True,
    maximum_prefix=12500,
)
"""What a peer has that says nothing but its address."""


def neighbour(number: int, subnet: str = "10.1.{}.{}") -> Neighbour:
    """Node so-and-so, on a /31 (/127) of its own."""
    return Neighbour(
        ip_address(subnet.format(number, 1)),
        64510 + number,
        ip_address(subnet.format(number, 0)),
        f"node-{number}",
    )


SIMPLE = Router(
    asn=64501,
    groups=(Group(1, TERMS, (neighbour(1), neighbour(2))),),
    accepted=(Accepted(ip_network("10.64.0.0/16"), 26, 32),),
)

FULL = Router(
    asn=64501,
    groups=(
        Group(
            1,
            replace(TERMS, families=(4, 6), secret="tor-md5", gtsm=True, hold_time_s=9, keepalive_s=3),
            (neighbour(1), neighbour(2)),
        ),
        Group(
            2,
            replace(
                TERMS,
                multihop_ttl=4,
                waits=False,
                graceful_restart=False,
                exports=(ip_network("0.0.0.0/0"), ip_network("192.0.2.0/24")),
            ),
            (Neighbour(ip_address("10.5.0.7"), 4200000007, ip_address("10.0.0.1"), "edge-1"),),
        ),
        Group(3, replace(TERMS, for_others=True), (neighbour(9),)),
        Group(
            1,
            replace(TERMS, version=6, internal=True, families=(6,), hold_time_s=0, keepalive_s=0),
            (replace(neighbour(3, "fd01:{}::{}"), asn=64501),),
        ),
    ),
    accepted=(
        Accepted(ip_network("10.64.0.0/16"), 16, 16),
        Accepted(ip_network("10.64.0.0/16"), 26, 32),
        Accepted(ip_network("10.65.0.0/24"), 32, 32),
        Accepted(ip_network("10.66.0.0/26"), 26, 32),
        Accepted(ip_network("fd64::/48"), 122, 128),
    ),
    notes=("node-4: its address is not known (peer tor-a)",),
)

ROUTERS = {"simple": SIMPLE, "full": FULL}

GOLDEN = Path(__file__).parents[1] / "unit" / "bgp" / "golden"
"""What has been looked at by somebody who knows: `NAME.VENDOR`, written anew by this file as a program."""

if __name__ == "__main__":
    for name, router in ROUTERS.items():
        for vendor, render in RENDER.items():
            (GOLDEN / f"{name}.{vendor}").write_text(render(router))
