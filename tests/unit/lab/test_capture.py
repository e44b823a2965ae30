from __future__ import annotations

from ipaddress import ip_address

import pytest

from lab.capture import parse


@pytest.mark.parametrize(
    ("line", "src", "dst"),
    [
        (
            "17.5 IP 10.64.0.1 > 10.3.0.10: ICMP echo request, id 1, seq 1, length 64",
            "10.64.0.1",
            "10.3.0.10",
        ),
        ("17.5 IP 10.1.1.1.51000 > 10.1.1.0.179: Flags [S], seq 1", "10.1.1.1", "10.1.1.0"),
        ("17.5 IP6 fe80::1 > ff02::1: ICMP6, router advertisement", "fe80::1", "ff02::1"),
        ("17.5 IP6 fd00::1.51000 > fd00::2.443: Flags [S]", "fd00::1", "fd00::2"),
        ("17.5 eth0  In  IP 10.0.0.1 > 10.0.0.2: ICMP echo reply", "10.0.0.1", "10.0.0.2"),
    ],
)
def test_addresses_are_read_without_ports(line: str, src: str, dst: str) -> None:
    (packet,) = parse([line])
    assert (packet.time_s, packet.src, packet.dst) == (17.5, ip_address(src), ip_address(dst))


def test_arp_has_no_ip_addresses_and_other_lines_are_no_packets() -> None:
    lines = [
        "17.5 ARP, Request who-has 10.0.0.1 tell 10.0.0.2, length 28",
        "3 packets captured",
        "\tcontinued",
    ]
    (packet,) = parse(lines)
    assert (packet.src, packet.dst) == (None, None)
