"""What `ofproto/trace` says, as steps: the flow of each table that a packet met, and where it left. Pure.

The text is for people and differs between versions of Open vSwitch; what is not understood is kept as text of
the step that it belongs to, so that nothing is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from openflow.flow import LOCAL

# ` 0. ip,in_port=1,nw_src=10.64.0.7, priority 100, cookie 0x504c445200010001`, ` 3. No match.`
_STEP = re.compile(r"^ *(?P<table>\d+)\. (?P<rest>.*)$")
_FLOW = re.compile(
    r"^(?:(?P<match>.*?),? ?)?priority (?P<priority>\d+)(?:, cookie (?P<cookie>0x[0-9a-f]+))?$"
)
_OUTPUT = re.compile(r"^(?:output:)?(?P<port>\d+|LOCAL)$")


@dataclass(frozen=True, slots=True)
class Step:
    """A table, and the flow that the packet met there; `priority` is None when it met none."""

    table_id: int
    match: str
    priority: int | None
    cookie: int
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Traced:
    """The way of a packet through a bridge. `outputs` are the ports that it leaves by; without it ends."""

    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


def traced(text: str) -> Traced:
    """Read what `ofproto/trace` has answered; what comes after conntrack belongs to what was before."""
    steps: list[Step] = []
    outputs: list[int] = []
    for line in text.splitlines():
        if (found := _STEP.match(line)) is not None:
            steps.append(_step(int(found["table"]), found["rest"]))
        elif steps and line.startswith("    ") and (action := line.strip()):
            steps[-1] = _with(steps[-1], action)
            if (output := _OUTPUT.match(action)) is not None:
                outputs.append(LOCAL if output["port"] == "LOCAL" else int(output["port"]))
    return Traced(tuple(steps), tuple(outputs))


def _step(table_id: int, rest: str) -> Step:
    found = _FLOW.match(rest)
    if found is None:
        return Step(table_id, "" if rest == "No match." else rest, None, 0, ())
    return Step(
        table_id,
        (found["match"] or "").strip(" ,"),
        int(found["priority"]),
        int(found["cookie"] or "0", 16),
        (),
    )


def _with(step: Step, action: str) -> Step:
    if action.startswith(("->", "thaw", "Resuming from table")):
        return step
    return Step(step.table_id, step.match, step.priority, step.cookie, (*step.actions, action))
