"""Driver of policy rules. The ownership mark is FRA_PROTOCOL.

The kernel tells rules that differ in nothing but the protocol apart, when it adds and when it deletes.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from functools import lru_cache
from socket import AF_INET, AF_INET6

from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL
from pyroute2.netlink.rtnl import RTM_DELRULE, RTM_GETRULE, RTM_NEWRULE
from pyroute2.netlink.rtnl.fibmsg import FR_ACT_TO_TBL, fibmsg

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from agents.kernel.message import attributes, encode, encode_dump
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.requests import Request, lost, outcome, send
from intent.names import PROTOCOL
from intent.routes import Rule

_ABSENT = frozenset({errno.ESRCH, errno.ENOENT})
_PRESENT = frozenset({errno.EEXIST})
_FAMILIES = {4: AF_INET, 6: AF_INET6}
_VERSIONS = {AF_INET: 4, AF_INET6: 6}
_MARK = bytes([PROTOCOL])

_FIB_RULE = struct.Struct("=BBBBBBBBI")
"""struct fib_rule_hdr: family, dst_len, src_len, tos, table, res1, res2, action, flags."""
_U32 = struct.Struct("=I")
_FRA_IIFNAME, _FRA_PRIORITY, _FRA_TABLE, _FRA_PROTOCOL = 3, 6, 15, 21


class RuleDriver:
    """The policy rules of protocol `PROTOCOL`, both families."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        self._netlink = netlink or Netlink()

    def read(self) -> Mapping[Rule, Rule]:
        """Our rules."""
        try:
            bodies = [body for family in _VERSIONS for body in self._netlink.dump(_dump(family))]
        except KernelError as fault:
            raise Unreadable(str(fault)) from fault
        found = (_parse(body) for body in bodies)
        return {rule: rule for rule in found if rule is not None}

    def apply(self, change: Delta[Rule, Rule]) -> Outcome:
        """Add and delete. The kernel tells a rule of ours from a foreign one that is otherwise the same."""
        requests = [Request(f"delete {rule}", _rule(rule, RTM_DELRULE), _ABSENT) for rule in change.delete]
        requests += [
            Request(f"add {rule}", _rule(rule, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL), _PRESENT)
            for rule in change.put
        ]
        try:
            return outcome(requests, send(self._netlink, requests))
        except KernelError as fault:
            return lost(fault)


@lru_cache(maxsize=2)
def _dump(family: int) -> bytes:
    message = fibmsg()
    message["family"] = family
    return encode_dump(message, RTM_GETRULE)


def _rule(rule: Rule, kind: int, flags: int = 0) -> bytes:
    message = fibmsg()
    message["family"], message["action"] = _FAMILIES[rule.version], FR_ACT_TO_TBL
    message["attrs"] = [
        ("FRA_PRIORITY", rule.priority),
        ("FRA_TABLE", rule.table),
        ("FRA_PROTOCOL", PROTOCOL),
    ]
    if rule.iif:
        message["attrs"].append(("FRA_IIFNAME", rule.iif))
    return encode(message, kind, flags)


def _parse(body: bytes) -> Rule | None:
    family, *_ = _FIB_RULE.unpack_from(body)
    found = attributes(body, _FIB_RULE.size)
    if found.get(_FRA_PROTOCOL) != _MARK:
        return None
    return Rule(
        priority=_U32.unpack(found.get(_FRA_PRIORITY, bytes(4)))[0],
        iif=found.get(_FRA_IIFNAME, b"").rstrip(b"\0").decode(errors="replace"),
        table=_U32.unpack(found.get(_FRA_TABLE, bytes(4)))[0],
        version=_VERSIONS[family],
    )
