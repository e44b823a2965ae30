"""A session's configuration as ExaBGP 5 reads it. Pure: equal inputs give equal text.

The text is also the identity of a running process: a process whose configuration is the same text may be
adopted, another one has to be replaced. A reload is never used; ExaBGP can lose one.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path

from bgp.adj_rib_out import IPAddress, IPNetwork
from bgp.peer import PeerConfig

SAFE_PATH = re.compile(r"/[A-Za-z0-9/._+@=-]+")
ENDS = re.compile(r"^neighbor (\S+) \{$.*^ {4}local-address (\S+);$", re.MULTILINE | re.DOTALL)

RECEIVE = """\
        receive {
            parsed;
            open;
            update;
        }
"""
"""Without it ExaBGP does not even read what is in an UPDATE."""

ASKED = re.compile(r"^# import (\S+)$", re.MULTILINE)
KEEPALIVE = re.compile(r"^# keepalive (\d+)$", re.MULTILINE)
GTSM_TTL = 255
BGP_PORT = 179

TEMPLATE = """\
{notes}process polder {{
    run {python} -I -S {bridge} {socket};
    encoder json;
}}
neighbor {peer_address} {{
    router-id {router_id};
    local-address {local_address};
    local-as {local_asn};
    peer-as {peer_asn};
    hold-time {hold_time_s};
{transport}    manual-eor true;
    group-updates true;
    adj-rib-in {receives};
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
{receive}    }}
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
        notes="".join(f"# {line}\n" for line in _notes(peer)),
        receives=str(bool(peer.imports)).lower(),
        receive=RECEIVE if peer.imports else "",
        transport="".join(f"    {line};\n" for line in _transport(peer)),
        families="\n".join(f"        {family};" for family in peer.families),
    )


def asked(text: str) -> tuple[IPNetwork, ...]:
    """The prefixes that are taken from the peer, for which ExaBGP's language has no word."""
    return tuple(ip_network(found) for found in ASKED.findall(text))


def keepalive_s(text: str) -> int | None:
    """The seconds between keepalives, for which ExaBGP's language has no word; None for its own choice."""
    found = KEEPALIVE.search(text)
    return int(found[1]) if found else None


def _notes(peer: PeerConfig) -> Iterator[str]:
    """What ExaBGP's language has no words for, for the launcher."""
    if peer.keepalive_s is not None:
        yield f"keepalive {peer.keepalive_s}"
    for prefix in peer.imports:
        yield f"import {prefix}"


def _transport(peer: PeerConfig) -> Iterator[str]:
    """What concerns TCP and IP."""
    if peer.password is not None:
        # In base64 no password can be misread, whatever characters it has.
        yield f"md5-password {b64encode(peer.password.encode()).decode()}"
        yield "md5-base64 true"
    if peer.gtsm:
        yield f"outgoing-ttl {GTSM_TTL}"
        yield f"incoming-ttl {GTSM_TTL}"
    if peer.multihop_ttl is not None:
        yield f"outgoing-ttl {peer.multihop_ttl}"
    if peer.passive:
        yield "passive true"
        yield f"listen {BGP_PORT}"


def ends(text: str) -> tuple[IPAddress, IPAddress] | None:
    """The peer's and the local address in a configuration that `render` made; None if it was not."""
    found = ENDS.search(text)
    return (ip_address(found[1]), ip_address(found[2])) if found else None
