"""What a request comes to that made no endpoint: it was served before, or gets none, and why."""

from __future__ import annotations

from controller.ipam.request import Request
from controller.problem import Fault, Problem
from store.errors import Corrupt, Restored, StoreError, Unavailable
from store.model import Endpoint, EndpointState


def is_answer(endpoint: Endpoint, request: Request) -> bool:
    """Whether an endpoint was made for this request, whatever became of it, or is what it asks for."""
    if endpoint.asked and (request.keyed or endpoint.asked == request.digest):
        return endpoint.asked == request.digest
    same = (
        endpoint.node == request.node
        and endpoint.tenant == request.tenant
        and endpoint.labels == dict(request.labels)
        and request.qos in (None, endpoint.qos)
        and endpoint.kind is request.endpoint_kind
        and request.mac in {None, endpoint.mac}
        and set(request.pools) <= set(endpoint.pools)
        and set(request.addresses) <= set(endpoint.addresses)
    )
    if request.families:
        return same and {address.version for address in endpoint.addresses} == set(request.families)
    if not request.pools and not request.addresses:
        return same and len(endpoint.addresses) == 1
    return same and all(
        pool in request.pools or address in request.addresses for address, pool in endpoint.placed
    )


def served(endpoint: Endpoint, request: Request) -> Endpoint:
    """The endpoint that has the id of a request, as its answer. Raises `Problem` where it is none."""
    if not request.scope.has(endpoint):
        detail = f"id {endpoint.id} is taken; use another id"
        raise Problem("conflict", detail, errors=[Fault(detail, "/id")])
    if endpoint.state is EndpointState.RELEASING:
        detail = f"endpoint {endpoint.id} is being deleted; repeat when it is gone, or use another id"
        raise Problem("releasing", detail, errors=[Fault(detail, "/id")], retry_after_s=1)
    if not is_answer(endpoint, request):
        raise taken(endpoint)
    return endpoint


def taken(endpoint: Endpoint) -> Problem:
    """The id of a request is that of an endpoint which it does not ask for."""
    where = f"on {endpoint.node} with {', '.join(map(str, endpoint.addresses))}"
    detail = f"endpoint {endpoint.id} exists {where}, made by another request; use another id"
    return Problem("conflict", detail, errors=[Fault(detail, "/id")])


def busy(request: Request) -> Problem:
    """A request lost every race."""
    detail = f"pools, nodes, or what is free for node {request.node}, change all the time; repeat in a moment"
    return Problem("busy", detail, retry_after_s=1)


def failed(endpoint_id: str, fault: StoreError) -> Problem:
    """The store's failure as the answer to a request for this endpoint."""
    if isinstance(fault, Corrupt):
        return Problem("corrupt", f"the value at {fault.key} cannot be read; the log says why")
    if isinstance(fault, Restored):
        return Problem("restoring", str(fault), retry_after_s=1)
    if not isinstance(fault, Unavailable) or not fault.outcome_unknown:
        return Problem("unavailable", f"etcd: {fault}", retry_after_s=1)
    # The caller may not know the id that we made up: without it nobody could ask again.
    return Problem(
        "unavailable",
        f"whether endpoint {endpoint_id} was created is not known; repeat the request with this id",
        retry_after_s=1,
        endpoint=endpoint_id,
    )
