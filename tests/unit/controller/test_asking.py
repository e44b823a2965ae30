"""Asking an agent: it lives, it does not, it is silent, it is asked too much; nothing stays in the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from agents.node.explain.questions import NoAnswer, Questions
from controller.asking import Asking
from controller.policy_stats import policy_stats
from controller.problem import Problem
from controller.reading import put
from store import keys
from store.memory import MemoryStore
from store.model import Alive, DiffAsked, DiffSaid, Node, NodePolicy, Policy, Program, Rule, Value
from store.model.rule_counts import RuleCount, RulesAsked, RulesSaid
from tests.support.cluster import BOOT, NODE
from tests.unit.controller.conftest import NOW

EMPTY = DiffSaid(counts=())


@contextmanager
def agent(store: MemoryStore, answer: Callable[[Any], Any], asked: type[Value] = DiffAsked) -> Iterator[None]:
    """An agent that lives and answers so."""
    alive = Alive(node=NODE, program=Program.AGENT, boot_id=BOOT, started=NOW)
    store.txn([], [put(keys.ALIVE, alive, NODE, Program.AGENT.value)])
    questions = Questions(store, NODE, {asked: answer})
    questions.start()
    try:
        yield
    finally:
        questions.stop()


def left(store: MemoryStore) -> list[str]:
    return [item.key for kind in (keys.ASKED, keys.ANSWERED) for item in store.range(kind.prefix(NODE)).items]


def test_an_answer_comes_back_and_nothing_stays() -> None:
    store = MemoryStore()
    with agent(store, lambda _: EMPTY):
        assert Asking(store).ask(NODE, DiffAsked()) == EMPTY
    assert left(store) == []


def test_what_rules_have_matched_is_added_up_and_who_is_silent_is_named() -> None:
    store = MemoryStore()
    allow, deny = Rule(action="allow"), Rule(name="rest", action="deny")
    policy = Policy(name="web", ingress=(allow, deny), egress=(deny,))
    told = NodePolicy(policy="web", selector={}, order=500, mode="enforced")
    for name in (NODE, "node-8", "node-9"):
        store.txn([], [put(keys.NODES, Node(name=name, asn=64512), name)])
    store.txn([], [put(keys.RULES, told, name, "web") for name in (NODE, "node-9")])
    count = RuleCount(direction="ingress", rule=2, packets=3, bytes=180)
    with agent(store, lambda _: RulesSaid(counts=(count,)), RulesAsked):
        found = policy_stats(store, Asking(store), policy)
    assert found.nodes == [NODE]
    assert [(each.node, "does not run" in each.why) for each in found.silent] == [("node-9", True)]
    assert [(each.direction, each.rule, each.name, each.packets) for each in found.rules] == [
        ("ingress", 1, None, 0),
        ("ingress", 2, "rest", 3),
        ("egress", 1, "rest", 0),
    ]


def test_an_agent_that_does_not_live_is_not_waited_for() -> None:
    store = MemoryStore()
    with pytest.raises(Problem, match="does not run") as refused:
        Asking(store, patience_s=60).ask(NODE, DiffAsked())
    assert (refused.value.kind, refused.value.status) == ("no-answer", 503)
    assert left(store) == []


def test_an_agent_that_says_why_it_cannot_is_quoted() -> None:
    def answer(_: DiffAsked) -> DiffSaid:
        raise NoAnswer("the switch is away")

    store = MemoryStore()
    with agent(store, answer), pytest.raises(Problem, match="the switch is away"):
        Asking(store).ask(NODE, DiffAsked())


def test_silence_ends_and_what_comes_late_is_not_kept() -> None:
    store, asked, go_on = MemoryStore(), threading.Event(), threading.Event()
    ended = threading.Event()

    def answer(_: DiffAsked) -> DiffSaid:
        asked.set()
        go_on.wait(10)
        ended.set()
        return EMPTY

    with agent(store, answer):
        with pytest.raises(Problem, match=r"did not answer within 0\.2 s"):
            Asking(store, patience_s=0.2).ask(NODE, DiffAsked())
        assert asked.is_set()
        go_on.set()
        assert ended.wait(10)
        with agent(store, lambda _: EMPTY):
            assert Asking(store).ask(NODE, DiffAsked()) == EMPTY
    assert left(store) == []


def test_an_agent_works_on_few_questions_at_a_time_and_says_so() -> None:
    store, go_on = MemoryStore(), threading.Event()

    def answer(_: DiffAsked) -> DiffSaid:
        go_on.wait(10)
        return EMPTY

    asking, said = Asking(store), list[object]()

    def ask() -> None:
        try:
            said.append(asking.ask(NODE, DiffAsked()))
        except Problem as problem:
            said.append(problem.detail)
            go_on.set()

    with agent(store, answer):
        threads = [threading.Thread(target=ask) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert said.count(EMPTY) == 4
    assert [each for each in said if each != EMPTY] == [
        f"the agent of node {NODE} cannot answer: the agent works on 4 other questions; ask again"
    ]


def test_a_controller_waits_for_few_answers_at_a_time() -> None:
    with pytest.raises(Problem) as refused:
        Asking(MemoryStore(), at_once=0).ask(NODE, DiffAsked())
    assert refused.value.kind == "busy"
