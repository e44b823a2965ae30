"""The WSGI application: the blueprints over one store, and every error as a problem."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from flask import Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from controller import page
from controller.admission import MAX_IN_HAND, Admission
from controller.api.addresses import addresses
from controller.api.batch import batches
from controller.api.bgp import bgp
from controller.api.check import checks
from controller.api.endpoints import endpoints
from controller.api.events import events
from controller.api.health import health
from controller.api.joins import joins
from controller.api.nodes import nodes
from controller.api.noun import MAX_BODY_BYTES, too_large
from controller.api.peers import peers
from controller.api.pools import pools
from controller.api.restore import restore
from controller.api.tenants import tenants
from controller.api.tokens import tokens
from controller.api.usage import pool_usage
from controller.audit import AuditFile, Auditor
from controller.auth import Gate
from controller.gateway import Application
from controller.openapi import document
from controller.problem import Problem
from controller.rate import RateLimit
from controller.services import EXTENSION, Services, utc_now
from store.client import Store
from store.errors import Corrupt, Restored, StoreError

log = logging.getLogger(__name__)

NOUNS = (
    pools,
    pool_usage,
    nodes,
    joins,
    peers,
    tenants,
    endpoints,
    batches,
    addresses,
    checks,
    bgp,
    events,
    tokens,
    restore,
    health,
)
RETRY_AFTER_S = 2


@dataclass(frozen=True, slots=True)
class Doors:
    """Who is let into an application, how often, and where it is told of."""

    token_lines: Sequence[bytes] = ()
    """Tokens of role admin, beside those that are stored."""
    token_demanded: bool = False
    """Whether each request must carry a token; also so when there are `token_lines`."""
    any_host: bool = False
    """Whether a request without a token may name the controller by any name, not only by its address."""
    writes_per_s: int = 0
    """How many writes each token may make in a second; 0 is no limit."""
    audit_file: AuditFile | None = None
    """Where each write is told of, beside the log."""

    @property
    def closed(self) -> bool:
        """Whether nobody comes in without a token."""
        return self.token_demanded or bool(self.token_lines)


OPEN_DOORS = Doors()


def create_app(
    store: Store,
    clock: Callable[[], datetime] = utc_now,
    *,
    doors: Doors = OPEN_DOORS,
    parts: Services | None = None,
    max_in_hand: int = MAX_IN_HAND,
) -> Flask:
    """The application.

    Args:
        store: the truth. It need not answer yet.
        clock: the time of day, for what is stored with a time.
        doors: who is let in.
        parts: what the handlers work with; made from store and clock when not given.
        max_in_hand: requests that may wait for the store at a time; more are refused at once.
    """
    app = Application("controller", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES + 1
    app.url_map.merge_slashes = False
    app.extensions[EXTENSION] = parts or Services.build(store, clock)
    for noun in NOUNS:
        app.register_blueprint(noun)
    _describe(app)
    _measure(app)
    shared: Services = app.extensions[EXTENSION]
    Auditor(shared.clock, doors.audit_file).guard(app)
    Admission(max_in_hand).guard(app)
    limit = RateLimit(doors.writes_per_s) if doors.writes_per_s else None
    gate = Gate(
        shared.bearers,
        shared.clock,
        tokens=doors.token_lines,
        demanded=doors.closed,
        any_host=doors.any_host,
        limit=limit,
    )
    gate.guard(app)
    _translate_errors(app)
    return app


def _describe(app: Flask) -> None:
    """The document of the API, for machines and for people; made when somebody first asks for it."""

    def openapi() -> Response:
        return Response(_described()[0], mimetype="application/json")

    def docs() -> Response:
        return Response(_described()[1], headers=dict(page.HEADERS), mimetype="text/html")

    app.add_url_rule("/v1/openapi.json", view_func=openapi)
    app.add_url_rule("/docs", view_func=docs)


@cache
def _described() -> tuple[str, str]:
    """The OpenAPI document and the page made from it: the same for everybody."""
    described = document(each for noun in NOUNS for each in noun.operations)
    return json.dumps(described), page.page(described)


def _measure(app: Flask) -> None:
    metrics = app.extensions[EXTENSION].metrics

    def start() -> None:
        g.started = time.perf_counter()

    def finish(response: Response) -> Response:
        # A path that no route has would make a time series of its own for each.
        rule = request.url_rule
        route = rule.rule if rule else "unknown"
        metrics.request(request.method, route, response.status_code, time.perf_counter() - g.started)
        return response

    app.before_request(start)
    app.after_request(finish)


def _translate_errors(app: Flask) -> None:
    app.register_error_handler(Problem, _render)
    app.register_error_handler(StoreError, lambda fault: _render(_store_problem(fault)))
    app.register_error_handler(HTTPException, lambda fault: _render(_http_problem(fault)))


def _render(problem: Problem) -> Response:
    return Response(problem.body(), problem.status, problem.headers())


def _store_problem(fault: StoreError) -> Problem:
    if isinstance(fault, Corrupt):
        log.error("event=corrupt-value key=%s why=%r", fault.key, str(fault))
        return Problem("corrupt", f"the value at {fault.key} cannot be read; the log says why")
    if isinstance(fault, Restored):
        return Problem("restoring", str(fault), retry_after_s=RETRY_AFTER_S)
    log.warning("event=store-failed method=%s path=%s why=%r", request.method, request.path, str(fault))
    return Problem("unavailable", f"etcd: {fault}", retry_after_s=RETRY_AFTER_S)


def _http_problem(fault: HTTPException) -> Problem:
    """Flask's own refusals; a 500 is a fault of ours, and Flask has logged its traceback."""
    if fault.code == 404:
        return Problem("not-found", f"no such path: {request.path[:256]}; /v1/openapi.json lists them")
    if fault.code == 405:
        allowed = ", ".join(sorted(getattr(fault, "valid_methods", None) or ()))
        return Problem(
            "method-not-allowed", f"{request.path[:256]} takes {allowed}", headers={"Allow": allowed}
        )
    if fault.code == 413:
        return too_large()
    if fault.code is not None and fault.code < 500:
        return Problem("malformed", fault.description or "the request cannot be understood")
    return Problem("internal", "the controller failed; its log says where")
