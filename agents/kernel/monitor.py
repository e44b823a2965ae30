"""Hears from the kernel when somebody else changed what is ours.

Notifications only say where to look: the agent reads again and repairs. So what this program changed
itself is left out (the kernel names the socket that asked), and messages are told apart by a few bytes,
so that a router daemon's thousand routes cost next to nothing.
"""

from __future__ import annotations

import errno
import os
import selectors
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from pyroute2.netlink import rtnl
from pyroute2.netlink.rtnl.ifinfmsg import IFF_RUNNING

from agents.kernel import own, share_messages
from agents.kernel.interface import Interface, all_interfaces, parse_interface
from agents.kernel.links import PREFIX
from agents.kernel.message import Message, attributes, messages
from agents.kernel.netlink import BUFFER_BYTES, KernelError, Netlink, open_socket
from intent.names import BRIDGE, PROTOCOL

_GROUPS = (
    rtnl.RTNLGRP_LINK,
    rtnl.RTNLGRP_NEIGH,
    rtnl.RTNLGRP_IPV4_ROUTE,
    rtnl.RTNLGRP_IPV4_RULE,
    rtnl.RTNLGRP_IPV6_ROUTE,
    rtnl.RTNLGRP_IPV6_RULE,
    rtnl.RTNLGRP_TC,
)
_RECEIVE_BYTES = 4 << 20

_RTM_PROTOCOL_AT = 5
"""rtm_protocol in struct rtmsg."""
_HEADER_BYTES = 12
"""struct ndmsg, and struct fib_rule_hdr as well."""
_NDA_PROTOCOL, _FRA_PROTOCOL = 12, 21


class Changed(StrEnum):
    """What changed, and so what is worth reading again."""

    LINK = "link"
    ROUTE = "route"
    RULE = "rule"
    NEIGHBOUR = "neighbour"
    SHARE = "share"
    RESYNC = "resync"
    """Notifications were lost: anything may have changed."""


