"""A session as ExaBGP's configuration, golden."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from bgp.exabgp.config import asked, ends, keepalive_s, render
from bgp.peer import Family
from tests.unit.bgp.test_peer import GOOD

PLACES = {
    "python": Path("/opt/polder/bin/python"),
    "bridge": Path("/opt/polder/bgp/exabgp/bridge.py"),
    "socket": Path("/run/polder/peers/tor-a/bridge.sock"),
}

GOLDEN = """\
process polder {
    run /opt/polder/bin/python -I -S /opt/polder/bgp/exabgp/bridge.py /run/polder/peers/tor-a/bridge.sock;
    encoder json;
}
neighbor 10.9.0.0 {
    router-id 10.9.0.1;
    local-address 10.9.0.1;
    local-as 64511;
    peer-as 64501;
    hold-time 90;
    manual-eor true;
    group-updates true;
    adj-rib-in false;
    adj-rib-out true;
    capability {
        asn4 enable;
        route-refresh enable;
        graceful-restart 120;
    }
    family {
        ipv4 unicast;
    }
    api {
        processes [ polder ];
        neighbor-changes;
        negotiated;
    }
}
"""


def test_golden() -> None:
    assert render(GOOD, **PLACES) == GOLDEN


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"graceful_restart_s": 0}, ["        graceful-restart disable;"]),
        ({"hold_time_s": 0}, ["    hold-time 0;"]),
        ({"password": "a b;}"}, ["    md5-password YSBiO30=;", "    md5-base64 true;"]),
        ({"gtsm": True}, ["    outgoing-ttl 255;", "    incoming-ttl 255;"]),
        ({"multihop_ttl": 7}, ["    outgoing-ttl 7;"]),
        ({"passive": True}, ["    passive true;", "    listen 179;"]),
        ({"keepalive_s": 10}, ["# keepalive 10"]),
        (
            {"imports": (ip_network("0.0.0.0/0"), ip_network("::/0"))},
            [
                "# import 0.0.0.0/0",
                "    adj-rib-in true;",
                *("        receive {", "            parsed;", "            open;", "            update;"),
                "        }",
            ],
        ),
        ({"families": tuple(Family)}, ["        ipv4 unicast;", "        ipv6 unicast;"]),
        (
            {"peer_address": ip_address("fd09::"), "local_address": ip_address("fd09::1"), "families": ()},
            ["neighbor fd09:: {", "    local-address fd09::1;", "        ipv6 unicast;"],
        ),
    ],
)
def test_what_differs(change: dict[str, Any], lines: list[str]) -> None:
    text = render(replace(GOOD, **change), **PLACES).splitlines()
    assert set(text) - set(GOLDEN.splitlines()) <= set(lines)
    assert set(lines) <= set(text)


@pytest.mark.parametrize("path", ["/run/a b/bridge.sock", "/run/a;b", "/run/{x}", "relative.sock", "/run/\n"])
def test_a_path_that_the_configuration_cannot_hold_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        render(GOOD, **{**PLACES, "socket": Path(path)})


def test_both_ends_are_found_again() -> None:
    assert ends(GOLDEN) == (GOOD.peer_address, GOOD.local_address)
    assert ends("neighbor 10.9.0.0 {\n}\n") is None


def test_the_launcher_finds_how_often_to_send_keepalives() -> None:
    assert keepalive_s(render(replace(GOOD, keepalive_s=10), **PLACES)) == 10
    assert keepalive_s(GOLDEN) is None


def test_the_launcher_finds_what_is_asked_for() -> None:
    prefixes = tuple(map(ip_network, ("0.0.0.0/0", "192.0.2.0/24", "::/0")))
    everything = replace(GOOD, families=tuple(Family), imports=tuple(reversed(prefixes)))
    assert asked(render(everything, **PLACES)) == prefixes
    assert asked(GOLDEN) == ()
