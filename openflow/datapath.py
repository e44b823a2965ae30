"""Which datapath a bridge can have: the kernel's when it is there, else the one inside ovs-vswitchd.

The kernel is asked for the generic netlink family of Open vSwitch. That tells the truth for a module and for
what is built in. Asked by root, the kernel loads a module that is installed and not loaded yet.
"""

from __future__ import annotations

import socket
import struct
from functools import cache

SYSTEM = "system"
NETDEV = "netdev"

NETLINK_GENERIC = 16
GENL_ID_CTRL = 0x10
CTRL_CMD_GETFAMILY = 3
CTRL_ATTR_FAMILY_NAME = 2
NLM_F_REQUEST = 1
NLMSG_ERROR = 2
FAMILY = b"ovs_datapath\0"
ANSWER_TIMEOUT_S = 10.0  # loading a module takes its time


@cache
def available() -> str:
    """`system` when this kernel has Open vSwitch's datapath, else `netdev`; asked once.

    Blocking while a module loads.
    """
    return SYSTEM if _family_exists() else NETDEV


def _family_exists() -> bool:
    attribute = struct.pack("=HH", 4 + len(FAMILY), CTRL_ATTR_FAMILY_NAME) + FAMILY
    attribute += bytes(-len(attribute) % 4)
    request = struct.pack("=BBH", CTRL_CMD_GETFAMILY, 1, 0) + attribute
    header = struct.pack("=IHHII", 16 + len(request), GENL_ID_CTRL, NLM_F_REQUEST, 1, 0)
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as netlink:
            netlink.settimeout(ANSWER_TIMEOUT_S)
            netlink.send(header + request)
            answer = netlink.recv(65536)
    except OSError:
        return False
    (kind,) = struct.unpack_from("=H", answer, 4)
    return bool(kind != NLMSG_ERROR)
