"""/v1/bgp/router-config and -check: what a router needs in order to peer with nodes, and whether it has it.

A router is one or several peers: those that are named, or those of an AS. Read only.
"""

from __future__ import annotations

from pydantic import BaseModel, TypeAdapter

from bgp.tor.vendors import RENDER, Vendor
from controller.answer import Answer
from controller.api.noun import Noun, Operation
from controller.api.parameter import Number, Parameter
from controller.exchange import argument, current
from controller.parts import parts
from controller.problem import Problem, invalid_parameter
from controller.reading import find, scan
from controller.validation import SHAPES
from intent.router_check import mismatches
from intent.routers import Spoken, router, spoken, unreached
from store import keys
from store.model import Peer, Program
from store.model.value import Name

routers = Noun()

NAME = TypeAdapter(Name).json_schema()
ASN = Number(
    "asn",
    "in place of `peer`: every peer of this AS",
    {"type": "integer", "minimum": 1, "maximum": 4294967295},
    example="64501",
)
CHOICE = (
    Parameter(
        "peer",
        "a peer that is this router; several times where nodes reach it at addresses of their own",
        NAME,
        SHAPES[NAME["pattern"]],
        "tor-a",
        many=True,
    ),
    ASN,
)
VENDOR = Parameter(
    "vendor",
    "what runs on the router",
    {"type": "string", "enum": [each.value for each in Vendor]},
    example=Vendor.FRR.value,
    required=True,
)


class RouterConfigView(BaseModel):
    """The configuration of a router, without its passwords."""

    vendor: Vendor
    asn: int
    peers: list[str]
    secrets: list[str]
    """Those whose passwords belong in the places of `<secret:NAME>`."""
    missing: list[str]
    """What is not in it, and why."""
    text: str


class MismatchView(BaseModel):
    """One thing that is not as it should be with the session of a node with a peer."""

    node: str
    peer: str
    what: str
    wanted: str
    found: str
    cure: str
    """What to change, and where."""


class RouterCheckView(BaseModel):
    """The sessions with a router, and what is not as it should be."""

    peers: list[str]
    sessions: int
    """How many there should be."""
    mismatches: list[MismatchView]


@routers.operation(
    Operation(
        "GET",
        "/v1/bgp/router-config",
        "Make the configuration of a router",
        {200: RouterConfigView},
        query=(VENDOR, *CHOICE),
        refuses=(404,),
    )
)
def router_config() -> Answer:
    """As things are now: with another node or pool it is another one."""
    vendor = argument("vendor")
    if vendor is None:
        raise invalid_parameter("vendor", f"is missing; give one of {', '.join(Vendor)}")
    chosen = _chosen()
    sessions = _sessions(chosen)
    try:
        made = router(sessions, chosen, scan(parts().store, keys.POOLS).values)
    except ValueError as fault:
        raise invalid_parameter("peer" if ASN.given(None) is None else "asn", str(fault)) from None
    view = RouterConfigView(
        vendor=Vendor(vendor),
        asn=made.asn,
        peers=[peer.name for peer in chosen],
        secrets=list(made.secrets),
        missing=unreached(sessions),
        text=RENDER[Vendor(vendor)](made),
    )
    return Answer(view)


@routers.operation(
    Operation(
        "GET",
        "/v1/bgp/router-check",
        "Compare the sessions with a router with what they should be",
        {200: RouterCheckView},
        query=CHOICE,
        refuses=(404,),
    )
)
def router_check() -> Answer:
    """As the speakers report them, and the routers that a controller hears."""
    chosen = _chosen()
    sessions = _sessions(chosen)
    alive = scan(parts().store, keys.ALIVE).values
    speaking = {each.node for each in alive if each.program is Program.SPEAKER}
    verified = {(each.node, each.peer): each for each in scan(parts().store, keys.VERIFIED).values}
    found = mismatches(sessions, speaking, verified)
    view = RouterCheckView(
        peers=[peer.name for peer in chosen],
        sessions=len(sessions),
        mismatches=[MismatchView.model_validate(each, from_attributes=True) for each in found],
    )
    return Answer(view)


def _chosen() -> list[Peer]:
    """The peers that the query names, by name. Raises `Problem`."""
    names, asn = current().arguments.get("peer", []), ASN.given(None)
    if bool(names) == (asn is not None):
        raise invalid_parameter("peer", "give a peer, several, or an asn in place of them")
    store = parts().store
    if asn is None:
        return [find(store, keys.PEERS, name).value for name in sorted(set(names))]
    of_asn = [peer for peer in scan(store, keys.PEERS).values if peer.asn == asn]
    if not of_asn:
        raise Problem("not-found", f"no peer is of AS {asn}")
    return of_asn


def _sessions(chosen: list[Peer]) -> list[Spoken]:
    store = parts().store
    seen = {(each.node, each.peer): each for each in scan(store, keys.SESSIONS).values}
    return spoken(chosen, scan(store, keys.NODES).values, scan(store, keys.PEERS).values, seen)
