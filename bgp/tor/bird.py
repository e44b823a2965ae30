"""The configuration of BIRD 2, for `include` in bird.conf.

What a BIRD has once stays in its own file: the router id, the device and the kernel protocols.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from bgp.tor.router import (
    MAXIMUM_PATHS,
    Accepted,
    Group,
    IPNetwork,
    Neighbour,
    Router,
    Terms,
    placeholder,
)

FILTER = """\
filter polder_in_ipv{version} {{
    if {refused} then reject;
    if (65535, 0) ~ bgp_community then bgp_local_pref = 0;
    accept;
}}

"""

TEMPLATE = """\
template bgp {name} {{
{lines}
{channels}
}}

"""

CHANNEL = """\
    ipv{version} {{
        import filter polder_in_ipv{version};
        import limit {maximum} action restart;
{gateway}        export {exports};
    }};"""

PROTOCOL = """\
protocol bgp {name} from {template} {{
    description "polder {neighbour.node}";
    local {neighbour.local_address} as {asn};
    neighbor {neighbour.address} as {neighbour.asn};
}}

"""

MULTIPATH = f"""\
# For several paths at a time, in bird.conf: protocol kernel {{ ... merge paths on limit {MAXIMUM_PATHS}; }}

"""


def render(router: Router) -> str:
    """The text."""
    return "".join(
        [
            *(f"# {note}\n" for note in router.notes),
            MULTIPATH,
            *(
                FILTER.format(version=version, refused=_refused(router.accepts(version)))
                for version in router.families
            ),
            *(part for group in router.groups for part in _group(router, group)),
        ]
    )


def _refused(accepted: Iterable[Accepted]) -> str:
    sets = [f"{each.cidr}{{{each.shortest},{each.longest}}}" for each in accepted]
    # There is no empty set in BIRD's language.
    return f"net !~ [ {', '.join(sets)} ]" if sets else "true"


def _group(router: Router, group: Group) -> Iterator[str]:
    terms, template = group.terms, group.name.lower().replace("-", "_")
    yield TEMPLATE.format(
        name=template,
        lines="\n".join(f"    {line};" for line in _session(terms)),
        channels="\n".join(
            CHANNEL.format(
                version=version,
                maximum=terms.maximum_prefix,
                gateway="        gateway recursive;\n" if terms.for_others else "",
                exports=_exports(terms.exports, version),
            )
            for version in terms.families
        ),
    )
    for neighbour in group.neighbours:
        yield PROTOCOL.format(
            name=_protocol(neighbour), template=template, neighbour=neighbour, asn=router.asn
        )


def _protocol(neighbour: Neighbour) -> str:
    """`polder_10_1_1_1`: a node's name may be longer than BIRD's names."""
    return f"polder_{re.sub('[.:]', '_', str(neighbour.address))}"


def _session(terms: Terms) -> Iterator[str]:
    yield f"hold time {terms.hold_time_s}"
    if terms.keepalive_s:
        yield f"keepalive time {terms.keepalive_s}"
    if terms.secret is not None:
        yield f'password "{placeholder(terms.secret)}"'
    yield "direct" if terms.multihop_ttl is None else f"multihop {terms.multihop_ttl}"
    if terms.gtsm:
        yield "ttl security on"
    if terms.waits:
        yield "passive on"
    if terms.graceful_restart:
        yield "graceful restart aware"


def _exports(exports: Iterable[IPNetwork], version: int) -> str:
    prefixes = [str(each) for each in exports if each.version == version]
    return f"where net ~ [ {', '.join(prefixes)} ]" if prefixes else "none"
