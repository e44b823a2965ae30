"""One run: clients and nemesis together, then the end, then the checks."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.history.checker import Checker
from tests.history.client import Client
from tests.history.nemesis import FAULTS, Fault, Nemesis
from tests.history.op import Kind, Op, Outcome
from tests.history.recorder import History
from tests.history.site import Site
from tests.history.workload import Workload


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of what: the run ends when it has had so many operations and so many faults."""

    ops: int
    faults: int
    seed: int
    clients: int = 24
    limit_s: float = 240.0
    names: Sequence[str] = tuple(FAULTS)
    twice: float = 0.06
    """How often a request is sent to two controllers at once."""
    calm_s: float = 1.0
    """How long all is well between two faults."""
    patience_s: float = 20.0
    """How long the store may take to be sound and then empty: cooldowns end meanwhile."""


@dataclass(frozen=True, slots=True)
class Result:
    """What happened, and what is wrong with it."""

    plan: Plan
    history: History
    faults: Sequence[Fault]
    seconds: float
    wrong: Sequence[str]
    late: Sequence[str]
    """Endpoints that an attempt made which its client had given up."""


def run(site: Site, plan: Plan, path: Path) -> Result:
    """Blocking. The history is written to `path`, one operation a line."""
    history = History(path)
    nemesis, seconds = _work(site, plan, history)
    history.close()
    checker = Checker(history.ops)
    wrong = _judge(site, checker, history.ops, plan.patience_s)
    return Result(plan, history, nemesis.faults, seconds, wrong, checker.late)


def _work(site: Site, plan: Plan, history: History) -> tuple[Nemesis, float]:
    stop, mended = threading.Event(), threading.Event()
    nemesis = Nemesis(site, Random(plan.seed), plan.names, mended, plan.calm_s)
    begun = time.monotonic()

    def serve(number: int) -> None:
        client = Client(number, site.wires(), history)
        workload = Workload(client, Random(plan.seed * 1000 + number), plan.twice)
        while not stop.is_set():
            workload.step()
        client.close()

    with ThreadPoolExecutor(plan.clients + 1) as threads:
        running = [threads.submit(serve, number) for number in range(plan.clients)]
        if plan.faults:
            running.append(threads.submit(nemesis.run))
        until = begun + plan.limit_s
        while len(history.ops) < plan.ops or len(nemesis.faults) < plan.faults:
            if wait(running, 0.1, return_when="FIRST_COMPLETED").done or time.monotonic() > until:
                break  # the first of them that ends has failed
        mended.set()
        stop.set()
        for each in running:
            each.result()
    return nemesis, time.monotonic() - begun


def _judge(site: Site, checker: Checker, ops: Sequence[Op], patience_s: float) -> list[str]:
    left = site.settle()
    checker.end(time.monotonic(), left)
    plan = site.witness("plan", patience_s)
    site.empty()
    rest = site.witness("left", patience_s)
    return [*checker.faults, *plan["faults"], *_unwitnessed(ops, plan["assigned"]), *rest["faults"]]


def _unwitnessed(ops: Sequence[Op], assigned: Sequence[tuple[str, str, list[str]]]) -> list[str]:
    """What was acknowledged and never stood in etcd."""
    stored = {(name, uid, tuple(addresses)) for name, uid, addresses in assigned}
    return [
        f"{op.id} was acknowledged as {seen} and never was in etcd"
        for op in ops
        if op.kind is Kind.ASSIGN and op.outcome is Outcome.OK
        for seen in op.seen
        if (op.id, seen.uid, seen.addresses) not in stored
    ]
