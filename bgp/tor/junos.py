"""The configuration of Junos, as `set` commands."""

from __future__ import annotations

from collections.abc import Iterator

from bgp.tor.router import RETRY_MIN, WARN_PERCENT, Accepted, Group, Router, placeholder

IMPORT = "policy-options policy-statement POLDER-IN"

HEAD = (
    "policy-options community POLDER-GSHUT members 65535:0",
    "policy-options policy-statement POLDER-MULTIPATH then load-balance per-packet",
    "routing-options forwarding-table export POLDER-MULTIPATH",
    "routing-options graceful-restart",
)

GTSM_NOTE = """\
# Junos has no GTSM of its own: put the terms of POLDER-GTSM into the input filter of lo0
"""


def render(router: Router) -> str:
    """The text, for `load set terminal`."""
    lines = [
        *HEAD,
        *_import(router),
        *(line for group in router.groups for line in _export(group)),
        *(f"protocols bgp group {group.name} {line}" for group in router.groups for line in _group(group)),
        *_gtsm(router),
    ]
    return "".join(
        [
            *(f"# {note}\n" for note in router.notes),
            f"# The router's own AS number (routing-options autonomous-system) is {router.asn}\n",
            GTSM_NOTE if any(group.terms.gtsm for group in router.groups) else "",
            *(f"set {line}\n" for line in lines),
        ]
    )


def _inet(version: int) -> str:
    return "inet" if version == 4 else "inet6"


def _import(router: Router) -> Iterator[str]:
    # Without accept or reject the terms behind it are looked at too.
    yield f"{IMPORT} term draining from community POLDER-GSHUT"
    yield f"{IMPORT} term draining then local-preference 0"
    # A term each: of several filters in one, only the longest that covers a route is compared.
    for number, each in enumerate(router.accepted, 1):
        term = f"{IMPORT} term pool-{number}"
        yield f"{term} from route-filter {each.cidr} {_lengths(each)}"
        yield f"{term} then accept"
    yield f"{IMPORT} then reject"


def _lengths(accepted: Accepted) -> str:
    return "exact" if accepted.exact else f"prefix-length-range /{accepted.shortest}-/{accepted.longest}"


def _export(group: Group) -> Iterator[str]:
    policy = f"policy-options policy-statement {group.name}-OUT"
    for version in group.terms.families:
        prefixes = [each for each in group.terms.exports if each.version == version]
        for prefix in prefixes:
            yield f"{policy} term ipv{version} from route-filter {prefix} exact"
        if prefixes:
            yield f"{policy} term ipv{version} then accept"
    yield f"{policy} then reject"


def _group(group: Group) -> Iterator[str]:
    terms = group.terms
    yield f"type {'internal' if terms.internal else 'external'}"
    yield "import POLDER-IN"
    yield f"export {group.name}-OUT"
    yield f"hold-time {terms.hold_time_s}"
    yield "multipath" if terms.internal else "multipath multiple-as"
    if terms.secret is not None:
        yield f'authentication-key "{placeholder(terms.secret)}"'
    if terms.gtsm:
        yield "ttl 255"
    if terms.multihop_ttl is not None:
        yield f"multihop ttl {terms.multihop_ttl}"
    elif terms.for_others and not terms.internal:
        yield "accept-remote-nexthop"
    if terms.waits:
        yield "passive"
    for version in terms.families:
        limit = f"family {_inet(version)} unicast prefix-limit"
        yield f"{limit} maximum {terms.maximum_prefix}"
        yield f"{limit} teardown {WARN_PERCENT} idle-timeout {RETRY_MIN}"
    for neighbour in group.neighbours:
        session = f"neighbor {neighbour.address}"
        yield f'{session} description "polder {neighbour.node}"'
        yield f"{session} local-address {neighbour.local_address}"
        if not terms.internal:
            yield f"{session} peer-as {neighbour.asn}"


def _gtsm(router: Router) -> Iterator[str]:
    """What drops packets to BGP that somebody passed on, by the version of the sessions' addresses."""
    for version in (4, 6):
        sources = [
            neighbour.address
            for group in router.groups
            if group.terms.gtsm and group.terms.version == version
            for neighbour in group.neighbours
        ]
        if not sources:
            continue
        term = f"firewall family {_inet(version)} filter POLDER-GTSM term far"
        for source in sources:
            yield f"{term} from source-address {source}/{source.max_prefixlen}"
        protocol, limit = ("protocol", "ttl-except") if version == 4 else ("next-header", "hop-limit-except")
        yield f"{term} from {protocol} tcp"
        yield f"{term} from port bgp"
        yield f"{term} from {limit} 255"
        yield f"{term} then discard"
        yield f"firewall family {_inet(version)} filter POLDER-GTSM term others then accept"
