"""Samples of what is dropped or logged: which flows send headers of packets to the agent, and how many. Pure.

A flow that drops writes into a register which one it is, and visits `sample`. The switch itself lets only so
many go on in a second, by the meter that it has for all packets to controllers: a flood costs it what
a drop without samples would. Without that meter there is no flow that sends anything.

What is dropped visits `denied` on the way, unless the flow that drops it is one endpoint's. There each
endpoint has a flow for what it sent and nobody may send, and one with rules two more: for what rules, or its
connection, drop of what it sent, and of what was for it. Of what a rule lets go on and logs only packets that
open a connection are sampled, and all of protocols that are not tracked.
"""

from __future__ import annotations

from collections.abc import Iterator

from openflow.connections import NEW, UNTRACKED
from openflow.cookie import Purpose
from openflow.flow import CONTROLLER, Flow, Output, Visit
from openflow.meter import TO_CONTROLLERS, Meter, Unit
from openflow.tables import DENIED, LOGGED, OUT, SAMPLE, SAMPLE_ID, UNRULED

SAMPLES_PER_S = 20
SAMPLES = Meter(TO_CONTROLLERS, Unit.PACKETS, SAMPLES_PER_S, SAMPLES_PER_S, "samples of what is dropped")


def sampling_flows() -> Iterator[Flow]:
    """Those that are the same whatever endpoints there are."""
    onward = (Visit(SAMPLE_ID),)
    yield DENIED.flow(0, Purpose.SAMPLE, onward, "of no endpoint, or of a service", {})
    yield LOGGED.flow(100, Purpose.SAMPLE, onward, "opens a connection", NEW)
    yield LOGGED.flow(100, Purpose.SAMPLE, onward, "of a protocol that is not tracked", UNTRACKED)
    yield SAMPLE.flow(0, Purpose.SAMPLE, (Output(CONTROLLER),), "some of it, for the agent", {})


def denied_flows(ofport: int, endpoint: str, *, tracked: bool) -> Iterator[Flow]:
    """The flows that count what is dropped of an endpoint, which way; only those with rules are `tracked`."""
    onward = (Visit(SAMPLE_ID),)
    sent, received = {"in_port": ofport, OUT: 0}, {OUT: ofport}
    why = f"whatever the rules, sent by {endpoint}"
    yield DENIED.flow(110, Purpose.DENIED, onward, why, {**sent, **UNRULED})
    if tracked:
        yield DENIED.flow(
            100, Purpose.DENIED, onward, f"by rules, or as of no connection, sent by {endpoint}", sent
        )
        yield DENIED.flow(
            100, Purpose.DENIED, onward, f"by rules, or as of no connection, for {endpoint}", received
        )
