"""The steps of a packet through the bridge, each with its flow and the reason of that. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from openflow.flow import Flow, FlowKey
from openflow.syntax import match_from
from openflow.tables import ASIDE, METER
from openflow.tracing import Step, Traced
from openflow.words import actions_words, match_words, purpose_words, reason_words, table_words
from store.model.trace import TraceStep, Verdict
from store.model.value import TEXT_CHARACTERS

NO_FLOW = "no flow matches"
NOT_WANTED = "the agent does not want this flow: polder node diff"
UNTOLD = frozenset({table.table_id for table in ASIDE} - {METER.table_id})
"""Tables that are visited on the way and decide nothing."""
MISSING = "every table has a flow for what nothing else matches; it is missing: polder node diff"


def bridge_steps(node: str, traced: Traced, wanted: Mapping[Any, Any]) -> Iterator[TraceStep]:
    """One step for each table. The last one stops the packet when it leaves by no port.

    Args:
        node: whose bridge it is.
        traced: what the switch says.
        wanted: the flows that the last pass wanted: they have the reasons.
    """
    steps = [step for step in traced.steps if step.table_id not in UNTOLD]
    for place, step in enumerate(steps, start=1):
        ends = place == len(steps) and not traced.outputs
        yield _step(node, step, wanted, Verdict.STOPS if ends else Verdict.PASSES)


def _step(node: str, step: Step, wanted: Mapping[Any, Any], verdict: Verdict) -> TraceStep:
    at = table_words(step.table_id)
    if step.priority is None:
        return TraceStep(at=at, node=node, verdict=Verdict.STOPS, what=NO_FLOW, reason=MISSING)
    flow = flow_of(step, wanted)
    match = match_words(flow.match) if flow is not None else step.match
    what = actions_words(flow.actions) if flow is not None else ", ".join(step.actions) or "drop"
    return TraceStep(
        at=at,
        node=node,
        verdict=verdict,
        what=what[:TEXT_CHARACTERS],
        evidence=f"priority={step.priority} {match}".strip()[:TEXT_CHARACTERS],
        purpose=purpose_words(step.cookie),
        reason=reason_words(flow) if flow is not None else NOT_WANTED,
    )


def flow_of(step: Step, wanted: Mapping[Any, Any]) -> Flow | None:
    """The wanted flow that the packet met; None when the flow is not wanted."""
    flow = wanted.get(FlowKey(step.table_id, step.priority or 0, match_from(step.match)))
    return flow if isinstance(flow, Flow) and flow.cookie == step.cookie else None
