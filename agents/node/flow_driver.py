"""The flows of the bridge as a driver: dumped by our cookie, changed in one bundle."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from openflow.errors import SwitchError
from openflow.flow import Flow, FlowKey
from openflow.switch import Switch

log = logging.getLogger(__name__)


class FlowDriver:
    """A `Driver` over the switch. Foreign flows are not seen and not touched."""

    def __init__(self, switch: Switch) -> None:
        self._switch = switch

    def read(self) -> Mapping[FlowKey, Flow]:
        """The flows that carry our cookie."""
        try:
            return {flow.key: flow for flow in self._switch.dump()}
        except SwitchError as fault:
            raise Unreadable(str(fault)) from fault

    def apply(self, change: Delta[FlowKey, Flow]) -> Outcome:
        """Change them in one bundle: all or none. What is there is read again after a failure."""
        try:
            self._switch.apply(list(change.put.values()), list(change.delete.values()))
        except SwitchError as fault:
            log.warning("flows not changed why=%s", fault)
            return Outcome.RETRY
        return Outcome.DONE
