"""An endpoint as its node holds it: the stored value together with the switch port it is plugged into."""

from __future__ import annotations

from dataclasses import dataclass

from store.model import Endpoint


@dataclass(frozen=True, slots=True)
class Held:
    """An endpoint with its OpenFlow port number (`ofport`, 1 to 0xfeff) on this node's bridge."""

    endpoint: Endpoint
    ofport: int
