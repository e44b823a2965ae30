"""`set`: what becomes of the options that were given."""

from __future__ import annotations

import pytest

from tests.unit.cli.canned import Reply, problem, serving
from tests.unit.cli.conftest import Polder

FORESEEN = {"pool", "node", "peer", "service"}
"""Changes of these are bounded unless `--yes` is given."""


@pytest.mark.parametrize(
    ("arguments", "place", "patch"),
    [
        (["pool", "set", "a", "--cooldown-s", "0"], "/v1/pools/a", {"cooldown_s": 0}),
        (
            ["pool", "set", "a", "--advertise", "host", "--cooldown-s", ""],
            "/v1/pools/a",
            {"advertise": "host", "cooldown_s": None},
        ),
        (["pool", "set", "a", "--advertise", ""], "/v1/pools/a", {"advertise": None}),
        (
            ["node", "set", "n", "--asn", "64512", "--mtu-bytes", "9000", "--router-id", ""],
            "/v1/nodes/n",
            {"asn": 64512, "mtu_bytes": 9000, "router_id": None},
        ),
        (
            ["node", "set", "n", "--label", "a=1", "--no-label", "b", "--label", "c=", "--no-label", "d"],
            "/v1/nodes/n",
            {"labels": {"a": "1", "c": "", "b": None, "d": None}},
        ),
        (
            ["peer", "set", "t", "--address", "192.0.2.1", "--asn", "64501", "--local-address", "192.0.2.2"],
            "/v1/peers/t",
            {"address": "192.0.2.1", "asn": 64501, "local_address": "192.0.2.2"},
        ),
        (
            ["peer", "set", "t", "--local-address", "", "--hold-time-s", "0", "--graceful-restart-s", ""],
            "/v1/peers/t",
            {"local_address": None, "hold_time_s": 0, "graceful_restart_s": None},
        ),
        (
            ["service", "set", "s", "--check", "tcp:53", "--selector", "a=1", "--no-selector", "b"],
            "/v1/services/s",
            {"check": {"kind": "tcp", "port": 53, "path": None}, "selector": {"a": "1", "b": None}},
        ),
        (
            ["service", "set", "s", "--check", "", "--community", ""],
            "/v1/services/s",
            {"check": None, "communities": None},
        ),
        (
            ["policy", "set", "p", "--mode", "", "--ingress", "allow", "--egress", ""],
            "/v1/policies/p",
            {"mode": None, "ingress": [{"action": "allow"}], "egress": None},
        ),
        (["endpoint", "set", "web-1", "--label", "a=b"], "/v1/endpoints/web-1", {"labels": {"a": "b"}}),
        (["endpoint", "set", "web-1", "--no-label", "a"], "/v1/endpoints/web-1", {"labels": {"a": None}}),
        (
            ["endpoint", "set", "web-1", "--egress-rate", "1G", "--egress-burst", "512000k", "--dscp", ""],
            "/v1/endpoints/web-1",
            {"qos": {"egress_rate_kbps": 1_000_000, "egress_burst_kbit": 512_000, "dscp": None}},
        ),
        (
            ["node", "set", "n", "--uplink", "eth0=10G", "--uplink", "eth1=100M"],
            "/v1/nodes/n",
            {"uplinks": [{"ifname": "eth0", "rate_mbps": 10_000}, {"ifname": "eth1", "rate_mbps": 100}]},
        ),
    ],
)
def test_set_sends_only_what_was_given(
    polder: Polder, arguments: list[str], place: str, patch: dict[str, object]
) -> None:
    with serving(Reply(200, {"shown": "afterwards"})) as canned:
        ran = polder("--server", canned.url, *arguments)
    assert (ran.code, ran.out, ran.err) == (0, "shown  afterwards\n", "")
    asked = canned.asked[0]
    bound = "?max_withdraw=10" if arguments[0] in FORESEEN else ""
    assert (asked.method, asked.target, asked.body) == ("PATCH", place + bound, patch)
    assert asked.headers["Content-Type"] == "application/merge-patch+json"


@pytest.mark.parametrize(
    ("noun", "options"),
    [
        ("pool", "--cidr, --advertise, --cooldown-s, "),
        (
            "node",
            "--asn, --router-id, --mtu-bytes, --label, --no-label, --reclaim-after-s, --next-hop, ",
        ),
        ("endpoint", "--label, --no-label, --egress-rate, "),
    ],
)
def test_nothing_to_change_lists_what_can_be(polder: Polder, noun: str, options: str) -> None:
    ran = polder(noun, "set", "a")
    assert (ran.code, ran.out) == (2, "")
    assert f"Error: nothing to change: give {options}" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pool", "set", "", "--cooldown-s", "1"], "is empty"),
        (["pool", "set", "a", "--cooldown-s", "soon"], "'soon' is not a valid integer"),
        (["pool", "set", "a", "--advertise", "all"], "'block', 'host'"),
        (["node", "set", "n", "--asn", ""], "'--asn'"),
        (["service", "set", "s", "--check", "icmp"], "'icmp' is no check; expected tcp:PORT"),
        (["service", "set", "s", "--check", "tcp:80,tries=2"], "is no check"),
        (["service", "set", "s", "--check", "tcp:80/x"], "only http has a path"),
        (["peer", "set", "t", "--address", ""], "'--address': is required and cannot be taken out"),
        (["node", "set", "n", "--no-label", ""], "'' is not a KEY"),
        (["node", "set", "n", "--no-label", "a=b"], "'a=b' is not a KEY"),
        (["endpoint", "set", "e", "--label", "a=1", "--no-label", "a"], "'a' is both given and taken out"),
    ],
)
def test_wrong_arguments_are_refused_unsent(polder: Polder, arguments: list[str], words: str) -> None:
    with serving(Reply(200, {})) as canned:
        ran = polder("--server", canned.url, *arguments)
    assert (ran.code, canned.asked) == (2, [])
    assert words in ran.err


def test_the_choices_are_in_the_help(polder: Polder) -> None:
    assert "--advertise [block|host|summary|none]" in polder("pool", "set", "--help").out


def test_a_refused_change_says_where_to_look(polder: Polder) -> None:
    with serving(problem(404, "No such peer"), problem(409, "Taken")) as canned:
        missing = polder("peer", "set", "t", "--asn", "1", "--server", canned.url)
        taken = polder("peer", "set", "t", "--address", "192.0.2.1", "--server", canned.url)
    assert (missing.code, taken.code) == (3, 4)
    assert missing.err.splitlines()[-1] == "  next: see which there are: polder peer list"
    assert taken.err.splitlines()[-1] == "  next: see what there is: polder peer list"
