"""Driver of the kernel's routes. The ownership mark is the protocol number.

The metric is the same number: the kernel replaces a route by destination, table and metric, whoever made
it, so a route at another metric stays untouched beside ours.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from agents.kernel.message import FAMILIES
from agents.kernel.netlink import KernelError, Netlink
from agents.kernel.requests import Names, lost, outcome, send, worst
from agents.kernel.route_messages import as_route, decode, delete, dump, put
from agents.kernel.rules import RuleDriver
from intent.names import DISPLACED_TABLE, MAIN_TABLE, PROTOCOL
from intent.routes import Route, RouteKey

__all__ = ["RouteDriver", "RuleDriver"]

log = logging.getLogger(__name__)

TABLES = frozenset({MAIN_TABLE, DISPLACED_TABLE})

_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


class RouteDriver:
    """The routes of one protocol number in the main table and in that for displaced addresses, both families.

    `oif` is given back for on-link routes and link-local gateways only: elsewhere the kernel finds it itself.
    """

    def __init__(self, protocol: int = PROTOCOL) -> None:
        self._netlink = Netlink()
        self._protocol = protocol
        self._told: dict[bytes, Route] = {}
        """What the last dump said: most of the next one says the same again."""
        self._named: Mapping[int, str] = {}
        """The interfaces of which it said it."""

    def read(self) -> Mapping[RouteKey, Route]:
        """Our routes. The kernel picks them out, so foreign ones cost nothing here."""
        names = Names(self._netlink)
        try:
            asked = [dump(family, protocol=self._protocol) for family in FAMILIES.values()]
            bodies = [body for one in asked for body in self._netlink.dump(one)]
            if any(names.name(index) != name for index, name in self._named.items()):
                self._told = {}
            self._told = {body: self._told.get(body) or as_route(decode(body), names) for body in bodies}
        except KernelError as fault:
            raise Unreadable(str(fault)) from fault
        self._named = names.named
        return {route.key: route for route in self._told.values() if route.table in TABLES}

    def apply(self, change: Delta[RouteKey, Route]) -> Outcome:
        """Replace and delete. One route's refusal does not keep the others from being made.

        A route by way of several gateways of which some cannot be reached is made with the others; the
        outcome is REJECTED then, so that it is tried again in full.
        """
        names = Names(self._netlink)
        deletes = [delete(key, self._protocol) for key in change.delete]
        try:
            gone = outcome(deletes, send(self._netlink, deletes))
            return worst([gone, *self._put(list(change.put.values()), names)])
        except KernelError as fault:
            return lost(fault)

    def _put(self, routes: Sequence[Route], names: Names) -> list[Outcome]:
        requests = [put(route, names, self._protocol) for route in routes]
        answers = send(self._netlink, requests)
        split = {
            at
            for at, fault in enumerate(answers)
            if fault and fault.errno in _UNREACHABLE and len(routes[at].gateways) > 1
        }
        whole = [at for at in range(len(routes)) if at not in split]
        made = outcome([requests[at] for at in whole], [answers[at] for at in whole])
        return [made, *(self._put_reachable(routes[at], names) for at in sorted(split))]

    def _put_reachable(self, route: Route, names: Names) -> Outcome:
        """The kernel takes all gateways or none: find those that work by trying each alone."""
        alone = [
            put(replace(route, gateways=(gateway,)), names, self._protocol) for gateway in route.gateways
        ]
        answers = send(self._netlink, alone)
        working = tuple(g for g, fault in zip(route.gateways, answers, strict=True) if fault is None)
        if not working:
            return outcome(alone, answers)
        partly = [put(replace(route, gateways=working), names, self._protocol)]
        log.warning(
            "route made without %d gateways that cannot be reached: %s",
            len(alone) - len(working),
            partly[0].what,
        )
        return worst([Outcome.REJECTED, outcome(partly, send(self._netlink, partly))])
