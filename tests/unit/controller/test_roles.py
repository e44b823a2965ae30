"""Every route with every role: what the table says is what happens, and the table says what it should."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from controller.app import ROUTES as ROUTED
from controller.roles import ALLOWED, OPEN
from store.model import Role
from tests.unit.controller.guarded import Guarded, guarded

READS = {"GET", "HEAD"}


def routes() -> list[tuple[str, str]]:
    """Each method and route that the application really has."""
    return sorted((route.method, route.path) for route in ROUTED)


ROUTES = routes()
IN_TABLE = {(method, path) for path, methods in ALLOWED.items() for method in methods}


@pytest.fixture(scope="module")
def closed() -> Iterator[Guarded]:
    with guarded() as made:
        for role in Role:
            limits = {Role.TENANT: {"tenant": "t"}, Role.NODE: {"node": "n"}}.get(role, {})
            made.give(role.value, role, **limits)
        yield made


def test_the_table_says_of_each_route_who_may_and_has_no_other() -> None:
    """A new route needs its line in controller/roles.py: without it nobody may use it."""
    assert set(ROUTES) == IN_TABLE


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_route_with_each_role(closed: Guarded, method: str, path: str, role: Role) -> None:
    answer = closed.send(role.value, method, re.sub(r"{\w+}", "nothing", path))
    if role in ALLOWED[path][method]:
        # What becomes of it then is of no matter here; a read is of nothing, a write has no body.
        assert answer.status_code not in {401, 403, 405}, answer.text
        assert answer.status_code < 500
        return
    assert (answer.status_code, answer.json["type"]) == (403, "/problems/forbidden")
    for may in ALLOWED[path][method]:
        assert may in answer.json["detail"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_each_route_without_a_token(closed: Guarded, method: str, path: str) -> None:
    answer = closed.send(None, method, re.sub(r"{\w+}", "nothing", path))
    if path in OPEN:
        # Without a body, and a controller that cannot sign: but not refused for want of a token.
        assert answer.status_code in {200, 409, 415}
    else:
        assert (answer.status_code, answer.json["type"]) == (401, "/problems/unauthorized")


def may(role: Role) -> set[tuple[str, str]]:
    return {(method, path) for method, path in IN_TABLE if role in ALLOWED[path][method]}


def test_an_admin_may_do_everything() -> None:
    assert may(Role.ADMIN) == set(IN_TABLE)


def test_only_an_admin_sees_tokens() -> None:
    for method, path in IN_TABLE:
        if path.startswith("/v1/tokens"):
            assert ALLOWED[path][method] == {Role.ADMIN}


def test_read_only_reads_all_else_and_writes_nothing() -> None:
    reads = {(method, path) for method, path in IN_TABLE if method in READS} | {("POST", "/v1/impact")}
    allowed = {(method, path) for method, path in may(Role.READ_ONLY) if method in READS or path not in OPEN}
    assert allowed == {(m, path) for m, path in reads if not path.startswith("/v1/tokens")}


@pytest.mark.parametrize(
    ("role", "writes"),
    [
        (
            Role.NETWORK,
            (
                "/v1/pools",
                "/v1/peers",
                "/v1/impact",
                "/v1/bgp",
                "/v1/services",
                "/v1/policies",
                "/v1/nodes/{name}:",
            ),
        ),
        (
            Role.PLATFORM,
            (
                "/v1/nodes",
                "/v1/impact",
                "/v1/tenants",
                "/v1/endpoints",
                "/v1/addresses",
                "/v1/services",
                "/v1/policies",
            ),
        ),
        (Role.TENANT, ("/v1/endpoints", "/v1/services", "/v1/policies", "/v1/impact")),
        (Role.NODE, ("/v1/endpoints", "/v1/impact")),
    ],
)
def test_a_role_writes_its_own_nouns_only(role: Role, writes: tuple[str, ...]) -> None:
    allowed = {path for method, path in may(role) if method not in READS} - OPEN
    assert [path for path in allowed if not path.startswith(writes)] == []


@pytest.mark.parametrize("role", [Role.TENANT, Role.NODE])
def test_who_is_limited_sees_nothing_of_the_network(role: Role) -> None:
    hidden = ("/v1/peers", "/v1/bgp", "/v1/blocks", "/v1/tokens", "/metrics")
    assert [path for _, path in may(role) if path.startswith(hidden)] == []
    assert ("GET", "/v1/nodes") not in may(Role.TENANT)


def test_a_method_that_no_route_has_is_no_way_in(closed: Guarded) -> None:
    for method in ("HEAD", "OPTIONS", "PUT", "TRACE"):
        assert closed.send(None, method, "/v1/pools").status_code == 401
        assert closed.send("tenant", method, "/v1/peers").status_code in {200, 403, 405}
    assert closed.send("tenant", "HEAD", "/v1/peers").status_code == 403
    assert closed.send("tenant", "HEAD", "/v1/pools").status_code == 200
