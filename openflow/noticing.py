"""What somebody else did to our flows, told by the switch at once: its flow monitor. Pure.

The switch is asked for what is removed or changed, over the connection that we change flows by: what we do
ourselves is then told in one short word for each bundle (OpenFlow 1.4.1 §7.3.5.17), what we add not
at all. It tells the cookie of each flow; a flow that lost ours to another is told as changed.
"""

from __future__ import annotations

import struct

from openflow.channel import HEADER, MULTIPART_REPLY
from openflow.cookie import OWNER, OWNER_MASK
from openflow.decoding import BODY_AT
from openflow.errors import SwitchError

FLOW_MONITOR = 16
"""OFPMP_FLOW_MONITOR"""
REMOVED, MODIFIED, PAUSED, RESUMED = 2, 3, 5, 6
_KIND = struct.Struct("!H")
# OpenFlow 1.4.1 §7.3.5.17.2: length and event; then table, reason, timeouts, priority, padding, cookie
_EVENT = struct.Struct("!HH")
_COOKIE = struct.Struct("!16xQ")


def somebody_changed(kind: int, message: bytes) -> bool:
    """Whether a message that nobody asked for tells that somebody else has touched flows of ours.

    Args:
        kind: its type.
        message: all of it, header included.

    Raises:
        SwitchError: it makes no sense.
    """
    if kind != MULTIPART_REPLY:
        return False
    try:
        (part,) = _KIND.unpack_from(message, HEADER.size)
        return part == FLOW_MONITOR and _any_of_ours(message)
    except struct.error as fault:
        raise SwitchError(f"what the switch tells does not decode: {fault}") from fault


def _any_of_ours(message: bytes) -> bool:
    start = BODY_AT
    while start < len(message):
        length, event = _EVENT.unpack_from(message, start)
        if length < _EVENT.size:
            raise SwitchError(f"an event of {length} bytes is none")
        # RESUMED: it had too much to tell, and has left out what came meanwhile
        if event in (MODIFIED, RESUMED):
            return True
        if event == REMOVED:
            (cookie,) = _COOKIE.unpack_from(message, start)
            if cookie & OWNER_MASK == OWNER:
                return True
        start += length
    return False
