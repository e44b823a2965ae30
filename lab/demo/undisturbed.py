"""Traffic to a container that must go on while something is killed: pings, and TCP that stands already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from lab.demo.cast import Cast, Container, inside
from lab.demo.policy import PORTS
from lab.demo.report import expect
from lab.host import Host
from lab.ping import Ping
from lab.transfer import Transfer, transfer

POOL = "10.64.0.0/16"
LONGEST_S = 0.2
"""Of the silence of a connection. TCP sends again what was lost after 0.2 s at the earliest."""
GOES_ON_S = 10.0
MORE = 25


class Traffic:
    """From a container to metal and to a container on another node, over connections that these opened."""

    def __init__(
        self, cast: Cast, target: Container, senders: Sequence[Host], transfers: Sequence[Transfer]
    ) -> None:
        self.cast = cast
        self.target = target
        self._senders = senders
        self._transfers = transfers
        self._pings: list[Ping] = []

    def go_on(self) -> None:
        """Wait until all of it has arrived some more times. Raises NotInTime."""
        for ping in self._pings:
            ping.wait_answers(MORE, GOES_ON_S)
        for each in self._transfers:
            each.wait_segments(MORE, GOES_ON_S)

    @contextmanager
    def undisturbed(self, measured: list[str]) -> Iterator[None]:
        """No ping is lost, no transfer stalls, no router changes a route while the block runs.

        Args:
            measured: takes the longest silence of a transfer.

        Raises:
            Failed: it is not so.
        """
        before = [each.segments for each in self._transfers]
        self._pings = [sender.ping_background(self.target.address) for sender in self._senders]
        monitors = {name: tor.host.monitor_routes() for name, tor in self.cast.lab.tors.items()}
        try:
            yield
            self.go_on()
        finally:
            reports = [ping.stop() for ping in self._pings]
            changes = {name: monitor.stop() for name, monitor in monitors.items()}
        silent_s = max(map(Transfer.longest_silence_s, self._transfers, before))
        measured.append(f"TCP silent for {silent_s * 1000:.0f} ms at most")
        for report in reports:
            expect(report.ok, f"{len(report.lost)} of {report.sent} pings lost")
        expect(silent_s <= LONGEST_S, f"a connection was silent for {silent_s * 1000:.0f} ms")
        for name, seen in changes.items():
            gone = [change.text for change in seen if inside(change.dst, POOL)]
            expect(not gone, f"{name} changed its routes:\n" + "\n".join(gone))


@contextmanager
def traffic(cast: Cast, name: str) -> Iterator[Traffic]:
    """Open the connections, for as long as the block runs. Raises LabError."""
    target, senders = cast.containers[name], (cast.metal, cast.containers["web-2"].host)
    with ExitStack() as stack:
        transfers = tuple(
            stack.enter_context(transfer(sender, target.host, target.address, port))
            for sender, port in zip(senders, PORTS, strict=True)
        )
        yield Traffic(cast, target, senders, transfers)
