"""A rule of a policy in words: `allow tcp/443 from 10.0.0.0/8 app=web@shop`, and back.

    RULE = allow|deny [log] [TRAFFIC ...] [from|to PEER ...]
    TRAFFIC = tcp/443  udp/5000-5010  sctp  icmp/8  icmp/3/4  icmpv6  47
    PEER = 10.0.0.0/8  192.0.2.7  app=web,tier=front  app=web@shop  @shop  endpoints

Without traffic it is every protocol, without peers anyone. `@shop` is every endpoint of the tenant shop,
`endpoints` every one of the policy's own tenant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

import click

from cli.rest import Json

ACTIONS = ("allow", "deny")
WITH_PORTS = ("tcp", "udp", "sctp")
ICMPS = ("icmp", "icmpv6")
TOWARDS = {"ingress": "from", "egress": "to"}
"""The word that stands before peers."""
EVERY_ENDPOINT = "endpoints"

_TRAFFIC = re.compile(r"(?P<protocol>[a-z0-9]+)(/(?P<first>\d{1,5}))?([-/](?P<second>\d{1,5}))?")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*=[A-Za-z0-9._-]*")


def typed_rule(text: str, direction: str) -> Json:
    """The fields of the API of one option, which is for a direction. Raises `click.BadParameter`."""
    try:
        return parse_rule(text.split(), direction)
    except ValueError as fault:
        raise click.BadParameter(f"{text!r}: {fault}") from None


def parse_rule(words: Sequence[str], direction: str) -> Json:
    """The fields of the API, of a rule for `ingress` or `egress`.

    Raises:
        ValueError: says which word is wrong.
    """
    if not words or words[0] not in ACTIONS:
        raise ValueError("a rule begins with allow or deny")
    rule: Json = {"action": words[0]}
    rest = list(words[1:])
    if rest[:1] == ["log"]:
        rule["log"] = True
        del rest[0]
    at = next((place for place, word in enumerate(rest) if word in TOWARDS.values()), len(rest))
    if at < len(rest) and rest[at] != TOWARDS[direction]:
        raise ValueError(f"{direction} is {TOWARDS[direction]} somebody, not {rest[at]}")
    if at == len(rest) - 1:
        raise ValueError(f"nobody stands behind {rest[at]}; leave it out to mean anyone")
    if ports := [parse_traffic(word) for word in rest[:at]]:
        rule["ports"] = ports
    if peers := [parse_peer(word) for word in rest[at + 1 :]]:
        rule["peers"] = peers
    return rule


def parse_traffic(word: str) -> Json:
    """A protocol, with ports or with the type and code of ICMP. Raises `ValueError`."""
    found = _TRAFFIC.fullmatch(word)
    name = found["protocol"] if found else ""
    if found is None or not (name in (*WITH_PORTS, *ICMPS) or name.isdigit()):
        raise ValueError(
            f"{word!r} is no traffic; expected such as tcp/443, udp/5000-5010, icmp/8 or 47, then from or to"
        )
    first, second = found["first"], found["second"]
    parts: Json = {"protocol": int(name) if name.isdigit() else name}
    if name in ICMPS:
        fields = ("icmp_type", "icmp_code")
    elif name in WITH_PORTS:
        fields = ("port", "end_port")
    elif first is not None:
        raise ValueError(f"{word!r}: protocol {name} has no ports")
    else:
        return parts
    given = ((fields[0], first), (fields[1], second))
    return parts | {field: int(number) for field, number in given if number is not None}


def parse_peer(word: str) -> Json:
    """A range of addresses, or endpoints. Raises `ValueError`."""
    if word == EVERY_ENDPOINT:
        return {"selector": {}}
    labels, at, tenant = word.partition("@")
    if "=" not in labels and not at:
        try:
            return {"cidr": str(_network(word))}
        except ValueError as fault:
            raise ValueError(
                f"{word!r} is no peer ({fault}); expected such as 10.0.0.0/8, app=web, app=web@shop, @shop"
            ) from None
    pairs = labels.split(",") if labels else []
    if (at and not tenant) or not all(_LABEL.fullmatch(pair) for pair in pairs):
        raise ValueError(f"{word!r} is no peer; expected KEY=VALUE,...@TENANT")
    selector = dict(pair.split("=", 1) for pair in pairs)
    if len(selector) < len(pairs):
        raise ValueError(f"{word!r} names a label twice")
    return ({"selector": selector} if selector else {}) | ({"tenant": tenant} if tenant else {})


def _network(word: str) -> IPv4Network | IPv6Network:
    if "%" in word:
        raise ValueError("it carries a zone; leave out what follows the percent sign, and the sign")
    return ip_network(word)


def rule_text(rule: Mapping[str, Any], towards: str) -> str:
    """A rule of the API in words; `towards` is `from` or `to`."""
    words = [rule["action"], *(["log"] if rule.get("log") else [])]
    words += [_traffic_text(each) for each in rule.get("ports") or ()]
    peers = [_peer_text(each) for each in rule.get("peers") or ()]
    return " ".join([*words, *([towards, *peers] if peers else [])])


def _traffic_text(port: Mapping[str, Any]) -> str:
    text = str(port["protocol"])
    for field, mark in (("port", "/"), ("end_port", "-"), ("icmp_type", "/"), ("icmp_code", "/")):
        if port.get(field) is not None:
            text += f"{mark}{port[field]}"
    return text


def _peer_text(peer: Mapping[str, Any]) -> str:
    if peer.get("cidr"):
        return str(peer["cidr"])
    labels = ",".join(f"{key}={value}" for key, value in (peer.get("selector") or {}).items())
    tenant = f"@{peer['tenant']}" if peer.get("tenant") else ""
    return f"{labels}{tenant}" or EVERY_ENDPOINT
