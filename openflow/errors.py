"""What can go wrong between Polder and Open vSwitch, in words that say what the caller should do.

Every exception of os-ken, of the OVSDB library and of their sockets is translated to one of these.
"""

from __future__ import annotations


class SwitchError(Exception):
    """Base of all errors of the OpenFlow connection."""


class Disconnected(SwitchError):
    """The switch is not connected, or was lost on the way. Wait for `on_connect`, dump, then apply again:
    a change under way may or may not have been made."""


class Refused(SwitchError):
    """The switch refuses a change; nothing of its bundle was made. The same change will fail again."""


class BridgeError(Exception):
    """Base of all errors of OVSDB."""


class BridgeUnavailable(BridgeError):
    """ovsdb-server, or ovs-vswitchd behind it, did not answer in time. Try again: calls are idempotent."""


class BridgeRejected(BridgeError):
    """Open vSwitch refuses what was asked for, such as a port whose link does not exist. It stays refused."""


class PortTaken(BridgeRejected):
    """A port of this name is somebody else's."""
