"""What the agent says that it holds, and when."""

from __future__ import annotations

from typing import Any

import pytest

from agents.node import holding
from agents.node.holding import HoldingReport
from agents.node.plug import Plugged
from agents.node.wants import Want
from agents.publisher import Publisher
from store import keys
from store.model import Holding, Qos, Ready
from tests.support.cluster import BOOT, NODE, endpoint
from tests.support.drivers import DictDriver

KEY = keys.HOLDING.key(NODE)
TRUST: dict[str, str] = {"waits_for": "", "believes": "a"}
DOUBT: dict[str, str] = {"waits_for": "a", "believes": ""}


class Agent:
    """A report, with the families of an agent in a store that is two dictionaries."""

    def __init__(self) -> None:
        self.now = 50.0
        self.ready: DictDriver[str, Any] = DictDriver(name="ready")
        self.holding: DictDriver[str, Any] = DictDriver(name="holding", journal=self.ready.journal)
        self.publisher = Publisher({"ready": self.ready, "holding": self.holding})
        self.publisher._reconcilers["attachments"] = self.publisher._reconcilers["ready"]
        self.report = HoldingReport(NODE, BOOT, self.publisher, clock=lambda: self.now)

    def say(self, *plugged: Plugged, **trust: str) -> float | None:
        pause_s = self.report.say({one.want.endpoint: one for one in plugged}, **trust)
        self.publisher._step()
        return pause_s

    @property
    def said(self) -> Holding:
        found: Holding = self.holding.held[KEY]
        return found


def plugged(name: str = "web", address: str = "10.64.0.1", **more: Any) -> Plugged:
    made = endpoint(name, address).model_copy(update={"labels": {"app": name}, "tenant": "blue", **more})
    return Plugged(Want(name, f"/run/netns/{name}", "1", "eth0"), "pl0", 1, made)


def test_labels_are_said_only_while_a_backup_is_completed() -> None:
    agent = Agent()
    agent.say(plugged(), **TRUST)
    assert (agent.said.believes, agent.said.endpoints[0].labels) == ("a", {})
    agent.say(plugged(), **DOUBT)
    assert (agent.said.waits_for, agent.said.endpoints[0].labels) == ("a", {"app": "web"})
    assert (agent.said.endpoints[0].tenant, agent.said.endpoints[0].uid) == ("blue", endpoint().uid)


def test_where_it_is_is_said_and_of_its_qos_as_of_its_labels() -> None:
    agent, machine = Agent(), Want("vm", port="tap0")
    limited = plugged(labels={}, qos=Qos(egress_rate_kbps=1000))
    vm = Plugged(machine, "tap0", 2, endpoint("vm", "10.64.0.2"))
    agent.say(limited, vm, **TRUST)
    assert [(each.endpoint, each.netns, each.ifname, each.qos) for each in agent.said.endpoints] == [
        ("vm", None, None, None),
        ("web", "/run/netns/web", "eth0", None),
    ]
    agent.say(limited, vm, **DOUBT)
    assert [each.qos for each in agent.said.endpoints] == [None, Qos(egress_rate_kbps=1000)]


def test_they_are_left_out_when_all_is_more_than_etcd_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    agent = Agent()
    monkeypatch.setattr(holding, "MOST_BYTES", 100)
    agent.say(plugged(), **DOUBT)
    assert agent.said.endpoints[0].labels == {}


def test_what_changes_is_said_some_seconds_apart_and_what_is_believed_at_once() -> None:
    agent = Agent()
    assert agent.say(plugged(), **TRUST) is None
    assert agent.say(plugged(), plugged("b", "10.64.0.2"), **TRUST) == holding.PAUSE_S
    assert len(agent.said.endpoints) == 1
    assert agent.say(plugged(), plugged("b", "10.64.0.2"), **DOUBT) is None
    assert len(agent.said.endpoints) == 2
    agent.now += holding.PAUSE_S
    assert agent.say(plugged(), **DOUBT) is None
    assert len(agent.said.endpoints) == 1


def test_the_reports_are_read_again_in_a_store_that_became_another() -> None:
    agent = Agent()
    agent.publisher.say("ready", {"k": Ready(prefix="10.64.0.1/32", node=NODE, boot_id=BOOT)})
    agent.say(plugged(), **TRUST)
    agent.holding.held.clear()
    agent.ready.held.clear()
    agent.say(plugged(), **TRUST)
    agent.now += holding.PAUSE_S
    agent.say(plugged(), plugged("b", "10.64.0.2"), **TRUST)
    assert (agent.ready.held, agent.ready.reads) == ({}, 1), "nothing is known of it yet"
    agent.say(plugged(), **DOUBT)
    assert agent.said.waits_for == "a"
    assert list(agent.ready.held) == ["k"]


def test_that_it_believes_is_said_after_what_it_can_deliver() -> None:
    """The speaker withdraws what is not reported, as soon as its agent believes."""
    agent = Agent()
    agent.say(plugged(), **DOUBT)
    agent.publisher.say("ready", {"k": Ready(prefix="10.64.0.1/32", node=NODE, boot_id=BOOT)})
    agent.ready.away = True
    agent.say(plugged(), **TRUST)
    assert agent.said.believes == ""
    agent.ready.away = False
    agent.publisher._step()
    assert agent.said.believes == "a"


def test_a_port_that_cannot_be_read_is_not_ours_to_tell() -> None:
    agent = Agent()
    stranger = Plugged(Want("web", "/run/netns/web", "1", "eth0"), "pl0", 1, None)
    other = Plugged(Want("other", "/run/netns/web", "1", "eth0"), "pl1", 2, endpoint())
    agent.say(stranger, other, **TRUST)
    assert agent.said.endpoints == ()
