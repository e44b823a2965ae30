"""What a write of an endpoint would be refused for, found out without making it.

All that it names is looked up and checked as the write itself does; no address is picked. So it is not said
whether one will be left, nor what happens at the routers.
"""

from __future__ import annotations

from typing import Any

from controller.api.endpoint_view import NewEndpoint
from controller.api.endpoints import asked, changed
from controller.ipam.known import Known
from controller.ipam.moving import moved, releasing
from controller.ipam.outcome import served
from controller.ipam.unavailable import refuse_held
from controller.parts import parts
from controller.principal import principal
from controller.problem import not_found
from controller.reading import read, referred
from store import keys
from store.model import Endpoint, EndpointState


def try_create(known: Known, wanted: NewEndpoint) -> Endpoint | None:
    """The endpoint that POST would answer with, if it is there.

    Raises `Problem` where POST would, by what is `known` since the last write of something else.
    """
    request = asked(wanted)
    store = parts().store
    if request.id is not None and (found := read(store, keys.ENDPOINTS, request.id)) is not None:
        return served(found.value, request)
    for want in known.terms(request).asked:
        if want.address is not None:
            refuse_held(store, want.pools[0].value, want.address, request.scope, want.pointer)
    return None


def try_change(_known: Known, id: str, patch: dict[str, Any]) -> Endpoint:  # noqa: A002
    """What PATCH would make of an endpoint. Raises `Problem` where that would."""
    store, scope = parts().store, principal().scope
    found = read(store, keys.ENDPOINTS, id)
    if found is None or not scope.has(found.value):
        raise not_found("endpoint", id)
    after = changed(found.value, patch)
    if after != found.value and found.value.state is EndpointState.RELEASING:
        raise releasing(id)
    if after.node != found.value.node:
        return moved(after, referred(store, keys.NODES, after.node, scope))
    return after
