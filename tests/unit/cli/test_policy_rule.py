"""A rule in words is what the API takes, and the other way round."""

from __future__ import annotations

from typing import Any

import pytest

from cli.policy_rule import parse_rule, rule_text

TCP = {"protocol": "tcp"}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("allow", {"action": "allow"}),
        ("deny log", {"action": "deny", "log": True}),
        (
            "allow tcp/80 udp/5000-5010 sctp",
            {
                "action": "allow",
                "ports": [
                    {**TCP, "port": 80},
                    {"protocol": "udp", "port": 5000, "end_port": 5010},
                    {"protocol": "sctp"},
                ],
            },
        ),
        (
            "deny icmp/3/4 icmpv6/128 47",
            {
                "action": "deny",
                "ports": [
                    {"protocol": "icmp", "icmp_type": 3, "icmp_code": 4},
                    {"protocol": "icmpv6", "icmp_type": 128},
                    {"protocol": 47},
                ],
            },
        ),
        (
            "allow from 10.0.0.0/8 app=web,tier=a app=web@shop @shop endpoints",
            {
                "action": "allow",
                "peers": [
                    {"cidr": "10.0.0.0/8"},
                    {"selector": {"app": "web", "tier": "a"}},
                    {"selector": {"app": "web"}, "tenant": "shop"},
                    {"tenant": "shop"},
                    {"selector": {}},
                ],
            },
        ),
    ],
)
def test_a_rule_in_words(text: str, rule: dict[str, Any]) -> None:
    assert parse_rule(text.split(), "ingress") == rule
    assert rule_text(rule, "from") == text


def test_an_address_is_a_range_of_one() -> None:
    assert parse_rule(["deny", "to", "192.0.2.7"], "egress")["peers"] == [{"cidr": "192.0.2.7/32"}]


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ("", "begins with allow or deny"),
        ("tcp/80", "begins with allow or deny"),
        ("allow http", "'http' is no traffic"),
        ("allow tcp/80/", "is no traffic"),
        ("allow 47/1", "protocol 47 has no ports"),
        ("allow 10.0.0.0/8", "is no traffic"),
        ("allow tcp/80 to app=web", "ingress is from somebody, not to"),
        ("allow from", "nobody stands behind from"),
        ("allow from 10.0.0.1/8", "has host bits set"),
        ("allow from fd00::%eth0/64", "is no peer .*zone"),
        ("allow from web", "'web' is no peer"),
        ("allow from app=web@", "is no peer"),
        ("allow from app=web,tier", "is no peer"),
        ("allow from app=a,app=b", "names a label twice"),
    ],
)
def test_words_that_are_no_rule(text: str, about: str) -> None:
    with pytest.raises(ValueError, match=about):
        parse_rule(text.split(), "ingress")
