"""/v1/trace: the way of a packet, step by step, and where and why it stops. Nothing is sent."""

from __future__ import annotations

from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.api.parameter import Number, Parameter
from controller.exchange import argument
from controller.parts import parts
from controller.problem import invalid_parameter
from controller.tracing.ends import ends
from controller.tracing.way import TraceView, Way
from store.model.trace import Protocol

traces = Noun()

END = {"type": "string", "maxLength": 128, "minLength": 1}
PORT = Number(
    "port",
    "the destination port of tcp and udp; they need it",
    {"type": "integer", "minimum": 1, "maximum": 65535},
    example="80",
)
QUERY = (
    Parameter(
        "source",
        "where it comes from: an endpoint's id, or an address",
        END,
        example="web-1",
        required=True,
    ),
    Parameter("destination", "where it goes, likewise", END, example="10.64.0.99", required=True),
    Parameter(
        "protocol",
        "what it carries; icmp, an echo request, when not given",
        {"type": "string", "enum": [each.value for each in Protocol]},
        example="tcp",
    ),
    PORT,
)


@traces.operation(Operation("GET", "/v1/trace", "Trace a packet", {200: TraceView}, query=QUERY))
def trace() -> Answer:
    """From its source to its destination, as the switches and kernels on its way would treat it now."""
    source, destination = argument("source"), argument("destination")
    for name, given in (("source", source), ("destination", destination)):
        if not given:
            raise invalid_parameter(name, "is missing; give the id of an endpoint, or an address")
    protocol, port = Protocol(argument("protocol") or Protocol.ICMP), PORT.given(None)
    if (port is None) != (protocol is Protocol.ICMP):
        raise invalid_parameter("port", "goes with protocol tcp or udp, which need it")
    store = parts().store
    one, other = ends(store, str(source), str(destination))
    return Answer(Way(store, parts().asking, one, other, protocol, port or 0).follow())
