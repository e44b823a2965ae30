"""The configuration of Cisco NX-OS."""

from __future__ import annotations

from collections.abc import Iterator

from bgp.tor.prefix_list import keyword, prefix_lists
from bgp.tor.router import (
    MAXIMUM_PATHS,
    RETRY_MIN,
    WARN_PERCENT,
    Group,
    Router,
    Terms,
    placeholder,
)

MAX_HOLD_TIME_S = 3600

SOURCE = "! neighbor {neighbour.address} needs update-source: the interface with {neighbour.local_address}\n"
HEAD = """\
feature bgp
ip community-list standard POLDER-GSHUT seq 10 permit 65535:0
"""

INCOMING = """\
route-map POLDER-IN-IPV{version} permit 10
  match {ip} address prefix-list POLDER-IPV{version}
  match community POLDER-GSHUT
  set local-preference 0
route-map POLDER-IN-IPV{version} permit 20
  match {ip} address prefix-list POLDER-IPV{version}
"""

FAMILY = f"""\
  address-family ipv{{version}} unicast
    maximum-paths {MAXIMUM_PATHS}
    maximum-paths ibgp {MAXIMUM_PATHS}
"""

IN_TEMPLATE = """\
    address-family ipv{version} unicast
      route-map POLDER-IN-IPV{version} in
      prefix-list {name}-OUT-IPV{version} out
      maximum-prefix {maximum} {warn} restart {retry}
"""

NEIGHBOUR = """\
  neighbor {neighbour.address}
    inherit peer {name}
    remote-as {neighbour.asn}
    description polder {neighbour.node}
"""

IN_NEIGHBOUR = "    address-family ipv{version} unicast\n"


def render(router: Router) -> str:
    """The text, for `configure terminal`."""
    return "".join(
        [
            *(f"! {note}\n" for note in router.notes),
            *(SOURCE.format(neighbour=each) for each in router.far),
            HEAD,
            *(_lists(router, version) for version in router.families),
            *(INCOMING.format(version=version, ip=keyword(version)) for version in router.families),
            f"router bgp {router.asn}\n",
            "  bestpath as-path multipath-relax\n  graceful-restart-helper\n",
            *(FAMILY.format(version=version) for version in router.families),
            *(_template(group) for group in router.groups),
            *(_neighbours(group) for group in router.groups),
        ]
    )


def _lists(router: Router, version: int) -> str:
    lists = prefix_lists(router, version)
    return "".join(
        f"{keyword(version)} prefix-list {name} {entry}\n" for name in lists for entry in lists[name]
    )


def _template(group: Group) -> str:
    lines = [f"  template peer {group.name}\n", *(f"    {line}\n" for line in _session(group.terms))]
    lines += [
        IN_TEMPLATE.format(
            name=group.name,
            version=version,
            maximum=group.terms.maximum_prefix,
            warn=WARN_PERCENT,
            retry=RETRY_MIN,
        )
        for version in group.terms.families
    ]
    return "".join(lines)


def _session(terms: Terms) -> Iterator[str]:
    yield f"timers {terms.keepalive_s} {min(terms.hold_time_s, MAX_HOLD_TIME_S)}"
    if terms.secret is not None:
        yield f"password 0 {placeholder(terms.secret)}"
    if terms.gtsm:
        yield "ttl-security hops 1"
    if terms.multihop_ttl is not None:
        yield f"ebgp-multihop {terms.multihop_ttl}"
    elif terms.for_others and not terms.internal:
        yield "disable-connected-check"
    if terms.waits:
        yield "transport connection-mode passive"


def _neighbours(group: Group) -> str:
    families = "".join(IN_NEIGHBOUR.format(version=version) for version in group.terms.families)
    return "".join(NEIGHBOUR.format(neighbour=each, name=group.name) + families for each in group.neighbours)
