"""What is changed inside ExaBGP's process, where it has no setting for it.

ExaBGP copies each route whole, deeply, before it takes it into the Adj-RIB-Out, and again to withdraw it,
and writes it out for a log line that nobody asked for: two thirds of the time of a burst, and most of the
memory. What may be written to is the NLRI alone; the attributes of one command are one object for all of its
prefixes.
"""

from __future__ import annotations

from copy import copy
from typing import Any


def share_attributes() -> None:
    """Have the prefixes of one command share their attributes: where a copy must be, it is of the NLRI."""
    from exabgp.bgp.neighbor import Neighbor
    from exabgp.rib import outgoing
    from exabgp.rib.change import Change

    # It replaces "next-hop self", which no command of ours says.
    Neighbor.remove_self = lambda _neighbor, change: change
    outgoing.deepcopy = _with_nlri_of_its_own
    Change.extensive = lambda change: change.nlri.prefix()


def _with_nlri_of_its_own(change: Any) -> Any:
    made = copy(change)
    made.nlri = copy(change.nlri)
    return made
