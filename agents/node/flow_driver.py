"""The flows of the bridge as a driver: dumped by our cookie, changed in one bundle."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agents.delta import Delta
from agents.driver import Outcome, Reading, Unreadable
from openflow.cookie import GENERATION_MASK
from openflow.dumping import Dumping
from openflow.errors import SwitchError
from openflow.flow import Flow, FlowKey
from openflow.switch import Switch
from openflow.tables import GENERATION

log = logging.getLogger(__name__)


class FlowDriver:
    """A `Driver` over the switch. Foreign flows are not seen and not touched.

    Flows of another layout of the pipeline mean something else in their tables. They go in the bundle that
    brings the first flows of this one, so that no packet meets both.

    Args:
        switch: the bridge.
        on_part: called from any thread when a reading that was begun has parts. It must return at once.
    """

    def __init__(self, switch: Switch, on_part: Callable[[], None] = lambda: None) -> None:
        self._switch = switch
        self._on_part = on_part
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

    def begin(self) -> Reading[FlowKey, Flow] | None:
        """Begin to read them in parts; None when the switch is away, or another than was read last."""
        return _InParts(self._switch.dumping(self._on_part), self._is_same) if self._is_same() else None

    def _is_same(self) -> bool:
        return self._switch.connected and self._switch.connects == self.connection

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


@dataclass(frozen=True, slots=True)
class _InParts:
    """A `Reading` of the flows, by our cookie."""

    dumping: Dumping
    is_same: Callable[[], bool]

    def part(self) -> Mapping[FlowKey, Flow] | None:
        if not self.is_same():
            raise Unreadable("the connection with the switch is another")
        try:
            part = self.dumping.part()
        except SwitchError as fault:
            raise Unreadable(str(fault)) from fault
        return None if part is None else {flow.key: flow for flow in part}
