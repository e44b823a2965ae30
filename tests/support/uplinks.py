"""An uplink of a node loses its link under traffic, at one end or the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial

from lab.host import Host
from lab.ping import Ping
from lab.stream import Stream
from lab.topology import METAL_ADDRESS
from lab.wait import wait_until
from tests.support.containers import BACK_S, Fixed
from tests.support.labs import TIMES

CONNECTIONS = 4
"""Enough for some of them to leave by either uplink."""

MOST_S = 4.0
"""The longest silence. Linux may tell of lost carrier 1 s later; TCP tries again after 0.2, 0.6, 1.4, 3 s."""


@dataclass(frozen=True)
class Uplink:
    """A node's link to a router, with the name that it has at either end."""

    web: Fixed
    tor: str

    @property
    def ends(self) -> dict[str, tuple[Host, str]]:
        found = next(pair for pair in self.web.lab.topology.ends(self.tor) if pair[1].host == self.web.on)
        return {
            "router's": (self.web.lab.hosts[self.tor], found[0].ifname),
            "node's": (self.web.node, found[1].ifname),
        }

    @contextmanager
    def down(self, end: str) -> Iterator[None]:
        """While the block runs; then waits until the router has the block by this link again."""
        host, ifname = self.ends[end]
        block = f"{self.web.address.rpartition('.')[0]}.0/26"
        route = self.web.lab.tors[self.tor].host.route(block)
        assert route is not None
        host.set_link(ifname, up=False)
        try:
            yield
        finally:
            host.set_link(ifname, up=True)
            wait_until(
                lambda: self.web.lab.tors[self.tor].host.route(block),
                BACK_S,
                f"{self.tor} to send by its own link again",
                good=lambda now: now is not None and now.gateways == route.gateways,
            )


def fails_under_traffic(web: Fixed, tor: str, end: str) -> None:
    """The link goes down and comes back: nothing ends, and no silence is long. Fails if that is not so."""
    with ExitStack() as stack:
        streams = [stack.enter_context(Stream(web.metal, web.host, web.address)) for _ in range(CONNECTIONS)]
        pings = [
            web.metal.ping_background(web.address, 0.001),
            web.host.ping_background(METAL_ADDRESS, 0.001),
        ]
        for ping in pings:
            stack.callback(ping.stop)
        with Uplink(web, tor).down(end):
            _go_on(streams, pings)
            during = [ping.stop() for ping in pings]
        _go_on(streams)
        reports = [stream.stop() for stream in streams]
    assert not [one.broken for one in reports if one.broken]
    silent_s = max(one.longest_gap_s for one in reports)
    lost = [len(one.lost) for one in during]
    TIMES.append(
        f"uplink to {tor} down at the {end} end: {lost[0]} echoes in and {lost[1]} out lost of one a ms, "
        f"connections silent for {silent_s * 1000:.0f} ms at most"
    )
    assert max(silent_s, *(one.longest_gap_s for one in during)) < MOST_S, (during, reports)


def _go_on(streams: Sequence[Stream], pings: Sequence[Ping] = ()) -> None:
    """Wait until all of them get answers."""
    for stream in streams:
        enough = stream.answered + 2000
        wait_until(partial(getattr, stream, "answered"), BACK_S, "the connection", good=enough.__lt__)
    for ping in pings:
        ping.wait_answers(50, BACK_S)
