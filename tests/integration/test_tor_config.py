"""Generated router configuration in real routers: they take it, and with it what they should and no more."""

from __future__ import annotations

import re
from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from bgp.advertisement import Advertisement
from bgp.fsm import State
from bgp.peer import Family
from bgp.tor.router import Accepted, Group, Neighbour, Router, placeholder
from bgp.tor.vendors import RENDER, Vendor
from lab.bird import Bird, bird_config
from lab.errors import LabError
from lab.frr import Frr
from lab.wait import wait_until
from tests.support.cable import BOTH_ROUTERS, NODE_ADDRESS, TOR_ADDRESS, UP_S, Cable, report_of, wanted
from tests.support.routers import FULL, TERMS

pytest_plugins = ["tests.support.bgp"]
pytestmark = [pytest.mark.needs("root", "ip", "zebra", "bgpd", "vtysh", "bird", "birdc"), BOTH_ROUTERS]

BOTH_FAMILIES = (Family.IPV4_UNICAST, Family.IPV6_UNICAST)
PASSWORD = "pa55-word"
SECRET = "tor-md5"
ELSEWHERE = "10.9.1.1"
"""The address of another node, behind the one that speaks."""

BLOCK, HOST, DRAINED = "10.64.1.0/26", "10.64.2.7/32", "10.64.3.0/26"
BLOCK6, HOST6 = "fd64::/122", "fd64::1:7/128"
UNWANTED = ("10.64.0.0/16", "10.64.4.0/24", "10.65.0.0/26", "192.0.2.1/32", "0.0.0.0/0")
UNWANTED6 = ("fd64::/64", "fd65::/122", "::/0")
"""Neither a pool that is announced by block, nor a part of it that is larger, nor anything else."""

ROUTER = Router(
    asn=64501,
    groups=(
        Group(
            1,
            replace(TERMS, families=(4, 6), hold_time_s=30, keepalive_s=10, secret=SECRET, gtsm=True),
            (Neighbour(NODE_ADDRESS, 64511, TOR_ADDRESS, "node"),),
        ),
    ),
    accepted=(Accepted(ip_network("10.64.0.0/16"), 26, 32), Accepted(ip_network("fd64::/48"), 122, 128)),
)


def load(cable: Cable, text: str) -> None:
    """Have the router of the lab use this in place of what the lab gave it. Raises when it refuses."""
    match cable.tor:
        case Bird() as bird:
            bird.load(bird_config(bird.asn, bird.router_id, ()) + text)
        case Frr() as frr:
            frr.host.run(*frr.argv("configure terminal"), "-c", f"no router bgp {frr.asn}")
            path = cable.base / "polder.conf"
            path.write_text(text)
            frr.host.run("vtysh", "--vty_socket", str(frr.vty), "-f", str(path))


def awaited(cable: Cable) -> None:
    """Wait until the router lets the node in: FRR leaves a new neighbour in IDLE for some seconds."""
    wait_until(
        lambda: cable.tor.bgp_summary()[str(NODE_ADDRESS)],
        UP_S,
        "the neighbour",
        good=lambda state: state != "Idle",
    )


def text(cable: Cable, router: Router = ROUTER) -> str:
    """The configuration for the router of the lab, with the password in its place."""
    vendor = Vendor.BIRD if isinstance(cable.tor, Bird) else Vendor.FRR
    return RENDER[vendor](router).replace(placeholder(SECRET), PASSWORD)


