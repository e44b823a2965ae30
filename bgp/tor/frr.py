"""The configuration of FRR's bgpd."""

from __future__ import annotations

from collections.abc import Iterator

from bgp.tor.prefix_list import keyword, prefix_lists
from bgp.tor.router import (
    MAXIMUM_PATHS,
    RETRY_MIN,
    WARN_PERCENT,
    Group,
    Neighbour,
    Router,
    placeholder,
)

GSHUT = """\
bgp community-list standard POLDER-GSHUT seq 10 permit 65535:0
!
"""

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

FAMILY = """\
 address-family ipv{version} unicast
  maximum-paths {paths}
  maximum-paths ibgp {paths}
{groups}
 exit-address-family
 !
"""

IN_FAMILY = """\
  neighbor {name} activate
  neighbor {name} route-map POLDER-IN-IPV{version} in
  neighbor {name} prefix-list {name}-OUT-IPV{version} out
  neighbor {name} maximum-prefix {maximum} {warn} restart {retry}"""


def render(router: Router) -> str:
    """The text, for `vtysh -f` or the end of frr.conf."""
    return "".join(
        [
            *(f"! {note}\n" for note in router.notes),
            GSHUT,
            *(_lists(router, version) for version in router.families),
            *(INCOMING.format(version=version, ip=keyword(version)) for version in router.families),
            f"router bgp {router.asn}\n",
            " no bgp default ipv4-unicast\n bgp bestpath as-path multipath-relax\n",
            *(f" neighbor {line}\n" for group in router.groups for line in _group(group)),
            " !\n",
            *(_family(router, version) for version in router.families),
            "exit\n",
        ]
    )


def _lists(router: Router, version: int) -> str:
    lists = prefix_lists(router, version)
    lines = [f"{keyword(version)} prefix-list {name} {entry}\n" for name in lists for entry in lists[name]]
    return "".join([*lines, "!\n"])


def _group(group: Group) -> Iterator[str]:
    terms, name = group.terms, group.name
    yield f"{name} peer-group"
    yield f"{name} timers {terms.keepalive_s} {terms.hold_time_s}"
    if terms.secret is not None:
        yield f"{name} password {placeholder(terms.secret)}"
    if terms.gtsm:
        yield f"{name} ttl-security hops 1"
    if terms.multihop_ttl is not None:
        yield f"{name} ebgp-multihop {terms.multihop_ttl}"
    elif terms.for_others and not terms.internal:
        yield f"{name} disable-connected-check"
    if terms.waits:
        yield f"{name} passive"
    for neighbour in group.neighbours:
        yield from _neighbour(group, neighbour)


def _neighbour(group: Group, neighbour: Neighbour) -> Iterator[str]:
    address = neighbour.address
    yield f"{address} remote-as {neighbour.asn}"
    yield f"{address} peer-group {group.name}"
    yield f"{address} description polder {neighbour.node}"
    if group.terms.multihop_ttl is not None:
        yield f"{address} update-source {neighbour.local_address}"
    if group.terms.graceful_restart:
        yield f"{address} graceful-restart-helper"


def _family(router: Router, version: int) -> str:
    groups = [
        IN_FAMILY.format(
            name=group.name,
            version=version,
            maximum=group.terms.maximum_prefix,
            warn=WARN_PERCENT,
            retry=RETRY_MIN,
        )
        for group in router.groups
        if version in group.terms.families
    ]
    return FAMILY.format(version=version, paths=MAXIMUM_PATHS, groups="\n".join(groups))