class Monitor:
    """A thread that calls `on_change` when another program, or the kernel itself, changed what is ours.

    Ours are routes, rules and neighbours of our protocol, the links `pl...`, the bridge's port, the shares of
    uplinks; and that any interface of the host begins or ceases to work, or the MTU of an uplink changes.
    Watches the namespace of the thread that makes it.

    Args:
        on_change: called from this thread; several changes that came together are one call for each kind.
        protocol: the number that marks ours.
        awaited: whether somebody waits for a link of this name to be made.
        is_uplink: whether the MTU of a foreign link of this name matters.
        awaits_shares: whether an interface of this name would be shared out if it had no foreign discipline.
    """

    def __init__(
        self,
        on_change: Callable[[Changed], None],
        protocol: int = PROTOCOL,
        awaited: Callable[[str], bool] = lambda _: False,
        is_uplink: Callable[[str], bool] = lambda _: False,
        awaits_shares: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._on_change = on_change
        self._protocol = protocol
        self._awaited = awaited
        self._is_uplink = is_uplink
        self._awaits_shares = awaits_shares
        self._socket = open_socket(_GROUPS, receive_bytes=_RECEIVE_BYTES)
        self._socket.setblocking(False)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._states: dict[int, _State] = {}
        with Netlink() as netlink:
            for interface in all_interfaces(netlink):
                self._states[interface.index] = _State.of(interface)
        self._thread = threading.Thread(target=self._run, name="kernel-monitor", daemon=True)
        self._closed = False

    def mtus(self) -> dict[str, int]:
        """The MTU of each interface that is not ours, by name, in bytes; from any thread."""
        return {each.name: each.mtu_bytes for each in list(self._states.values()) if each.settings is None}

    def start(self) -> None:
        """Begin to call `on_change`, with what happened since this object was made first."""
        self._thread.start()

    def close(self) -> None:
        """End the thread; no call is made afterwards. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._thread.ident is not None:
            os.eventfd_write(self._wake, 1)
            self._thread.join()
        os.close(self._wake)
        self._socket.close()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not any(key.fd == self._wake for key, _ in selector.select()):
                for changed in dict.fromkeys(self._receive()):
                    self._on_change(changed)

    def _receive(self) -> Iterable[Changed]:
        """What the notifications that wait now say, in order."""
        while True:
            try:
                datagram = self._socket.recv(BUFFER_BYTES)
            except BlockingIOError:
                return
            except OSError as fault:
                if fault.errno != errno.ENOBUFS:
                    raise KernelError(fault.errno or errno.EIO, f"netlink: {fault.strerror}") from fault
                yield Changed.RESYNC
                continue
            told = list(messages(datagram))
            for message in told:
                if (changed := self._meaning(message, alone=len(told) == 1)) is not None:
                    yield changed

    def _meaning(self, message: Message, *, alone: bool) -> Changed | None:
        match message.type:
            case rtnl.RTM_NEWLINK | rtnl.RTM_DELLINK:
                return self._link(message)
            case rtnl.RTM_NEWROUTE | rtnl.RTM_DELROUTE:
                changed, marked = Changed.ROUTE, message.body[_RTM_PROTOCOL_AT] == self._protocol
            case rtnl.RTM_NEWRULE | rtnl.RTM_DELRULE:
                changed, marked = Changed.RULE, self._carries(message, _FRA_PROTOCOL)
            case rtnl.RTM_NEWNEIGH:
                # A neighbour that is deleted is told as failed first. What goes with its interface is told
                # as deleted only, in the name of nobody; the interface tells it as well.
                changed, marked = Changed.NEIGHBOUR, self._carries(message, _NDA_PROTOCOL)
            case kind if kind in share_messages.CHANGES:
                changed, marked = Changed.SHARE, self._touches_shares(message, alone)
            case _:
                return None
        return changed if marked and not own.is_own(message.port) else None

    def _carries(self, message: Message, attribute: int) -> bool:
        return attributes(message.body, _HEADER_BYTES).get(attribute) == bytes([self._protocol])

    def _touches_shares(self, message: Message, alone: bool) -> bool:
        if share_messages.is_inside(message.type, message.body):
            return True
        # A discipline that is replaced is told as deleted together with the one that takes its place.
        index = share_messages.root_of(message.body) if alone else None
        if message.type != share_messages.DELETE_DISCIPLINE or index not in self._states:
            return False
        return self._awaits_shares(self._states[index].name)

    def _link(self, message: Message) -> Changed | None:
        if message.body[0] != 0:  # an address family's view of the interface, not the interface
            return None
        interface = parse_interface(message.body)
        before = self._states.pop(interface.index, None)
        leaving = own.is_leaving(interface.index)
        if message.type == rtnl.RTM_DELLINK:
            own.left(interface.index)
            return Changed.LINK if before is not None and not leaving else None
        after = self._states[interface.index] = _State.of(interface)
        if before is None and self._awaited(after.name):
            return Changed.LINK
        if before is not None and not self._is_uplink(after.name):
            before = replace(before, mtu_bytes=after.mtu_bytes)
        return Changed.LINK if _matters(before, after) and not leaving else None


@dataclass(frozen=True, slots=True)
class _State:
    """What matters of an interface: of foreign ones their name, whether they work, and uplinks' MTU.

    Of ours also whether they are up: one that nobody answers at has not worked before it goes down.
    """

    name: str
    up: bool
    works: bool
    settings: tuple[str, int] | None
    mtu_bytes: int

    @staticmethod
    def of(interface: Interface) -> _State:
        works = bool(interface.is_up and interface.flags & IFF_RUNNING)
        ours = interface.name == BRIDGE or interface.name.startswith(PREFIX)
        settings = (interface.mac, interface.mtu_bytes) if ours else None
        return _State(interface.name, interface.is_up or not ours, works, settings, interface.mtu_bytes)


def _matters(before: _State | None, after: _State) -> bool:
    if before is None:
        before = replace(after, works=False)
    if after.name.startswith(PREFIX):
        # That it comes up is this program's own doing, which the kernel reports without the socket's name.
        before = replace(before, up=before.up or after.up, works=before.works or after.works)
    return before != after
