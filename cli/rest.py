"""One JSON request and its answer, over TCP, TLS or a unix socket.

The standard library only, and imported when first used: `polder --help` must not wait for TLS. Redirects are
not followed and proxies not asked, so that a token goes to the server that was named and nowhere else.

Where several controllers are named, the next one is asked when one does not answer: always before a request
was sent, and after that only when sending it twice is the same as once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from cli.failure import Exit, Failure
from cli.link import Link, Way, unanswered

if TYPE_CHECKING:
    from http.client import HTTPConnection

MAX_ANSWER_BYTES = 64 << 20
TLS_ALERT = "\x15\x03"
"""How a server of TLS begins its answer to plain HTTP (RFC 8446 §5.1)."""
CUT_SHORT = "the connection ended in the middle of the answer"
NOT_FOUND = "/problems/not-found"
NO_CONTENT = 204
TOO_MANY = 429
TURN_S = 30
"""How long to wait in all, when the server has too much to do and says when to come back."""
NOT_NOW = frozenset({502, 503, 504})
"""Answers of a controller that is cut off: another one may do it."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `body` is the decoded JSON, None when there was none."""

    status: int
    body: Any = None
    retry_after: str = ""

    @property
    def ok(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300

    @property
    def absent(self) -> bool:
        """Whether a controller said that there is no such thing: not any server, nor of the path."""
        return isinstance(self.body, dict) and self.body.get("type") == NOT_FOUND


@dataclass(frozen=True, slots=True)
class Request:
    """One request, ready to be sent to any server. It is `repeatable` when twice is the same as once."""

    method: str
    target: str
    data: bytes | None
    headers: Mapping[str, str]
    repeatable: bool


def call(
    link: Link,
    method: str,
    path: str,
    body: Json | None = None,
    query: Mapping[str, object] | None = None,
    *,
    repeatable: bool | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request and read its answer. Blocking: at most `TIMEOUT_S` for each step at each server.

    Args:
        link: the way to the server.
        method: the HTTP method.
        path: below the server's root, its parts already quoted (see `place`).
        body: sent as JSON; as a merge patch (RFC 7396) when the method is PATCH.
        query: parameters; None values are left out, a list is the parameter once for each.
        repeatable: whether to send it to another server when an answer is lost; every method but POST
            when not given.
        headers: more header fields.

    Raises:
        Failure: nobody answered (exit 5), or what answered is not Polder, or not to be trusted (exit 1).
    """
    data = None if body is None else json.dumps(body).encode()
    fields = {"Accept": "application/json", **(headers or {})}
    if data is not None:
        fields["Content-Type"] = f"application/{'merge-patch+json' if method == 'PATCH' else 'json'}"
    request = Request(
        method,
        path + _encoded(query or {}),
        data,
        fields,
        method != "POST" if repeatable is None else repeatable,
    )
    answer = _ask(link.ways(), request, link)
    waited_s = 0
    # Refused because there were too many, so not done: it can be sent again, whatever it is.
    while answer.status == TOO_MANY and answer.retry_after.isdecimal():
        waited_s += int(answer.retry_after)
        if waited_s > TURN_S:
            break
        time.sleep(int(answer.retry_after))
        answer = _ask(link.ways(), request, link)
    return answer


def _encoded(query: Mapping[str, object]) -> str:
    given = present(query)
    try:
        return f"?{urlencode(given, doseq=True)}" if given else ""
    except UnicodeEncodeError as fault:
        raise _not_utf8(fault) from None


def present(fields: Mapping[str, Any]) -> Json:
    """The fields that have a value: the server knows what holds for the others."""
    return {name: value for name, value in fields.items() if value is not None}


def place(*parts: str) -> str:
    """The path `/v1/...` of the given parts, each quoted. Raises `Failure` (usage) where one is not UTF-8."""
    try:
        return "/v1/" + "/".join(quote(part, safe="") for part in parts)
    except UnicodeEncodeError as fault:
        raise _not_utf8(fault) from None


class Object(dict[str, Any]):
    """An object of an answer: a field that it should have and has not ends the command."""

    def __missing__(self, field: str) -> Any:
        raise _not_polder(f"an answer without {field!r}, or it is of another version")


def problem_kind(body: Any) -> str:
    """The last part of a problem's type (RFC 9457), for programs; nothing where it is no problem."""
    return str(body.get("type", "")).rpartition("/")[2] if isinstance(body, dict) else ""


def _ask(ways: Sequence[Way], request: Request, link: Link) -> Answer:
    faults: list[tuple[Way, OSError]] = []
    refused: Answer | None = None
    sent = False
    for number, way in enumerate(ways):
        others = number + 1 < len(ways)
        try:
            answer = _exchange(way, request, others=others)
        except _Lost as lost:
            faults.append((way, lost.fault))
            sent = sent or lost.sent
            if lost.sent and not request.repeatable:
                break
            continue
        if others and request.repeatable and answer.status in NOT_NOW:
            refused, sent = answer, True
            continue
        link.prefer(way)
        # Asked again because an answer was lost: that it is gone is what was wanted.
        gone = sent and request.method == "DELETE" and answer.absent
        return Answer(NO_CONTENT) if gone else answer
    if refused is not None:
        return refused
    raise unanswered(faults)


class _Lost(Exception):
    """No answer: the request was `sent`, or it never left."""

    def __init__(self, fault: OSError, *, sent: bool) -> None:
        super().__init__(str(fault))
        self.fault = fault
        self.sent = sent


def _exchange(way: Way, request: Request, *, others: bool) -> Answer:
    from http.client import HTTPException, IncompleteRead

    connection = way.connection(others=others)
    try:
        try:
            connection.connect()
        except OSError as fault:
            raise _Lost(fault, sent=False) from None
        connection.sock.settimeout(way.patience_s(others=others))
        try:
            return _send(connection, way, request)
        except OSError as fault:
            raise _Lost(fault, sent=True) from None
        except IncompleteRead:
            raise _Lost(ConnectionResetError(CUT_SHORT), sent=True) from None
        except HTTPException as fault:
            if str(fault).startswith(TLS_ALERT):
                advice = "name it with https:// in --server, POLDER_SERVER or the context"
                raise Failure("what answers there speaks TLS", advice=advice) from None
            raise _not_polder(f"{type(fault).__name__} {fault}".strip()) from None
    finally:
        connection.close()


def _send(connection: HTTPConnection, way: Way, request: Request) -> Answer:
    connection.request(
        request.method,
        way.root + request.target,
        body=request.data,
        headers={**request.headers, **way.headers()},
    )
    with connection.getresponse() as response:
        raw = response.read(MAX_ANSWER_BYTES + 1)
        if response.length and len(raw) <= MAX_ANSWER_BYTES:
            # Less than Content-Length says: http.client is silent about that when it is given a size.
            raise ConnectionResetError(CUT_SHORT)
        retry_after = response.getheader("Retry-After") or ""
        kind = response.getheader("Content-Type") or ""
    return Answer(response.status, _decoded(response.status, kind, raw), retry_after)


def _decoded(status: int, kind: str, raw: bytes) -> Any:
    if 300 <= status < 400:
        raise _not_polder(f"a redirect ({status})")
    if len(raw) > MAX_ANSWER_BYTES:
        raise Failure(f"the answer is larger than {MAX_ANSWER_BYTES >> 20} MiB")
    if not raw and status < 400 and status != NO_CONTENT:
        raise _not_polder(f"it answered {status} with nothing")
    if not raw and status != 404:
        return None
    try:
        body = json.loads(raw, object_hook=Object)
    except (ValueError, RecursionError):
        if status < 400:
            raise _not_polder(f"{kind or 'no type'} where JSON was expected") from None
        body = None
    if status == 404 and not problem_kind(body):
        raise _not_polder("it answered 404 and said not what is missing")
    return body


def _not_utf8(fault: UnicodeEncodeError) -> Failure:
    return Failure(f"{fault.object!r} is not UTF-8", code=Exit.USAGE, advice="correct the arguments")


def _not_polder(what: str) -> Failure:
    return Failure(
        f"what answers there is not a Polder controller: {what}", advice="check --server or POLDER_SERVER"
    )
