"""The flows of the bridge as a driver: dumped by our cookie, changed in one bundle."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from agents.delta import Delta
from agents.driver import Outcome, Unreadable
from openflow.cookie import GENERATION_MASK
from openflow.errors import SwitchError
from openflow.flow import Flow, FlowKey
from openflow.switch import Switch
from openflow.tables import GENERATION

log = logging.getLogger(__name__)


class FlowDriver:
    """A `Driver` over the switch. Foreign flows are not seen and not touched.

    Flows of another layout of the pipeline mean something else in their tables. They go in the bundle that
    brings the first flows of this one, so that no packet meets both.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._outdated: dict[FlowKey, Flow] = {}
        self.connection = 0
        """Of `Switch.connects`: over which the flows were read last."""

    def read(self) -> Mapping[FlowKey, Flow]:
        """The flows that carry our cookie."""
        self.connection = self._switch.connects
        try:
            found = {flow.key: flow for flow in self._switch.dump()}
        except SwitchError as fault:
            raise Unreadable(str(fault)) from fault
        self._outdated = {
            key: flow for key, flow in found.items() if flow.cookie & GENERATION_MASK != GENERATION
        }
        return found

    def apply(self, change: Delta[FlowKey, Flow]) -> Outcome:
        """Change them in one bundle: all or none. What is there is read again after a failure."""
        deletes = {**change.delete, **self._outdated}
        try:
            self._switch.apply(list(change.put.values()), list(deletes.values()))
        except SwitchError as fault:
            log.warning("flows not changed why=%s", fault)
            return Outcome.RETRY
        self._outdated = {}
        return Outcome.DONE
