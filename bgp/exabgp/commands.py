"""Changes of the Adj-RIB-Out as lines of ExaBGP's API. Pure.

The bulk form (`announce attributes ... nlri P1 P2 ...`) is used for one prefix as for hundreds: it is
acknowledged once and is many times as fast as a line for each.
"""

from __future__ import annotations

from collections.abc import Iterator

from bgp.adj_rib_out import Announce, Attributes, Change, IPAddress
from bgp.peer import Family

SHOW_ADJ_RIB_IN = "show adj-rib in json"
SHOW_ROUTES = "polder routes"
"""The Adj-RIB-Out; the launcher teaches ExaBGP this command and the next."""
SHOW_FINGERPRINTS = "polder fingerprints"
"""The Adj-RIB-Out in short."""
SHOW_NEIGHBOR = "show neighbor json"
SHOW_QUEUE = "show queue"
"""Answered at once, whatever else is under way; the launcher teaches ExaBGP to."""
CLEAR_ADJ_RIB_OUT = "clear adj-rib out"


def command(change: Change, local_address: IPAddress) -> str:
    """The line that makes one change. A withdrawal has to name a next hop, which is not looked at."""
    if isinstance(change, Announce):
        return announce(change)
    return " ".join(["withdraw", "attributes", "next-hop", str(local_address), *_nlri(change)])


def announce(change: Announce) -> str:
    """The line of an announcement."""
    attributes = change.attributes
    words = ["announce", "attributes", "next-hop", str(attributes.next_hop), *_optional(attributes)]
    return " ".join([*words, *_nlri(change)])


def _nlri(change: Change) -> list[str]:
    return ["nlri", *map(str, change.prefixes)]


def _optional(attributes: Attributes) -> Iterator[str]:
    """The words of the attributes that are there."""
    for name, number in (("med", attributes.med), ("local-preference", attributes.local_pref)):
        if number is not None:
            yield from (name, str(number))
    for name, listed in (
        ("as-path", attributes.as_path),
        ("community", [f"{asn}:{value}" for asn, value in attributes.communities]),
        ("large-community", [":".join(map(str, parts)) for parts in attributes.large_communities]),
    ):
        if listed:
            yield from (name, "[", *map(str, listed), "]")


def end_of_rib(family: Family) -> str:
    """The line that sends the End-of-RIB marker of one family (RFC 4724 §2), behind what is queued."""
    return f"announce eor {family}"
