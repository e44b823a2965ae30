"""A session's configuration as ExaBGP 5 reads it. Pure: equal inputs give equal text.

The text is also the identity of a running process: a process whose configuration is the same text may be
adopted, another one has to be replaced. A reload is never used; ExaBGP can lose one.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path

from bgp.adj_rib_out import IPAddress
from bgp.peer import PeerConfig

SAFE_PATH = re.compile(r"/[A-Za-z0-9/._+@=-]+")
ENDS = re.compile(r"^neighbor (\S+) \{$.*^ {4}local-address (\S+);$", re.MULTILINE | re.DOTALL)

TEMPLATE = """\
process polder {{
    run {python} -I -S {bridge} {socket};
    encoder json;
}}
neighbor {peer_address} {{
    router-id {router_id};
    local-address {local_address};
    local-as {local_asn};
    peer-as {peer_asn};
    hold-time {hold_time_s};
    manual-eor true;
    group-updates true;
    adj-rib-in false;
    adj-rib-out true;
    capability {{
        asn4 enable;
        route-refresh enable;
        graceful-restart {graceful_restart};
    }}
    family {{
{families}
    }}
    api {{
        processes [ polder ];
        neighbor-changes;
        negotiated;
    }}
}}
"""


def render(peer: PeerConfig, *, python: Path, bridge: Path, socket: Path) -> str:
    """The configuration of the ExaBGP process of one peer.

    Args:
        peer: the session.
        python: the interpreter that runs the bridge.
        bridge: the bridge's program file.
        socket: where the bridge listens.

    Raises:
        ValueError: a path has characters that ExaBGP's configuration would misread.
    """
    for path in (python, bridge, socket):
        if not SAFE_PATH.fullmatch(str(path)):
            raise ValueError(f"path {str(path)!r} has characters that an ExaBGP configuration cannot hold")
    return TEMPLATE.format(
        python=python,
        bridge=bridge,
        socket=socket,
        peer_address=peer.peer_address,
        router_id=peer.router_id,
        local_address=peer.local_address,
        local_asn=peer.local_asn,
        peer_asn=peer.peer_asn,
        hold_time_s=peer.hold_time_s,
        graceful_restart=peer.graceful_restart_s or "disable",
        families="\n".join(f"        {family};" for family in peer.families),
    )


def ends(text: str) -> tuple[IPAddress, IPAddress] | None:
    """The peer's and the local address in a configuration that `render` made; None if it was not."""
    found = ENDS.search(text)
    return (ip_address(found[1]), ip_address(found[2])) if found else None
