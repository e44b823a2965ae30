"""/v1/services: addresses that several endpoints hold, each announced where one of them is healthy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controller.answer import Answer
from controller.anycast import Caller
from controller.api import listing
from controller.api.not_by_tenants import refuse_change
from controller.api.noun import Noun, Operation, Patch, has_name, made
from controller.api.parameter import named
from controller.api.service_view import ServiceView, view
from controller.parts import parts
from controller.precondition import demanded_match, match
from controller.principal import principal, request_id
from controller.problem import unknown_reference
from controller.reading import find, read
from controller.registry import Made
from controller.validation import merge, replaced
from controller.watching.topic import Topic
from store import keys
from store.model import NewService, Service

services = Noun()

FILTERS = (
    named("pool", "only services with an address of this pool", "default"),
    named("tenant", "only services of this tenant", "shop"),
)
MUTABLE = ("selector", "check", "communities")


@services.operation(
    Operation(
        "POST",
        "/v1/services",
        "Create a service, which is assigned an address",
        {201: Service, 200: Service},
        body=NewService,
        refuses=(409,),
        foreseen=True,
    )
)
def create_service(wanted: NewService) -> Answer:
    """201 when new; 200 when it is there, with this address or any if none is asked for."""
    return made("services", *_created(_asked(wanted)))


@services.operation(
    Operation(
        "GET",
        "/v1/services",
        "List services",
        {200: Service},
        query=(*listing.PAGING, *FILTERS),
        topic=Topic(keys.SERVICES),
    )
)
def list_services() -> Answer:
    """Every service, by name."""
    return listing.stored(keys.SERVICES, filters=FILTERS)


@services.operation(
    Operation("GET", "/v1/services/{name}", "Read a service", {200: ServiceView}, refuses=(404,))
)
def get_service(name: str) -> Answer:
    """One service, with its endpoints, the nodes that announce it, and why others do not."""
    found = find(parts().store, keys.SERVICES, name, principal().scope)
    return Answer(view(parts().store, found.value, principal().scope), revision=found.mod_revision)


@services.operation(
    Operation(
        "PUT",
        "/v1/services/{name}",
        "Create or replace a service",
        {200: Service, 201: Service},
        body=NewService,
        refuses=(409,),
        matches=True,
        foreseen=True,
    )
)
def put_service(name: str, wanted: NewService) -> Answer:
    """What it becomes is all in the body, save an address that is left out: it keeps the one it has."""
    has_name(name, wanted.name)
    asked = _asked(wanted)
    return made(
        "services",
        *parts().registry.replace(
            keys.SERVICES,
            name,
            lambda: _created(asked),
            lambda stored: replaced(stored, _placed(asked, stored), MUTABLE),
            demanded_match(),
            principal().scope,
        ),
    )


@services.operation(
    Operation(
        "PATCH",
        "/v1/services/{name}",
        "Change a service",
        {200: Service},
        body=Patch(Service, MUTABLE),
        refuses=(404,),
        matches=True,
        foreseen=True,
    )
)
def change_service(name: str, patch: dict[str, Any]) -> Answer:
    """Its selector, check and communities."""
    changed = parts().registry.change(
        keys.SERVICES,
        name,
        lambda service: _changed(service, patch),
        match(),
        principal().scope,
    )
    return Answer(changed.value, revision=changed.mod_revision)


@services.operation(
    Operation(
        "DELETE",
        "/v1/services/{name}",
        "Delete a service",
        {204: None},
        refuses=(404,),
        matches=True,
        foreseen=True,
    )
)
def delete_service(name: str) -> Answer:
    """Its nodes withdraw its address, which cools down."""
    parts().anycast.delete(name, match(), principal().scope)
    return Answer(status=204)


def _created(asked: NewService) -> Made[Service]:
    if asked.communities:
        stored = read(parts().store, keys.SERVICES, asked.name)
        _refuse_communities(stored.value.communities if stored else (), asked.communities)
    return parts().anycast.create(asked, _caller())


def _placed(asked: NewService, stored: Service) -> Service:
    """What is asked for in place of what is stored. A tenant that names no communities leaves them."""
    made = asked.at(asked.address or stored.address)
    if principal().tenant is not None and not asked.communities:
        return made.model_copy(update={"communities": stored.communities})
    _refuse_communities(stored.communities, asked.communities)
    return made


def _changed(service: Service, patch: dict[str, Any]) -> Service:
    changed = merge(Service, service, patch, MUTABLE)
    _refuse_communities(service.communities, changed.communities)
    return changed


def _refuse_communities(before: Sequence[object], wanted: Sequence[object]) -> None:
    refuse_change("communities", before, wanted, "who runs the network")


def _asked(wanted: NewService) -> NewService:
    """What this caller asks for: the bearer of a tenant's token asks for that tenant."""
    caller = principal()
    if caller.tenant is None:
        return wanted
    if wanted.tenant not in {None, caller.tenant}:
        raise unknown_reference("/tenant", "tenant", str(wanted.tenant))
    return wanted.model_copy(update={"tenant": caller.tenant})


def _caller() -> Caller:
    caller = principal()
    return Caller(caller.name, request_id(), caller.scope)
