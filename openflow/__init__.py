"""Open vSwitch: its flows by OpenFlow, its bridges and ports by OVSDB.

os-ken's parsers import all of its library of packets, 70 modules and 9 MB, which they use for packet-in only.
We get none, so that library is left out of the process: its modules are found one by one, not all at once.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from types import ModuleType

PACKETS = "os_ken.lib.packet"


def _leave_out_packets() -> None:
    os_ken = find_spec("os_ken")
    if PACKETS in sys.modules or os_ken is None or os_ken.submodule_search_locations is None:
        return
    found = ModuleType(PACKETS)
    found.__path__ = [f"{place}/lib/packet" for place in os_ken.submodule_search_locations]
    found.__dict__["packet"] = None
    sys.modules[PACKETS] = found


_leave_out_packets()
