"""Driver of the shares of a node's uplinks. The ownership mark is the handle of the queueing discipline.

An uplink has one root discipline. Ours is made where there is none but the kernel's default; one that
somebody else made is left alone, and it is said that nothing is shared there. All inside of ours is ours.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from agents.kernel import share_messages as messages
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.requests import NO_INDEX, Names, Request, lost, outcome, send, worst
from intent.shares import Class, ClassKey, Discipline, Filter, FilterKey, Share, ShareKey


class ShareDriver:
    """A `Driver` over queueing disciplines, classes and filters."""

    def __init__(self, netlink: Netlink | None = None) -> None:
        self._netlink = netlink or Netlink()
        self.refused: dict[str, str] = {}
        """Why no discipline could be made on an interface, by name, as of the last time that it was tried."""

    def read(self) -> Mapping[ShareKey, Share]:
        """Our disciplines, and what is in them."""
        names = Names(self._netlink)
        found: dict[ShareKey, Share] = {}
        try:
            for index in self._ours():
                ifname = names.name(index)
                made: list[Share | None] = [Discipline(ifname)]
                made += [messages.class_of(one, ifname) for one in self._dump(messages.GET_CLASS, index)]
                made += [messages.filter_of(one, ifname) for one in self._dump(messages.GET_FILTER, index)]
                found.update({share.key: share for share in made if share is not None})
        except KernelError as fault:
            if fault.errno == errno.EOPNOTSUPP:
                return {}  # a kernel without traffic control
            raise Unreadable(str(fault)) from fault
        return found

    def apply(self, change: Delta[ShareKey, Share]) -> Outcome:
        """Make disciplines, then classes, then filters; delete the other way round."""
        names = Names(self._netlink)
        try:
            gone = self._delete(change.delete, names)
            return worst([gone, self._put(change.put, names)])
        except KernelError as fault:
            return lost(fault)

    def _put(self, puts: Mapping[ShareKey, Share], names: Names) -> Outcome:
        if not puts:
            return Outcome.DONE
        usable = {share.ifname for share in puts.values()}
        for share in puts.values():
            if not isinstance(share, Discipline):
                continue
            if why := self._cannot(share, names):
                usable.discard(share.ifname)
            self.refused[share.ifname] = why
        wanted = [share for share in puts.values() if share.ifname in usable]
        classes = sorted((one for one in wanted if isinstance(one, Class)), key=lambda one: one.parent)
        filters = [one for one in wanted if isinstance(one, Filter)]
        requests = [messages.put_class(one, names.index(one.ifname)) for one in classes]
        requests += self._in_the_way({one.key for one in filters}, names)
        requests += [messages.put_filter(one, names.index(one.ifname)) for one in filters]
        made = outcome(requests, send(self._netlink, requests))
        return made if len(wanted) == len(puts) else worst([made, Outcome.REJECTED])

    def _cannot(self, wanted: Discipline, names: Names) -> str:
        """Make a discipline; why it cannot be made, empty when it was."""
        index = names.index(wanted.ifname)
        if index == NO_INDEX:
            return "there is no such interface"
        (fault,) = send(self._netlink, [messages.put_discipline(wanted, index)])
        if fault is None or (fault.errno == errno.EEXIST and index in self._ours()):
            return ""
        if fault.errno == errno.EEXIST:
            return f"its queueing discipline is not Polder's: tc qdisc del dev {wanted.ifname} root"
        return f"the kernel has no htb: {fault}" if fault.errno == errno.ENOENT else str(fault)

    def _delete(self, deletes: Mapping[ShareKey, Share], names: Names) -> Outcome:
        """What is in a discipline goes with it."""
        whole = {key.ifname for key in deletes if isinstance(key, Discipline)}
        inside = [key for key in deletes if key.ifname not in whole]
        requests = self._in_the_way({key for key in inside if isinstance(key, FilterKey)}, names)
        classes = [key for key in inside if isinstance(key, ClassKey)]
        requests += [messages.delete_class(key, names.index(key.ifname)) for key in classes]
        requests += [messages.delete_discipline(ifname, names.index(ifname)) for ifname in sorted(whole)]
        return outcome(requests, send(self._netlink, requests)) if requests else Outcome.DONE

    def _in_the_way(self, keys: set[FilterKey], names: Names) -> list[Request]:
        """The requests that delete the filters with these keys: the kernel finds one by its handle alone."""
        return [
            messages.delete_filter(found)
            for ifname in sorted({key.ifname for key in keys})
            for found in self._dump(messages.GET_FILTER, names.index(ifname))
            if (made := messages.filter_of(found, ifname)) is not None and made.key in keys
        ]

    def _ours(self) -> list[int]:
        """The interfaces whose root discipline is ours."""
        found = (messages.decode(body) for body in self._netlink.dump(messages.dump(messages.GET_DISCIPLINE)))
        return [one.ifindex for one in found if messages.is_ours(one)]

    def _dump(self, kind: int, index: int) -> list[messages.Traffic]:
        try:
            return [messages.decode(body) for body in self._netlink.dump(messages.dump(kind, index))]
        except KernelError as fault:
            if fault.errno in {errno.ENODEV, errno.EINVAL}:
                return []  # the interface, or its discipline, went meanwhile
            raise
