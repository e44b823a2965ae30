"""The kinds of router that a configuration can be made for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from bgp.tor import bird, eos, frr, junos, nxos
from bgp.tor.router import Router


class Vendor(StrEnum):
    """What runs on a router."""

    FRR = "frr"
    BIRD = "bird"
    EOS = "eos"
    NXOS = "nxos"
    JUNOS = "junos"


RENDER: Mapping[Vendor, Callable[[Router], str]] = {
    Vendor.FRR: frr.render,
    Vendor.BIRD: bird.render,
    Vendor.EOS: eos.render,
    Vendor.NXOS: nxos.render,
    Vendor.JUNOS: junos.render,
}
"""What makes the text for each."""
