"""The WSGI application: the routes over one store, and every error as a problem."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from json.encoder import encode_basestring_ascii as quoted
from operator import attrgetter
from typing import Any

from falcon import App, HTTPError, HTTPMethodNotAllowed, HTTPRouteNotFound, Response

from controller import page, trail
from controller.admission import MAX_IN_HAND, Admission
from controller.answer import Answer
from controller.api.addresses import addresses
from controller.api.batch import batches
from controller.api.bgp import bgp
from controller.api.check import checks
from controller.api.drains import drains
from controller.api.endpoints import endpoints
from controller.api.events import events
from controller.api.health import health
from controller.api.impacts import impacts
from controller.api.joins import joins
from controller.api.moves import moves
from controller.api.nodes import nodes
from controller.api.noun import Noun, Route
from controller.api.peers import peers
from controller.api.policies import policies
from controller.api.pools import pools
from controller.api.questions import questions
from controller.api.releases import releases
from controller.api.restore import restore
from controller.api.routers import routers
from controller.api.services import services as services_
from controller.api.tenants import tenants
from controller.api.tokens import tokens
from controller.api.traces import traces
from controller.api.usage import pool_usage
from controller.api.verification import verification
from controller.audit import LONGEST_PATH, AuditFile, Auditor
from controller.auth import Doors, Gate
from controller.exchange import Exchange, begin
from controller.openapi import document
from controller.parts import Parts
from controller.problem import Problem
from store.client import Store
from store.errors import Corrupt, Restored, StoreError

log = logging.getLogger(__name__)

NOUNS = (
    pools,
    pool_usage,
    nodes,
    questions,
    traces,
    joins,
    peers,
    services_,
    policies,
    drains,
    tenants,
    endpoints,
    moves,
    batches,
    releases,
    addresses,
    checks,
    impacts,
    bgp,
    routers,
    verification,
    events,
    tokens,
    restore,
    health,
)
RETRY_AFTER_S = 2


OPEN_DOORS = Doors()


def create_app(
    store: Store,
    *,
    doors: Doors = OPEN_DOORS,
    parts: Parts | None = None,
    audit_file: AuditFile | None = None,
    max_in_hand: int = MAX_IN_HAND,
) -> Application:
    """The application.

    Args:
        store: the truth. It need not answer yet.
        doors: who is let in.
        parts: what the handlers work with; made when not given.
        audit_file: where each write is told of, beside the log.
        max_in_hand: requests that may wait for the store at a time; more are refused at once.
    """
    shared = parts or Parts.build(store)
    gate = Gate(shared.bearers, shared.clock, doors)
    auditor = Auditor(shared.clock, audit_file)
    app = Application(Passage(shared, auditor, Admission(max_in_hand), gate), gate)
    path_of = attrgetter("path")
    for path, routes in groupby(sorted(ROUTES, key=path_of), key=path_of):
        app.add_route(path, Resource(tuple(routes)))
    return app


class Passage:
    """What every request goes through, on its way in and on its way out (falcon's middleware)."""

    def __init__(self, parts: Parts, auditor: Auditor, admission: Admission, gate: Gate) -> None:
        self._parts = parts
        self._auditor = auditor
        self._admission = admission
        self._gate = gate

    def process_request(self, exchange: Exchange, response: Response) -> None:
        """Before its route is known."""
        exchange.parts = self._parts
        begin(exchange)
        self._auditor.begin(exchange)
        self._admission.enter(exchange)
        self._gate.enter(exchange)

    def process_resource(
        self, exchange: Exchange, response: Response, resource: Resource, parts: Mapping[str, str]
    ) -> None:
        """Its path has a route, as falcon sees it: an empty part is a name to that, and `//` a beginning."""
        if not all(parts.values()) or exchange.path.startswith("//"):
            raise HTTPRouteNotFound
        if exchange.method in resource.methods:
            self._gate.admit(exchange, str(exchange.uri_template))
        elif "\n" in exchange.path:
            raise HTTPRouteNotFound  # falcon passed by what takes the method: no part of a path has a newline
        elif exchange.method != "OPTIONS":
            raise HTTPMethodNotAllowed(sorted({*resource.methods, "OPTIONS"}))

    def process_response(
        self, exchange: Exchange, response: Response, resource: Resource | None, succeeded: bool
    ) -> None:
        """Its answer is known."""
        for name, value in exchange.rate_headers.items():
            response.set_header(name, value)
        self._auditor.finish(exchange, response)
        # A path that no route has would make a time series of its own for each.
        route = exchange.uri_template or "unknown"
        seconds = time.perf_counter() - exchange.began
        self._parts.metrics.request(exchange.method, route, response.status_code, seconds)
        exchange.give_back()
        trail.end()


class Resource:
    """The routes of one path. falcon looks for its responders by their names."""

    def __init__(self, routes: Sequence[Route]) -> None:
        responders = {route.method: route.respond for route in routes}
        if "GET" in responders:
            responders.setdefault("HEAD", responders["GET"])
        self.methods = frozenset(responders)
        for method, respond in responders.items():
            setattr(self, f"on_{method.lower()}", respond)


class Application(App):  # type: ignore[type-arg]
    """A WSGI application (PEP 3333) whose errors are problems (RFC 9457)."""

    def __init__(self, passage: Passage, gate: Gate) -> None:
        super().__init__(request_type=Exchange, middleware=passage)
        self._gate = gate
        self.add_error_handler(Exception, _internal)
        self.add_error_handler(HTTPError, _refused)
        self.add_error_handler(StoreError, _store_failed)
        self.add_error_handler(Problem, _render)

    def whose(self, environ: Mapping[str, Any]) -> str | None:
        """Who sends a request, by its head; None for who has no good token: his body is not read."""
        return self._gate.whose(environ)


def _openapi() -> Answer:
    """The document of the API, for machines."""
    return Answer(_described()[0])


def _docs() -> Answer:
    """Likewise, for people."""
    return Answer(_described()[1], media_type="text/html; charset=utf-8", headers=page.HEADERS)


@cache
def _described() -> tuple[str, str]:
    """The OpenAPI document and the page made from it: the same for everybody, made when first asked for."""
    described = document(each for noun in NOUNS for each in noun.operations)
    return json.dumps(described), page.page(described)


described = Noun()
described.plain("/v1/openapi.json")(_openapi)
described.plain("/docs")(_docs)

ROUTES = tuple(route for noun in (*NOUNS, described) for route in noun.routes)
"""Every route there is."""


def _render(exchange: Exchange, response: Response, problem: Problem, parts: object) -> None:
    response.status = problem.status
    response.set_headers(problem.headers())
    response.text = problem.body()


def _store_failed(exchange: Exchange, response: Response, fault: StoreError, parts: object) -> None:
    _render(exchange, response, _store_problem(fault, exchange), parts)


def _store_problem(fault: StoreError, exchange: Exchange) -> Problem:
    if isinstance(fault, Corrupt):
        log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
        return Problem("corrupt", f"the value at {fault.key} cannot be read; the log says why")
    if isinstance(fault, Restored):
        return Problem("restoring", str(fault), retry_after_s=RETRY_AFTER_S)
    path = quoted(exchange.path[:LONGEST_PATH])
    log.warning("event=store-failed method=%s path=%s why=%r", exchange.method, path, str(fault))
    return Problem("unavailable", f"etcd: {fault}", retry_after_s=RETRY_AFTER_S)


def _refused(exchange: Exchange, response: Response, fault: HTTPError, parts: object) -> None:
    """falcon's own refusals."""
    path = exchange.path[:LONGEST_PATH]
    if fault.status_code == 404:
        problem = Problem("no-such-path", f"no such path: {path}; see /docs, or /v1/openapi.json")
    elif fault.status_code == 405:
        allow = dict(fault.headers or {}).get("Allow", "")
        problem = Problem("method-not-allowed", f"{path} takes {allow}", headers={"Allow": allow})
    else:
        problem = Problem("malformed", fault.description or "the request cannot be understood")
    _render(exchange, response, problem, parts)


def _internal(exchange: Exchange, response: Response, fault: Exception, parts: object) -> None:
    path = quoted(exchange.path[:LONGEST_PATH])
    log.error("event=failed method=%s path=%s", exchange.method, path, exc_info=fault)
    _render(exchange, response, Problem("internal", "the controller failed; its log says where"), parts)