def test_a_session_comes_up_and_brings_what_the_pools_hold(cable: Cable) -> None:
    cable.add_ipv6()
    load(cable, text(cable))
    awaited(cable)
    speaker = cable.speaker(families=BOTH_FAMILIES, password=PASSWORD, gtsm=True, hold_time_s=30)
    draining = Advertisement(ip_network(DRAINED), communities=((65535, 0),))
    of_ipv6 = wanted(BLOCK6, HOST6, *UNWANTED6, next_hop=ip_address("fd09::1"))
    speaker.replace(wanted(BLOCK, HOST, *UNWANTED) | of_ipv6 | {draining.prefix: draining})
    cable.up(speaker)
    cable.routes_are(BLOCK, HOST, DRAINED)
    cable.routes_are(BLOCK6, HOST6, family=6)
    wait_until(speaker.advertised, UP_S, "all to be announced", good=lambda sent: len(sent) == 13)
    assert cable.tor.bgp_prefixes() & {*UNWANTED} == set()
    assert cable.tor.bgp_prefixes(6) & {*UNWANTED6} == set()
    assert local_pref(cable, DRAINED) == 0
    assert local_pref(cable, BLOCK) in {None, 100}
    if isinstance(cable.tor, Frr):
        # FRR does the same by itself on eBGP sessions, so ask it who did.
        said = cable.tor.vtysh("show route-map POLDER-IN-IPV4").partition("BGP:")[2]
        times = dict(re.findall(r"sequence (\d+) Invoked (\d+)", said))
        assert times.keys() == {"10", "20"}
        assert "0" not in times.values()


def test_an_edge_speaks_for_nodes_elsewhere(cable: Cable) -> None:
    """Their next hops are not on the link, which routers of another AS mind unless they are told not to."""
    [group] = ROUTER.groups
    edge = replace(group, terms=replace(TERMS, for_others=True))
    cable.tor.host.run(
        "ip", "route", "replace", f"{ELSEWHERE}/32", "via", str(NODE_ADDRESS), "proto", "static"
    )
    try:
        load(cable, text(cable, replace(ROUTER, groups=(edge,))) + route_to_elsewhere(cable))
        awaited(cable)
        speaker = cable.speaker()
        speaker.replace(wanted(BLOCK) | wanted(HOST, next_hop=ip_address(ELSEWHERE)))
        cable.up(speaker)
        cable.routes_are(BLOCK, HOST)
        assert [path.next_hop for path in cable.tor.bgp_route(HOST)] == [ELSEWHERE]
    finally:
        cable.tor.host.run("ip", "route", "del", f"{ELSEWHERE}/32")


def route_to_elsewhere(cable: Cable) -> str:
    """The same route for BIRD, which does not ask the kernel."""
    if not isinstance(cable.tor, Bird):
        return ""
    return f"protocol static {{ ipv4; route {ELSEWHERE}/32 via {NODE_ADDRESS}; }}\n"


def test_without_the_password_there_is_no_session(cable: Cable) -> None:
    """So it is not only written down: the router demands it."""
    load(cable, text(cable))
    awaited(cable)
    speaker = cable.speaker(families=BOTH_FAMILIES, gtsm=True)
    report_of(
        speaker, "the connection to fail", lambda report: report.state is State.CONNECT and report.reason
    )
    assert not cable.tor.established(NODE_ADDRESS)


def test_every_line_of_a_large_one_is_taken(cable: Cable) -> None:
    load(cable, text(cable, FULL))
    summary = cable.tor.bgp_summary()
    assert set(summary) == {str(each.address) for group in FULL.groups for each in group.neighbours}


@pytest.mark.parametrize(("word", "other"), [("64511", "64511x"), ("ipv4", "ipx")])
def test_a_broken_one_is_refused(cable: Cable, word: str, other: str) -> None:
    with pytest.raises(LabError):
        load(cable, text(cable).replace(word, other))


def local_pref(cable: Cable, prefix: str) -> int | None:
    if isinstance(cable.tor, Frr):
        [path] = cable.tor.vtysh_json(f"show bgp ipv4 unicast {prefix} json")["paths"]
        return path.get("locPrf")
    assert isinstance(cable.tor, Bird)
    found = re.search(r"BGP.local_pref: (\d+)", cable.tor.birdc(f"show route for {prefix} all"))
    return int(found[1]) if found else None
