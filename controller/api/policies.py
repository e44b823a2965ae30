"""/v1/policies: what selected endpoints may receive and send, and from and to whom."""

from __future__ import annotations

from typing import Any

from controller.answer import Answer
from controller.api import listing
from controller.api.noun import Noun, Operation, Patch, has_name, made
from controller.api.parameter import named
from controller.parts import parts
from controller.precondition import demanded_match, match
from controller.principal import principal
from controller.problem import Problem, unknown_reference
from controller.reading import find
from controller.roles import NETWORK
from controller.validation import merge, replaced, validate
from controller.watching.topic import Topic
from store import keys
from store.model import Policy, Role

policies = Noun()

FILTERS = (named("tenant", "only policies of this tenant", "shop"),)
MUTABLE = ("selector", "order", "mode", "ingress", "egress")
MAY_ASK_FOR_ALL = NETWORK | {Role.READ_ONLY}
"""The latter writes nothing, but may ask what documents would change."""


@policies.operation(
    Operation(
        "POST",
        "/v1/policies",
        "Create a policy",
        {201: Policy, 200: Policy},
        body=Policy,
        refuses=(409,),
        foreseen=True,
    )
)
def create_policy(policy: Policy) -> Answer:
    """201 when new; 200 when an equal one is there."""
    return made("policies", *parts().registry.create_policy(_asked(policy), principal().scope))


@policies.operation(
    Operation(
        "GET",
        "/v1/policies",
        "List policies",
        {200: Policy},
        query=(*listing.PAGING, *FILTERS),
        topic=Topic(keys.POLICIES),
    )
)
def list_policies() -> Answer:
    """Every policy, by name."""
    return listing.stored(keys.POLICIES, filters=FILTERS)


@policies.operation(
    Operation("GET", "/v1/policies/{name}", "Read a policy", {200: Policy, 304: None}, refuses=(404,))
)
def get_policy(name: str) -> Answer:
    """One policy."""
    found = find(parts().store, keys.POLICIES, name, principal().scope)
    return Answer(found.value, revision=found.mod_revision)


@policies.operation(
    Operation(
        "PUT",
        "/v1/policies/{name}",
        "Create or replace a policy",
        {200: Policy, 201: Policy},
        body=Policy,
        refuses=(409,),
        matches=True,
        foreseen=True,
    )
)
def put_policy(name: str, policy: Policy) -> Answer:
    """What it becomes is all in the body; the precondition says of which state."""
    has_name(name, policy.name)
    asked, scope, registry = _asked(policy), principal().scope, parts().registry
    return made(
        "policies",
        *registry.replace(
            keys.POLICIES,
            name,
            lambda: registry.create_policy(asked, scope),
            lambda stored: replaced(stored, asked, MUTABLE),
            demanded_match(),
            scope,
        ),
    )


@policies.operation(
    Operation(
        "PATCH",
        "/v1/policies/{name}",
        "Change a policy",
        {200: Policy},
        body=Patch(Policy, MUTABLE),
        refuses=(404,),
        matches=True,
        foreseen=True,
    )
)
def change_policy(name: str, patch: dict[str, Any]) -> Answer:
    """All but its name and its tenant. Rules are replaced whole, as any list of a merge patch is."""

    def edit(policy: Policy) -> Policy:
        _may_write(policy)
        return merge(Policy, policy, patch, MUTABLE)

    changed = parts().registry.change(keys.POLICIES, name, edit, match(), principal().scope)
    return Answer(changed.value, revision=changed.mod_revision)


@policies.operation(
    Operation(
        "DELETE",
        "/v1/policies/{name}",
        "Delete a policy",
        {204: None},
        refuses=(404,),
        matches=True,
        foreseen=True,
    )
)
def delete_policy(name: str) -> Answer:
    """What it allowed or denied is decided by the others, or by the tenant's default, from then on."""
    parts().retirer.delete_policy(name, _may_write, match(), principal().scope)
    return Answer(status=204)


def _asked(policy: Policy) -> Policy:
    """What this caller asks for: the bearer of a tenant's token asks for that tenant."""
    caller = principal()
    if caller.tenant is None:
        _may_write(policy)
        return policy
    if policy.tenant not in {None, caller.tenant}:
        raise unknown_reference("/tenant", "tenant", str(policy.tenant))
    return validate(Policy, {**policy.model_dump(mode="json"), "tenant": caller.tenant})


def _may_write(policy: Policy) -> None:
    """Refuse a policy for endpoints of all tenants to who may not write such. Raises `Problem`."""
    caller = principal()
    if policy.tenant is None and caller.tenant is None and caller.role not in MAY_ASK_FOR_ALL:
        detail = "a policy without tenant is for the endpoints of all; name a tenant, or ask role network"
        raise Problem("forbidden", detail)
