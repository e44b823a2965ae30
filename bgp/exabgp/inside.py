"""What is changed inside ExaBGP's process, where it has no setting for it, so that many routes cost little.

ExaBGP copies each route whole, deeply, before it takes it into the Adj-RIB-Out, and again to withdraw it,
and writes it out for a log line that nobody asked for: two thirds of the time of a burst, and most of the
memory. What may be written to is the NLRI alone; the attributes of one command are one object for all of its
prefixes. And it shows its Adj-RIB-Out a line for each route, which keeps it from its peer for a second with
20,000 of them. Here it learns to show it in short, and whole by attributes. And to rest: it looks a hundred
times a second at a session on which nothing happens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import copy
from typing import Any

from bgp.exabgp.commands import SHOW_FINGERPRINTS, SHOW_ROUTES
from bgp.fingerprint import fingerprint

ROUTES_PER_LINE = 1000

QUIET_TURNS = 20
REST_MS = 100
"""How long the reactor sleeps when nothing has come for some turns: its timers count in seconds."""

Describe = Callable[[list[Any]], Iterator[dict[str, Any]]]
"""From the NLRI of a group, what the lines about it say beside the attributes."""


def share_attributes() -> None:
    """Have the prefixes of one command share their attributes: where a copy must be, it is of the NLRI."""
    from exabgp.bgp.neighbor import Neighbor
    from exabgp.rib import outgoing
    from exabgp.rib.change import Change

    # It replaces "next-hop self", which no command of ours says.
    Neighbor.remove_self = lambda _neighbor, change: change
    outgoing.deepcopy = _with_nlri_of_its_own
    Change.extensive = lambda change: change.nlri.prefix()


def teach_show_routes() -> None:
    """Add commands to ExaBGP's API that show the Adj-RIB-Out by attributes."""
    from exabgp.reactor.api.command.command import Command

    Command.register(SHOW_FINGERPRINTS, False)(_showing(_fingerprints))
    Command.register(SHOW_ROUTES, False)(_showing(_routes))


def rest_when_quiet() -> None:
    """Have the reactor sleep longer while sessions are established and nothing is to be done.

    What comes from the peer, or as a command, wakes it at once. A session that is being established is looked
    at as before: what it waits for is not always something that wakes.
    """
    from exabgp.reactor.loop import Reactor

    wait = Reactor._wait_for_io

    def rested(reactor: Any, sleep_ms: int) -> Iterator[int]:
        idle = sleep_ms > 0 and reactor.asynchronous.ready()
        idle = idle and all(peer.established() for peer in reactor._peers.values())
        reactor.quiet_turns = reactor.quiet_turns + 1 if idle else 0
        for descriptor in wait(reactor, REST_MS if reactor.quiet_turns > QUIET_TURNS else sleep_ms):
            reactor.quiet_turns = 0
            yield descriptor

    Reactor.quiet_turns = 0
    Reactor._wait_for_io = rested


def _with_nlri_of_its_own(change: Any) -> Any:
    made = copy(change)
    made.nlri = copy(change.nlri)
    return made


def _showing(describe: Describe) -> Callable[..., bool]:
    def answer(reactor: Any, service: str) -> Iterator[None]:
        for peer in reactor._peers.values():
            for attributes, nlris in _groups(peer.neighbor.rib.outgoing):
                shared = {"nexthop": str(nlris[0].nexthop), "attributes": attributes.as_dict()}
                for said in describe(nlris):
                    reactor.processes.write(service, json.dumps(said | shared))
        reactor.processes.answer_done(service)
        yield

    def show(_api: Any, reactor: Any, service: str, line: str, _json: bool) -> bool:
        # Behind what is still to be taken from commands that came before
        reactor.asynchronous.schedule(service, line, answer(reactor, service))
        return True

    return show


def _groups(rib: Any) -> Iterator[tuple[Any, list[Any]]]:
    """The routes of an Adj-RIB-Out: attributes, and the NLRI that have them."""
    found: dict[str, tuple[Any, list[Any]]] = {}
    for change in rib.cached_changes():
        found.setdefault(change.attributes.index(), (change.attributes, []))[1].append(change.nlri)
    yield from found.values()


def _fingerprints(nlris: list[Any]) -> Iterator[dict[str, Any]]:
    yield {"fingerprint": fingerprint(nlri.cidr.pack_nlri() for nlri in nlris)}


def _routes(nlris: list[Any]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(nlris), ROUTES_PER_LINE):
        yield {"routes": [nlri.cidr.prefix() for nlri in nlris[start : start + ROUTES_PER_LINE]]}
