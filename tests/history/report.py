"""What a run says to people: how much there was, how long each fault was felt, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.history.nemesis import Fault
from tests.history.op import Kind, Op, Outcome
from tests.history.run import Result

SHOWN = 20


def lines(result: Result) -> Iterator[str]:
    """The report."""
    ops = result.history.ops
    yield (
        f"{len(ops)} operations in {result.history.requests} requests by {result.plan.clients} clients in "
        f"{result.seconds:.0f} s, {len(result.faults)} faults, seed {result.plan.seed}; "
        f"history in {result.history.path}"
    )
    for kind in Kind:
        yield _kind(kind, [op for op in ops if op.kind is kind])
    batches = {op.batch: op for op in ops if op.part == 0 and op.batch}.values()
    yield _kind("batch", [op for op in batches if not op.atomic])
    yield _kind("all/none", [op for op in batches if op.atomic])
    for fault in result.faults:
        yield _fault(fault, result)
    yield f"made at last by attempts that their clients had given up: {len(result.late)}"
    yield f"wrong: {len(result.wrong)}"
    yield from result.wrong[:SHOWN]


def _kind(kind: str, ops: Sequence[Op]) -> str:
    outcomes = Counter(op.outcome for op in ops)
    took = sorted(op.ended - op.begun for op in ops if op.outcome is Outcome.OK) or [0.0]
    counts = ", ".join(f"{outcomes[each]} {each}" for each in Outcome)
    loose = sum(op.loose for op in ops)
    return (
        f"  {kind:8} {counts}, {loose} with an answer lost; ok took "
        f"{took[len(took) // 2] * 1000:.0f} ms median, {took[-1 - len(took) // 100] * 1000:.0f} ms of the "
        f"slowest hundredth, {took[-1]:.1f} s at most"
    )


def _fault(fault: Fault, result: Result) -> str:
    silence_s = result.history.silence_s(fault.begun, fault.well)
    return (
        f"  {fault.name} ({fault.where}) for {fault.ended - fault.begun:.1f} s: nobody was answered for "
        f"{silence_s:.2f} s, all well {fault.well - fault.ended:.1f} s after"
    )
