"""/v1/endpoints: workloads' interfaces, each with an address of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from controller.answer import Answer
from controller.api import idempotency, listing
from controller.api.endpoint_view import EndpointView, NewEndpoint, new_texts, rows, view, views
from controller.api.endpoint_watch import SAID_BY_NODES
from controller.api.not_by_tenants import refuse_change
from controller.api.noun import Noun, Operation, Patch
from controller.api.parameter import LABEL, Number, Parameter, in_pool, named, one_of
from controller.exchange import argument
from controller.ipam.overlap import DEFAULT_S
from controller.ipam.request import Request
from controller.parts import Parts, parts
from controller.precondition import match
from controller.principal import principal, request_id
from controller.problem import Problem, not_found, unknown_reference
from controller.reading import Listing, read
from controller.validation import merge
from controller.watching.topic import Topic
from store import keys
from store.client import Store
from store.model import Endpoint, EndpointState
from store.model.move import MAX_OVERLAP_S
from store.model.value import Uid

endpoints = Noun()

MUTABLE = ("node", "labels", "qos")
OPERATORS = "who runs the nodes"
OF_UID = Parameter(
    "uid",
    "only the assignment with this uid; 409 when another one has the id now",
    TypeAdapter(Uid).json_schema(),
    "the uid of an endpoint: 32 digits of 0-9a-f",
    "0" * 32,
)
OVERLAP = Number(
    "overlap_s",
    "of a move: the seconds for which the node that it leaves goes on, unless the other one delivers and "
    f"announces it before; 0 is not at all, {DEFAULT_S} when not given",
    {"type": "integer", "minimum": 0, "maximum": MAX_OVERLAP_S},
    example="60",
)
FILTERS = (
    named("node", "only endpoints on this node", "node-1"),
    in_pool("only endpoints with an address of this pool"),
    named("tenant", "only endpoints of this tenant", "shop"),
    one_of("state", "only endpoints in this state", EndpointState),
    LABEL,
)


@endpoints.operation(
    Operation(
        "POST",
        "/v1/endpoints",
        "Create an endpoint, which is assigned an address",
        {201: EndpointView, 200: EndpointView},
        body=NewEndpoint,
        refuses=(409,),
        keyed=True,
    )
)
def create_endpoint(wanted: NewEndpoint) -> Answer:
    """201 when new; 200 when the same request was answered before."""
    shared, key = parts(), idempotency.key()
    asked_for = asked(wanted)
    if key is None or wanted.id is not None:
        made, new = shared.allocator.assign(asked_for)
    else:
        made, new = _assign_keyed(shared, asked_for._replace(id=idempotency.derived(key), keyed=True))
    location = f"/v1/endpoints/{made.id}"
    if not new:
        return Answer(view(shared.store, made), 200, location)
    for pool in made.pools:
        shared.metrics.assigned(pool)
    return Answer(new_texts([made])[0], 201, location)


def _assign_keyed(shared: Parts, wanted: Request) -> tuple[Endpoint, bool]:
    try:
        return shared.allocator.assign(wanted)
    except Problem as problem:
        raise idempotency.reused(problem) from None


def asked(wanted: NewEndpoint) -> Request:
    """What this caller asks for: the bearer of a tenant's token asks for that tenant.

    Raises:
        Problem: it asks for a tenant or a node that does not exist for it, or for what it may not have.
    """
    caller = principal()
    if caller.tenant is not None and wanted.tenant not in {None, caller.tenant}:
        raise unknown_reference("/tenant", "tenant", str(wanted.tenant))
    if caller.node not in {None, wanted.node}:
        raise unknown_reference("/node", "node", wanted.node, [str(caller.node)])
    refuse_change("qos", None, wanted.qos, OPERATORS)
    tenant = caller.tenant or wanted.tenant
    return wanted.request(tenant, by=caller.name, request=request_id(), scope=caller.scope)


def changed(endpoint: Endpoint, patch: dict[str, Any]) -> Endpoint:
    """What a merge patch makes of an endpoint. Raises `Problem` where this caller may not do that."""
    after = merge(Endpoint, endpoint, patch, MUTABLE)
    refuse_change("qos", endpoint.qos, after.qos, OPERATORS)
    return after


def _watched(store: Store, shown: Sequence[Endpoint], settled: bool) -> list[str]:
    if settled:
        return new_texts(shown)
    return [each.model_dump_json() for each in views(store, shown)]


@endpoints.operation(
    Operation(
        "GET",
        "/v1/endpoints",
        "List endpoints",
        {200: EndpointView},
        query=(*listing.PAGING, *FILTERS),
        topic=Topic(keys.ENDPOINTS, _watched, SAID_BY_NODES),
    )
)
def list_endpoints() -> Answer:
    """Every endpoint, by id."""
    node = argument("node")
    kind = keys.NODE_ENDPOINTS if node else keys.ENDPOINTS
    found: Listing[Endpoint] = listing.paged(kind, node, filters=FILTERS)
    return listing.render(rows(parts().store, found.values), found)


@endpoints.operation(
    Operation("GET", "/v1/endpoints/{id}", "Read an endpoint", {200: EndpointView}, refuses=(404,))
)
def get_endpoint(id: str) -> Answer:  # noqa: A002
    """One endpoint."""
    found = read(parts().store, keys.ENDPOINTS, id)
    if found is None or not principal().scope.has(found.value):
        raise not_found("endpoint", id)
    return Answer(view(parts().store, found.value), revision=found.mod_revision)


@endpoints.operation(
    Operation(
        "PATCH",
        "/v1/endpoints/{id}",
        "Change an endpoint's labels or quality of service, or move it to another node",
        {200: EndpointView},
        body=Patch(Endpoint, MUTABLE),
        query=(OVERLAP,),
        refuses=(404, 409),
        matches=True,
    )
)
def change_endpoint(id: str, patch: dict[str, Any]) -> Answer:  # noqa: A002
    """It keeps its addresses; its MTU becomes that of the new node.

    Where both nodes are up the old one goes on until the new one delivers and announces it.
    """
    found = parts().mover.change(
        id,
        lambda endpoint: changed(endpoint, patch),
        match(),
        principal().scope,
        overlap_s=OVERLAP.given(DEFAULT_S),
    )
    return Answer(view(parts().store, found.value), revision=found.mod_revision)


@endpoints.operation(
    Operation(
        "DELETE",
        "/v1/endpoints/{id}",
        "Delete an endpoint",
        {204: None, 202: EndpointView},
        query=(OF_UID,),
        refuses=(404, 409),
        matches=True,
    )
)
def delete_endpoint(id: str) -> Answer:  # noqa: A002
    """204 when it is gone; 202 while its node takes it down. Its address cools down after that."""
    releasing = parts().releaser.release(id, match(), argument("uid"), principal().scope)
    if releasing is None:
        return Answer(status=204)
    return Answer(view(parts().store, releasing), 202)
