"""What a router accepted from a node, compared with what the node has announced to it.

A difference names the prefix and its likely cause. It is one of a moment: an announcement takes its time to
the router, and back by way of what is compared. Who asks has to see it last.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from store.model import DifferenceKind, IPNetwork, Session

Differences = Mapping[tuple[DifferenceKind, IPNetwork], str]
"""The likely cause of each difference."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a router says of its end of a session.

    Args:
        up: whether it has the session at all; `reason` is why not.
        prefixes: what it accepted (Adj-RIB-In, post-policy).
        received: what came before its policy, as far as it tells; it need not.
    """

    prefixes: Set[IPNetwork]
    received: Set[IPNetwork] = frozenset()
    up: bool = True
    reason: str = ""


UNEXPECTED = "another program speaks from the node's address, or the router kept it though it was withdrawn"
REFUSED = "the router's inbound policy refuses it"
UNTOLD = "the router's inbound policy refuses it, or the router has no route to its next hop"


def differences(session: Session, announced: Set[IPNetwork], accepted: Accepted) -> Differences:
    """Where the two ends of an established session differ.

    Args:
        session: the node's end.
        announced: what the node has announced to that peer, as its speaker read it back.
        accepted: the router's end.
    """
    takes_hosts = {version: _takes_hosts(version, accepted.prefixes) for version in (4, 6)}
    found: dict[tuple[DifferenceKind, IPNetwork], str] = {}
    for prefix in announced - accepted.prefixes:
        cause = REFUSED if prefix in accepted.received else UNTOLD
        if not accepted.up:
            cause = f"the router has no session with {session.local_address}: {accepted.reason}"
        elif _is_host(prefix) and not takes_hosts[prefix.version]:
            cause = f"the router's inbound policy takes no /{prefix.prefixlen}"
        found[DifferenceKind.MISSING, prefix] = cause
    for prefix in accepted.prefixes - announced:
        found[DifferenceKind.UNEXPECTED, prefix] = UNEXPECTED
    return found


def _takes_hosts(version: int, prefixes: Set[IPNetwork]) -> bool:
    """False when it takes prefixes of that IP version, and all of them are shorter than an address."""
    hosts = [_is_host(prefix) for prefix in prefixes if prefix.version == version]
    return any(hosts) or not hosts


def _is_host(prefix: IPNetwork) -> bool:
    return prefix.prefixlen == prefix.max_prefixlen
