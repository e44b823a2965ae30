"""Changes of the Adj-RIB-Out as lines of ExaBGP's API. Pure.

The bulk form (`announce attributes ... nlri P1 P2 ...`) is used for one prefix as for hundreds: it is
acknowledged once and is many times as fast as a line for each.
"""

from __future__ import annotations

from bgp.adj_rib_out import Announce, Change, IPAddress
from bgp.peer import Family

SHOW_ADJ_RIB_OUT = "show adj-rib out json"
SHOW_NEIGHBOR = "show neighbor json"
CLEAR_ADJ_RIB_OUT = "clear adj-rib out"


def command(change: Change, local_address: IPAddress) -> str:
    """The line that makes one change. A withdrawal has to name a next hop, which is not looked at."""
    if isinstance(change, Announce):
        attributes = change.attributes
        words = ["announce", "attributes", "next-hop", str(attributes.next_hop)]
        if attributes.med is not None:
            words += ["med", str(attributes.med)]
        if attributes.communities:
            words += ["community", "[", *(f"{asn}:{value}" for asn, value in attributes.communities), "]"]
    else:
        words = ["withdraw", "attributes", "next-hop", str(local_address)]
    return " ".join([*words, "nlri", *map(str, change.prefixes)])


def end_of_rib(family: Family) -> str:
    """The line that sends the End-of-RIB marker of one family (RFC 4724 §2), behind what is queued."""
    return f"announce eor {family}"
