"""What a policy may say, and what is refused with the field that it is about."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from store.model import PeerMatch, Policy, PortMatch, Rule

ALLOW = {"action": "allow"}
MANY_PORTS = [{"protocol": "tcp", "port": port} for port in range(1, 33)]


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ({"protocol": "tcp"}, (6, None, None)),
        ({"protocol": 6, "port": 443}, (6, 443, 443)),
        ({"protocol": "udp", "port": 5000, "end_port": 5009}, (17, 5000, 5009)),
        ({"protocol": 47}, (47, None, None)),
        ({"protocol": "icmpv6", "icmp_type": 128}, (58, None, None)),
    ],
)
def test_ports(given: dict[str, Any], means: tuple[int, int | None, int | None]) -> None:
    made = PortMatch.model_validate(given)
    assert (made.number, made.port, made.last_port) == means


def test_a_protocol_is_written_in_one_way() -> None:
    assert PortMatch(protocol=6) == PortMatch(protocol="tcp")


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({"protocol": "http"}, "expected icmp, tcp"),
        ({"protocol": True}, "expected icmp, tcp"),
        ({"protocol": 256}, "expected icmp, tcp"),
        ({"protocol": "icmp", "port": 80}, "port is for tcp"),
        ({"protocol": 47, "end_port": 80}, "end_port is for tcp"),
        ({"protocol": "tcp", "icmp_type": 8}, "icmp_type is for icmp"),
        ({"protocol": "tcp", "end_port": 80}, "end_port needs port"),
        ({"protocol": "tcp", "port": 90, "end_port": 80}, "end_port is at least port"),
        ({"protocol": "icmp", "icmp_code": 1}, "icmp_code needs icmp_type"),
    ],
)
def test_ports_that_mean_nothing(given: dict[str, Any], about: str) -> None:
    with pytest.raises(ValidationError, match=about):
        PortMatch.model_validate(given)


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({}, "is required"),
        ({"cidr": "10.0.0.0/8", "selector": {}}, "cidr stands alone"),
        ({"cidr": "10.0.0.0/8", "tenant": "shop"}, "cidr stands alone"),
        ({"cidr": "10.0.0.1/8"}, "host bits"),
        ({"cidr": "fd00:f::%x\n/64"}, "zone"),
    ],
)
def test_peers_that_mean_nothing(given: dict[str, Any], about: str) -> None:
    with pytest.raises(ValidationError, match=about):
        PeerMatch.model_validate(given)


def test_all_endpoints_are_a_peer() -> None:
    assert PeerMatch(selector={}).selector == {}


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({"peers": [{"cidr": "fd00::/8"}], "ports": [{"protocol": "icmp"}]}, "give icmpv6"),
        ({"peers": [{"cidr": "10.0.0.0/8"}], "ports": [{"protocol": 58}]}, "give icmp,"),
        ({"ports": [{"protocol": "tcp"}, {"protocol": 6}]}, "ports names something twice"),
        ({"peers": [{"tenant": "a"}, {"tenant": "a"}]}, "peers names something twice"),
    ],
)
def test_rules_that_mean_nothing(given: dict[str, Any], about: str) -> None:
    with pytest.raises(ValidationError, match=about):
        Rule.model_validate(ALLOW | given)


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({}, "ingress or egress needs a rule"),
        ({"tenant": "shop", "order": 99, "ingress": [ALLOW]}, "order of a tenant's policy is 100 to 900"),
        ({"tenant": "shop", "order": 901, "ingress": [ALLOW]}, "order of a tenant's policy is 100 to 900"),
        ({"order": 1001, "ingress": [ALLOW]}, "less than or equal to 1000"),
        ({"ingress": [ALLOW | {"name": "a"}, ALLOW | {"name": "a"}]}, "ingress has two rules of one name"),
        ({"ingress": [ALLOW] * 101}, "at most 100"),
        ({"egress": [ALLOW | {"ports": MANY_PORTS}] * 33}, "ingress and egress have at most 1024 ports"),
    ],
)
def test_policies_that_mean_nothing(given: dict[str, Any], about: str) -> None:
    with pytest.raises(ValidationError, match=about):
        Policy.model_validate({"name": "web"} | given)
