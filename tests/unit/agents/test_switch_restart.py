"""The mark that makes ovs-vswitchd wait for its flows is set and taken away at the right moment."""

from __future__ import annotations

from agents.node.switch_restart import SwitchRestart
from openflow.errors import BridgeUnavailable
from openflow.rows import Restart


class Database:
    """As much of the bridge as is asked, with the mark alone; `keeps` is whether it helps."""

    def __init__(self, *, keeps: bool, waits: bool) -> None:
        self.restart = Restart(awaits_flows=waits, keeps_flows=keeps)
        self.written: list[bool] = []
        self.away = False

    def await_flows(self, wanted: bool) -> None:
        if self.away:
            raise BridgeUnavailable("away")
        self.written.append(wanted)
        self.restart = Restart(awaits_flows=wanted, keeps_flows=self.restart.keeps_flows)


class Connection:
    connects = 1


def test_a_mark_goes_once_the_flows_are_there_and_comes_back_for_the_next_time() -> None:
    database, connection = Database(keeps=True, waits=True), Connection()
    restart = SwitchRestart(database, connection)
    restart.settle(None)
    assert database.written == []
    restart.settle(1)
    restart.settle(1)
    restart.settle(1)
    assert database.written == [False, True]
    connection.connects = 2
    restart.settle(1)
    assert database.written == [False, True], "the flows that are there are those of the last connection"
    restart.settle(2)
    restart.settle(2)
    assert database.written == [False, True, False, True]


def test_where_nothing_would_go_on_no_mark_is_set_and_one_that_is_there_is_left_to_who_set_it() -> None:
    database = Database(keeps=False, waits=False)
    restart = SwitchRestart(database, Connection())
    restart.settle(1)
    database.restart = Restart(awaits_flows=True, keeps_flows=False)
    restart.settle(1)
    assert database.written == []


def test_an_agent_that_stops_leaves_no_mark() -> None:
    database = Database(keeps=True, waits=True)
    SwitchRestart(database, Connection()).end()
    assert database.written == [False]
    database = Database(keeps=True, waits=True)
    database.away = True
    SwitchRestart(database, Connection()).end()
