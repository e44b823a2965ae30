"""The step of a trace by a segment: a VLAN behind uplinks, where nobody is asked. Pure."""

from __future__ import annotations

from controller.tracing.ends import End
from store.model import Endpoint
from store.model.trace import TraceStep, Verdict
from store.model.value import TEXT_CHARACTERS


def by_segment(source: Endpoint | None, destination: End) -> TraceStep | None:
    """What becomes of a packet that left by a segment's uplink, or is for an address on one.

    Args:
        source: who sent it, when that is an endpoint.
        destination: for whom it is.

    Returns:
        None where no segment decides: it is for the routers, and to an address that they are told of.
    """
    sent = source.membership if source is not None else None
    to = destination.endpoint.membership if destination.endpoint is not None else None
    if sent is not None and to is not None and sent.segment == to.segment:
        return _step("segment", Verdict.PASSES, f"VLAN {to.segment.vlan} carries it to {destination.words}")
    pool = destination.pool
    if destination.endpoint is None and pool is not None and pool.segment is not None:
        what = f"{destination.address} is on VLAN {pool.segment.vlan}, and no endpoint's"
        return _step("segment", Verdict.UNKNOWN, f"{what}: who answers there is not looked at")
    for on in (sent, to):
        if on is not None and on.gateway(destination.address.version) is None:
            what = f"VLAN {on.segment.vlan} has no router"
            return _step("segment", Verdict.STOPS, what, "its pool was made without a gateway")
    if to is None:
        return None
    what = f"routers have {destination.words} on VLAN {to.segment.vlan}"
    return _step("router", Verdict.PASSES, what, "nothing of a segment is announced, and they are not asked")


def _step(at: str, verdict: Verdict, what: str, reason: str = "") -> TraceStep:
    return TraceStep(at=at, verdict=verdict, what=what[:TEXT_CHARACTERS], reason=reason)
