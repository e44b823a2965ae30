"""Changes as lines of ExaBGP's API, golden."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from bgp.adj_rib_out import Announce, Attributes, Change, Withdraw
from bgp.exabgp.commands import command, end_of_rib
from bgp.peer import Family

SELF = ip_address("10.9.0.1")
A, B = ip_network("10.64.0.0/26"), ip_network("10.64.1.7/32")
SIX = ip_network("fd64::/64")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            Announce(Attributes(SELF), (A, B)),
            "announce attributes next-hop 10.9.0.1 nlri 10.64.0.0/26 10.64.1.7/32",
        ),
        (
            Announce(Attributes(SELF, ((64511, 1), (65535, 666)), 0), (A,)),
            "announce attributes next-hop 10.9.0.1 med 0 community [ 64511:1 65535:666 ] nlri 10.64.0.0/26",
        ),
        (
            Announce(Attributes(ip_address("fd09::1")), (SIX,)),
            "announce attributes next-hop fd09::1 nlri fd64::/64",
        ),
        (
            Announce(Attributes(SELF, (), None, ((1, 2, 3),), 9, (1, 1)), (A,)),
            (
                "announce attributes next-hop 10.9.0.1 local-preference 9 as-path [ 1 1 ] "
                "large-community [ 1:2:3 ] nlri 10.64.0.0/26"
            ),
        ),
        (Withdraw((A, B)), "withdraw attributes next-hop 10.9.0.1 nlri 10.64.0.0/26 10.64.1.7/32"),
    ],
)
def test_lines(change: Change, line: str) -> None:
    assert command(change, SELF) == line


def test_end_of_rib() -> None:
    assert [end_of_rib(family) for family in Family] == [
        "announce eor ipv4 unicast",
        "announce eor ipv6 unicast",
    ]
