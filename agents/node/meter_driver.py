"""The meters of the bridge as a driver. They have no mark: the bridge is ours, and so are all of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from openflow.errors import Refused, SwitchError
from openflow.meter import Meter
from openflow.metering import Metering

log = logging.getLogger(__name__)


class MeterDriver:
    """A `Driver` over the meters of a switch."""

    def __init__(self, metering: Metering) -> None:
        self._metering = metering

    def read(self) -> Mapping[int, Meter]:
        """The meters of the bridge."""
        try:
            return self._metering.read()
        except Refused as fault:
            log.warning("the switch has no meters why=%s", fault)
            return {}
        except SwitchError as fault:
            raise Unreadable(str(fault)) from fault

    def apply(self, change: Delta[int, Meter]) -> Outcome:
        """Make and change meters, then delete."""
        try:
            self._metering.apply(change.put.values(), change.delete.values())
        except Refused as fault:
            log.error("the switch does not take meters why=%s", fault)
            return Outcome.REJECTED
        except SwitchError as fault:
            log.warning("meters not changed why=%s", fault)
            return Outcome.RETRY
        return Outcome.DONE
