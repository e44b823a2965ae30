"""What lets the kernel's datapath go on while ovs-vswitchd restarts, and ends its wait without fail.

Open vSwitch keeps a mark in its database (`openflow.rows.AWAIT_FLOWS`). An ovs-vswitchd that finds it at
its start leaves the kernel's flows as they are and waits. The ordinary pass puts its flows; then we take
the mark away, wait until it goes on, and set the mark for the next time.

Where the datapath is ovs-vswitchd itself nothing could go on, and we set no mark. But whoever has set one:
a switch that waits gets its flows and is told to go on, also by an agent that has just started. An agent
that is killed leaves the mark, as its supervisor starts it again; until then the kernel's flows go on, and
no others could: the bridge has none. An agent that is told to stop takes it away.
"""

from __future__ import annotations

import logging
from typing import Protocol

from openflow.errors import BridgeError
from openflow.rows import Restart

log = logging.getLogger(__name__)


class Mark(Protocol):
    """Where the mark is kept (`openflow.bridge.Bridge`)."""

    @property
    def restart(self) -> Restart: ...
    def await_flows(self, wanted: bool) -> None: ...


class Connections(Protocol):
    """Who counts the connections with the switch (`openflow.switch.Switch`)."""

    connects: int


class SwitchRestart:
    """Looks after the mark. One thread at a time."""

    def __init__(self, bridge: Mark, switch: Connections) -> None:
        self._bridge = bridge
        self._switch = switch
        self._told = 0
        """The connection whose ovs-vswitchd does not wait."""

    def settle(self, settled: int | None) -> None:
        """End a wait that has its flows; have the next ovs-vswitchd wait where that helps.

        Args:
            settled: the connection (`Switch.connects`) whose switch holds the flows that it should.

        Raises:
            BridgeError: try again soon.
        """
        restart, connection = self._bridge.restart, self._switch.connects
        if settled != connection:
            return
        if self._told != connection:
            if restart.awaits_flows:
                self._bridge.await_flows(False)
                log.info("switch has its flows and goes on")
            self._told = connection
        elif restart.keeps_flows and not restart.awaits_flows:
            self._bridge.await_flows(True)

    def end(self) -> None:
        """Nobody is there to end the next wait."""
        if not self._bridge.restart.awaits_flows:
            return
        try:
            self._bridge.await_flows(False)
        except BridgeError as fault:
            log.warning("a restart of ovs-vswitchd will wait for an agent why=%s", fault)
