"""The configuration of Arista EOS."""

from __future__ import annotations

from collections.abc import Iterator

from bgp.tor.prefix_list import keyword, prefix_lists
from bgp.tor.router import (
    MAXIMUM_PATHS,
    RETRY_MIN,
    WARN_PERCENT,
    Group,
    Router,
    placeholder,
)

MAX_HOLD_TIME_S = 7200

SOURCE = "! neighbor {neighbour.address} needs update-source: the interface with {neighbour.local_address}\n"
GSHUT = "ip community-list POLDER-GSHUT permit 65535:0\n!\n"

INCOMING = """\
route-map POLDER-IN-IPV{version} permit 10
   match {ip} address prefix-list POLDER-IPV{version}
   match community POLDER-GSHUT
   set local-preference 0
!
route-map POLDER-IN-IPV{version} permit 20
   match {ip} address prefix-list POLDER-IPV{version}
!
"""

IN_FAMILY = """\
      neighbor {name} activate
      neighbor {name} route-map POLDER-IN-IPV{version} in
      neighbor {name} prefix-list {name}-OUT-IPV{version} out
"""


def render(router: Router) -> str:
    """The text, for `configure terminal` or `configure session`."""
    return "".join(
        [
            *(f"! {note}\n" for note in router.notes),
            *(SOURCE.format(neighbour=each) for each in router.far),
            GSHUT,
            *(_lists(router, version) for version in router.families),
            *(INCOMING.format(version=version, ip=keyword(version)) for version in router.families),
            f"router bgp {router.asn}\n",
            "   no bgp default ipv4-unicast\n   bgp bestpath as-path multipath-relax\n",
            f"   maximum-paths {MAXIMUM_PATHS} ecmp {MAXIMUM_PATHS}\n",
            *(f"   neighbor {line}\n" for group in router.groups for line in _group(group)),
            *(_family(router, version) for version in router.families),
            "!\n",
        ]
    )


def _lists(router: Router, version: int) -> str:
    lists = prefix_lists(router, version)
    return "".join(
        f"{keyword(version)} prefix-list {name}\n" + "".join(f"   {entry}\n" for entry in lists[name]) + "!\n"
        for name in lists
    )


def _group(group: Group) -> Iterator[str]:
    terms, name = group.terms, group.name
    yield f"{name} peer group"
    yield f"{name} timers {terms.keepalive_s} {min(terms.hold_time_s, MAX_HOLD_TIME_S)}"
    if terms.secret is not None:
        yield f"{name} password 0 {placeholder(terms.secret)}"
    if terms.gtsm:
        yield f"{name} ttl maximum-hops 1"
    if terms.multihop_ttl is not None:
        yield f"{name} ebgp-multihop {terms.multihop_ttl}"
    if terms.waits:
        yield f"{name} transport connection-mode passive"
    if terms.graceful_restart:
        yield f"{name} graceful-restart-helper"
    yield f"{name} maximum-routes {terms.maximum_prefix} warning-limit {WARN_PERCENT} percent"
    yield f"{name} idle-restart-timer {RETRY_MIN * 60}"
    for neighbour in group.neighbours:
        yield f"{neighbour.address} peer group {name}"
        yield f"{neighbour.address} remote-as {neighbour.asn}"
        yield f"{neighbour.address} description polder {neighbour.node}"


def _family(router: Router, version: int) -> str:
    lines = [
        IN_FAMILY.format(name=group.name, version=version)
        for group in router.groups
        if version in group.terms.families
    ]
    return "".join(["   !\n", f"   address-family ipv{version}\n", *lines])
