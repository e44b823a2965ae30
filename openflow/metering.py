"""The meters of the bridge behind a connection: read, changed, and what they have counted.

A bundle takes no meters (Open vSwitch 3.1): each is changed by a message of its own, and a barrier says when
all are done. A switch that deletes a meter deletes the flows that use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from openflow.channel import ERROR
from openflow.errors import Refused
from openflow.meter import Meter, MeterCount
from openflow.meter_messages import (
    Command,
    ask_counts,
    ask_meters,
    barrier,
    change,
    read_counts,
    read_meters,
)
from openflow.switch import Switch, reason

AT_ONCE = 1000
"""Meters in one exchange."""


class Metering:
    """The meters of a switch. Safe to call from many threads. Raises what the switch raises."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def read(self) -> dict[int, Meter]:
        """All meters, by id. Blocking."""
        return read_meters(self._asked(ask_meters))

    def counts(self) -> dict[int, MeterCount]:
        """What each meter has counted, by id. Blocking."""
        return read_counts(self._asked(ask_counts))

    def apply(self, puts: Iterable[Meter], deletes: Iterable[Meter]) -> None:
        """Add or change `puts`, then delete `deletes`. Blocking. Idempotent.

        A meter that changes goes on counting, and flows go on through it.

        Raises:
            Refused: some cannot be made; the others are.
        """
        # Most are new. Which are not, the switch says: what was read before may be out of date.
        there = [meter for meter, _ in self._refused(Command.ADD, list(puts))]
        left = self._refused(Command.MODIFY, there)
        self._refused(Command.DELETE, list(deletes))
        if left:
            meter, why = left[0]
            raise Refused(f"{len(left)} meters, the first is {meter.meter_id} ({meter.reason}): {why}")

    def _refused(self, command: Command, meters: Sequence[Meter]) -> list[tuple[Meter, str]]:
        """Do it; returns those that the switch refused, and why."""
        refused: list[tuple[Meter, str]] = []
        for start in range(0, len(meters), AT_ONCE):
            part = meters[start : start + AT_ONCE]
            *errors, done = self._switch.exchange(partial(_requests, command, part))
            first = done.xid - len(part)  # the barrier's answer comes last
            refused += [(part[each.xid - first], reason(each)) for each in errors if each.type == ERROR]
        return refused

    def _asked(self, ask: Callable[[int], bytes]) -> list[bytes]:
        replies = self._switch.exchange(lambda xid: [ask(xid)])
        for message in replies:
            if message.type == ERROR:
                raise Refused(reason(message))
        return [message.data for message in replies]


def _requests(command: Command, meters: Sequence[Meter], xid: int) -> list[bytes]:
    made = [change(command, meter, xid + at) for at, meter in enumerate(meters)]
    return [*made, barrier(xid + len(meters))]
