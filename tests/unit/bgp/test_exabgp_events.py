"""Lines as ExaBGP 5.0.15 wrote them, as values."""

from __future__ import annotations

from datetime import UTC, datetime
from ipaddress import ip_address, ip_network

import pytest

from bgp.adj_rib_out import Attributes
from bgp.exabgp.events import (
    Answer,
    EndOfRib,
    Fingerprint,
    Negotiated,
    Neighbor,
    Opened,
    Received,
    Route,
    Routes,
    Said,
    SessionEvent,
    parse,
    reason,
)
from bgp.exabgp.watchdog import Queue
from bgp.fsm import Heard
from bgp.peer import Family

HEAD = (
    '{ "exabgp": "5.0.0", "time": 1795226683.5, "host" : "vm", "pid" : 10764, "ppid" : 10758, "counter": 3, '
    '"type": "%s", "neighbor": { "address": { "local": "10.9.0.1", "peer": "10.9.0.0" }, '
    '"asn": { "local": 64511, "peer": 64501 }, "router-id": "10.9.0.1" , %s } }'
)
AGREED = (
    '"negotiated": { "message_size": 65535, "hold_time": 90, "asn4": true, "multisession": false, '
    '"operational": false, "refresh": "enhanced", "families": ["ipv4 unicast", "ipv4 flow"], '
    '"nexthop": [], "add_path": {"send": [], "receive": []} } '
)
ROUTE = (
    '{"peer": {"address": "10.9.0.0"}, "route": {"nlri": {"prefix": "10.64.0.0/26", "nexthop": "10.9.0.1", '
    '"family": {"afi": "ipv4", "safi": "unicast"}}, "attributes": %s}}'
)
GROUP = '{%s, "nexthop": "10.9.0.1", "attributes": {"origin": "igp", "med": 7}}'
NEIGHBOR = (
    '[{"state": "%s", "duration": 7, "fsm": "%s", "messages": {"sent": {"open": 1, "update": 4}}, '
    '"families": ["ipv4 unicast"], "local": {"hold": 90}, "peer": {"hold": 30}}]'
)
QUEUE = (
    '{"queue": {"established": true, "waiting": false, "updates_sent": 4, "unacknowledged": 19, '
    '"acknowledged": 700}}'
)
OPEN = '"direction": "receive", "open": { "version": 4, "hold_time": 180, "capabilities": { %s %s } }'
RESTART = (
    '"64": { "name": "graceful restart", "time": 120, "address-family-flags": { %s }, "restart-flags": [ ] }'
)
UPDATE = '"direction": "receive", "message": { %s }'
ANNOUNCE = '"update": { "announce": { "ipv4 unicast": { "10.9.0.0": [ { "nlri": "0.0.0.0/0" } ] } } }'
END = '"eor": { "afi" : "%s", "safi" : "unicast" }'
AT = datetime.fromtimestamp(1795226683.5, UTC)
PREFIX, HOP = ip_network("10.64.0.0/26"), ip_address("10.9.0.1")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("done", Answer(ok=True)),
        ("error", Answer(ok=False)),
        (HEAD % ("state", '"state": "connected"'), SessionEvent(Heard.CONNECTED, AT)),
        (HEAD % ("state", '"state": "up"'), SessionEvent(Heard.UP, AT)),
        (
            HEAD % ("state", '"state": "down", "reason": "notification received (6,2)"'),
            SessionEvent(
                Heard.DOWN,
                AT,
                "peer sent NOTIFICATION: Cease, Administrative Shutdown (6/2)",
                notified=True,
            ),
        ),
        (HEAD % ("open", OPEN % ('"128": { }', "")), Opened()),
        (HEAD % ("open", OPEN % (RESTART % "", "")), Opened(120)),
        (
            HEAD % ("open", OPEN % (RESTART % '"ipv4/unicast": [ "restart" ] , "ipv6/unicast": [ ] ', "")),
            Opened(120, frozenset(Family), frozenset({Family.IPV4_UNICAST})),
        ),
        (HEAD % ("update", UPDATE % ANNOUNCE), Received()),
        (HEAD % ("update", UPDATE % '"update": { "withdraw": { "ipv6 unicast": [ ] } }'), Received()),
        (HEAD % ("update", UPDATE % END % "ipv6"), EndOfRib(Family.IPV6_UNICAST)),
        (HEAD % ("negotiated", AGREED), Negotiated(frozenset({Family.IPV4_UNICAST}), 90)),
        (ROUTE % "{}", Route(PREFIX, Attributes(HOP))),
        (
            ROUTE % '{"med": 100, "community": ["no-export", "64511:1"]}',
            Route(PREFIX, Attributes(HOP, ((64511, 1), (65535, 65281)), 100)),
        ),
        (QUEUE, Queue(established=True, waiting=False, updates_sent=4, unacknowledged=19, acknowledged=700)),
        (
            GROUP % '"routes": ["10.64.0.0/26", "10.64.1.7/32"]',
            Routes(Attributes(HOP, med=7), (PREFIX, ip_network("10.64.1.7/32"))),
        ),
        (GROUP % '"fingerprint": "1f"', Fingerprint(Attributes(HOP, med=7), "1f")),
        (
            '{"routes": ["fd64::/64"], "nexthop": "fd09::1", "attributes": {}}',
            Routes(Attributes(ip_address("fd09::1")), (ip_network("fd64::/64"),)),
        ),
        (
            NEIGHBOR % ("up", "ESTABLISHED"),
            Neighbor(True, 7, 4, agreed=Negotiated(frozenset({Family.IPV4_UNICAST}), 30)),
        ),
        (NEIGHBOR % ("down", "IDLE"), Neighbor(established=False, duration_s=7, updates_sent=4)),
    ],
)
def test_what_a_line_says(line: str, said: Said) -> None:
    assert parse(line) == said


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Done",
        "shutdown in progress",
        "{",
        "[]",
        "[1]",
        '{"route": 7}',
        '{"type": "state"}',
        HEAD % ("fsm", '"state": "ACTIVE"'),
        HEAD % ("state", '"state": "sideways"'),
        HEAD % ("update", UPDATE % END % "l2vpn"),
        '{ "exabgp": "5.0.0", "type": "notification", "notification": "shutdown" }',
    ],
)
def test_what_is_not_ours_to_know(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("notification sent (4,0)", "sent NOTIFICATION: Hold Timer Expired (4/0)"),
        ("notification received (2,2)", "peer sent NOTIFICATION: OPEN Message Error, Bad Peer AS (2/2)"),
        ("closing connection", "TCP connection lost or not answered"),
        ("something new", "something new"),
    ],
)
def test_reasons(text: str, words: str) -> None:
    assert reason(text) == words
