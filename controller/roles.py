"""Which roles may use which route: one table, and nothing is allowed that it does not say.

A route that is not in it is refused to everybody, and a test finds it. What of the things behind a route a
role may see and touch is another question: `controller.scope`.
"""

from __future__ import annotations

from collections.abc import Mapping

from store.model import Role

Roles = frozenset[Role]

EVERY_ROLE: Roles = frozenset(Role)
ADMINS: Roles = frozenset({Role.ADMIN})
NETWORK: Roles = ADMINS | {Role.NETWORK}
PLATFORM: Roles = ADMINS | {Role.PLATFORM}
READERS: Roles = NETWORK | PLATFORM | {Role.READ_ONLY}
TENANT_READERS: Roles = READERS | {Role.TENANT}
NODE_READERS: Roles = READERS | {Role.NODE}
TENANTS: Roles = PLATFORM | {Role.TENANT}
SERVERS: Roles = TENANTS | {Role.NETWORK}
CLIENTS: Roles = TENANTS | {Role.NODE}

ALLOWED: Mapping[str, Mapping[str, Roles]] = {
    "/healthz": {"GET": EVERY_ROLE},
    "/readyz": {"GET": EVERY_ROLE},
    "/metrics": {"GET": READERS},
    "/docs": {"GET": EVERY_ROLE},
    "/v1/openapi.json": {"GET": EVERY_ROLE},
    "/v1/tokens": {"GET": ADMINS, "POST": ADMINS},
    "/v1/tokens/{name}": {"GET": ADMINS, "DELETE": ADMINS},
    "/v1/tokens/{name}:rotate": {"POST": ADMINS},
    "/v1/pools": {"GET": TENANT_READERS, "POST": NETWORK},
    "/v1/pools/{name}": {"GET": TENANT_READERS, "PUT": NETWORK, "PATCH": NETWORK, "DELETE": NETWORK},
    "/v1/pools/{name}/usage": {"GET": READERS},
    "/v1/pools/{name}/plan": {"GET": READERS},
    "/v1/restore": {"GET": READERS},
    "/v1/restore:finish": {"POST": ADMINS},
    "/v1/peers": {"GET": READERS, "POST": NETWORK},
    "/v1/peers/{name}": {"GET": READERS, "PUT": NETWORK, "PATCH": NETWORK, "DELETE": NETWORK},
    "/v1/services": {"GET": TENANT_READERS, "POST": SERVERS},
    "/v1/services/{name}": {"GET": TENANT_READERS, "PUT": SERVERS, "PATCH": SERVERS, "DELETE": SERVERS},
    "/v1/policies": {"GET": TENANT_READERS, "POST": SERVERS},
    "/v1/policies/{name}": {"GET": TENANT_READERS, "PUT": SERVERS, "PATCH": SERVERS, "DELETE": SERVERS},
    "/v1/policies/{name}/stats": {"GET": TENANT_READERS},
    "/v1/peers/{name}:drain": {"POST": NETWORK},
    "/v1/peers/{name}:undrain": {"POST": NETWORK},
    "/v1/drains": {"GET": READERS},
    "/v1/impact": {"POST": EVERY_ROLE},
    "/v1/bgp/sessions": {"GET": READERS},
    "/v1/bgp/sessions/{node}/{peer}": {"GET": READERS},
    "/v1/bgp/imported": {"GET": READERS},
    "/v1/bgp/routes": {"GET": READERS},
    "/v1/bgp/router-config": {"GET": READERS},
    "/v1/bgp/router-check": {"GET": READERS},
    "/v1/bgp/differences": {"GET": READERS},
    "/v1/blocks": {"GET": READERS},
    "/v1/nodes": {"GET": NODE_READERS, "POST": PLATFORM},
    "/v1/nodes/{name}": {
        "GET": NODE_READERS,
        "PUT": PLATFORM,
        "PATCH": PLATFORM,
        "DELETE": PLATFORM,
    },
    "/v1/nodes/{name}/diff": {"GET": READERS},
    "/v1/nodes/{name}/drops": {"GET": READERS},
    "/v1/endpoints/{id}/stats": {"GET": EVERY_ROLE},
    "/v1/endpoints/{id}/drops": {"GET": EVERY_ROLE},
    "/v1/trace": {"GET": READERS},
    "/v1/tenants": {"GET": TENANT_READERS, "POST": PLATFORM},
    "/v1/tenants/{name}": {
        "GET": TENANT_READERS,
        "PUT": PLATFORM,
        "PATCH": PLATFORM,
        "DELETE": PLATFORM,
    },
    "/v1/nodes/{name}:drain": {"POST": NETWORK | PLATFORM},
    "/v1/nodes/{name}:undrain": {"POST": NETWORK | PLATFORM},
    "/v1/nodes/{name}:join-token": {"POST": PLATFORM},
    "/v1/join": {"GET": EVERY_ROLE, "POST": EVERY_ROLE},
    "/v1/join:renew": {"POST": EVERY_ROLE},
    "/v1/endpoints": {"GET": EVERY_ROLE, "POST": CLIENTS},
    "/v1/endpoints:batch": {"POST": CLIENTS},
    "/v1/endpoints:release": {"POST": CLIENTS},
    "/v1/endpoints/{id}": {"GET": EVERY_ROLE, "PATCH": TENANTS, "DELETE": CLIENTS},
    "/v1/endpoints/{id}/move": {"GET": EVERY_ROLE},
    "/v1/addresses": {"GET": EVERY_ROLE},
    "/v1/events": {"GET": EVERY_ROLE},
    "/v1/addresses:check": {"GET": READERS},
    "/v1/addresses/{address}": {"GET": EVERY_ROLE},
}
"""Path, method, roles. A path is written as in the OpenAPI document."""

OPEN = frozenset({"/healthz", "/readyz", "/docs", "/v1/join", "/v1/join:renew"})
"""What needs no token at all: a load balancer has none, and a host that joins shows a secret in the body."""


def allowed(method: str, path: str) -> Roles | None:
    """The roles that may use a method of a route; None when the table lacks it."""
    return ALLOWED.get(path, {}).get("GET" if method == "HEAD" else method)


def named(roles: Roles) -> str:
    """Roles for a sentence, in the order of their declaration."""
    return ", ".join(role for role in Role if role in roles)
