"""Who asks, and whether the role may: before any handler, and without a read of the store.

A token is one line of the --token-file (role admin, to begin with) or one of the stored. Whether a request
must carry one is decided when the controller starts, never by what is stored: the first token that
somebody creates must not lock out all others. A token that is sent is always checked, also where none is
demanded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from controller import secret
from controller.bearers import Bearers
from controller.exchange import READS, Exchange
from controller.principal import ANYBODY, Principal
from controller.problem import Problem
from controller.rate import RateLimit, Verdict, address_name
from controller.roles import OPEN, allowed, named
from store.model import Role

MIN_LENGTH = 16
MAX_LENGTH = 1024
OWN_PAGES = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of a request of our own page, and of one of no page at all (Fetch Metadata)."""

NOBODY = "0" * 64
"""No token has this digest: what is sent is compared with it when there is nothing to compare it with."""

RETRY_AFTER_S = 2


class TokenFileError(Exception):
    """The token file cannot be used. One line for people."""


def read_tokens(path: Path) -> tuple[bytes, ...]:
    """The tokens of a file, one a line; empty lines and lines that begin with # do not count.

    Raises:
        TokenFileError: it cannot be read, holds no token, or one that is too short to be a secret.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise TokenFileError(
            f"there is no {path}; make it: (umask 077; openssl rand -hex 32 > {path})"
        ) from None
    except OSError as fault:
        raise TokenFileError(f"cannot read {path}: {fault.strerror}") from fault
    tokens = tuple(token for line in lines if (token := line.strip()) and not token.startswith(b"#"))
    if not tokens:
        raise TokenFileError(f"{path} holds no token; put one in it, such as that of: openssl rand -hex 32")
    if min(map(len, tokens)) < MIN_LENGTH:
        raise TokenFileError(f"{path} holds a token of less than {MIN_LENGTH} characters; use a longer one")
    if max(map(len, tokens)) > MAX_LENGTH:
        raise TokenFileError(f"{path} holds a token of more than {MAX_LENGTH} characters; use a shorter one")
    return tokens


@dataclass(frozen=True, slots=True)
class Doors:
    """Who is let into an application, and how often."""

    token_lines: Sequence[bytes] = ()
    """Tokens of role admin, beside those that are stored."""
    token_demanded: bool = False
    """Whether each request must carry a token; also so when there are `token_lines`."""
    any_host: bool = False
    """Whether a request without a token may name the controller by any name, not only by its address."""
    writes_per_s: int = 0
    """How many writes each token may make in a second; 0 is no limit."""
    strangers_per_s: int = 0
    """How many writes without a good token may come from one address in a second; 0 is no limit."""

    @property
    def closed(self) -> bool:
        """Whether nobody comes in without a token."""
        return self.token_demanded or bool(self.token_lines)


@dataclass(frozen=True, slots=True)
class _Line:
    """A token of the token file."""

    sha256: str
    principal: Principal


class Gate:
    """Stands before every request of an application.

    Args:
        bearers: the stored tokens.
        clock: the time of day.
        doors: who is let in beside the bearers of these, and how often.
    """

    def __init__(self, bearers: Bearers, clock: Callable[[], datetime], doors: Doors) -> None:
        self._bearers = bearers
        self._clock = clock
        self._demanded = doors.closed
        self._any_host = doors.any_host
        self._limit = RateLimit(doors.writes_per_s) if doors.writes_per_s else None
        self._strangers = RateLimit(doors.strangers_per_s) if doors.strangers_per_s else None
        # The colon keeps the name apart from those of stored tokens.
        self._lines = [
            _Line(
                secret.digest(token.decode("utf-8", "surrogateescape")),
                Principal(f"file:{number}", Role.ADMIN),
            )
            for number, token in enumerate(doors.token_lines, start=1)
        ]

    def enter(self, exchange: Exchange) -> None:
        """Find out who makes a request. Raises `Problem` when nobody may who is like that."""
        if exchange.path in OPEN:
            self._count_stranger(exchange)
            return
        try:
            exchange.principal = self.identify(exchange.env.get("HTTP_AUTHORIZATION"))
        except Problem as problem:
            if problem.kind == "unauthorized":  # and not that the tokens are not known yet
                self._count_stranger(exchange)
            raise

    def whose(self, environ: Mapping[str, Any]) -> str | None:
        """Who sends a request with this WSGI environment: a token, or an address; None for who is refused."""
        if environ["PATH_INFO"] not in OPEN:
            try:
                who = self.identify(environ.get("HTTP_AUTHORIZATION"))
            except Problem:
                return None
            if who is not ANYBODY:
                return who.name
        return f"from {address_name(environ['REMOTE_ADDR'])}"  # no token has a name with a space

    def admit(self, exchange: Exchange, path: str) -> None:
        """Let a request through to a route, by its path as it is declared. Raises `Problem`."""
        who = exchange.principal
        if exchange.method not in READS and (who is None or who is ANYBODY):
            _refuse_other_pages(exchange)
        if who is None:
            return
        if who is ANYBODY and not self._any_host:
            _refuse_other_names(exchange)
        if self._limit is not None and who is not ANYBODY and exchange.method not in READS:
            self._count(self._limit, who, exchange)
        refuse_role(who, exchange.method, path)

    def identify(self, header: str | None) -> Principal:
        """Whose request has this `Authorization` header.

        Raises:
            Problem: none is sent and one is demanded, or what is sent is not a token that is good now.
        """
        if header is None:
            if self._demanded:
                raise _unauthorized("send a token: Authorization: Bearer TOKEN")
            return ANYBODY
        scheme, _, text = header.partition(" ")
        text = text.strip()
        if scheme.lower() != "bearer" or not text:
            raise _unauthorized("the Authorization header is not: Bearer TOKEN")
        if len(text) > MAX_LENGTH:
            raise _wrong()
        digest = secret.digest(text)
        # Every line is compared, in constant time: how long it takes says nothing about them.
        lines = [line for line in self._lines if secret.same(line.sha256, digest)]
        return lines[0].principal if lines else self._stored(text, digest)

    def _stored(self, text: str, digest: str) -> Principal:
        name = secret.name_of(text)
        token = self._bearers.find(name) if name else None
        if token is None:
            secret.same(NOBODY, digest)
            if name and not self._bearers.in_sync:
                raise Problem(
                    "unavailable", "the tokens were not read from etcd yet", retry_after_s=RETRY_AFTER_S
                )
            raise _wrong()
        found = [each for each in token.secrets if secret.same(each.sha256, digest)]
        if not found:
            raise _wrong()
        # Only who has the secret learns that it has expired.
        if found[0].expires is not None and found[0].expires <= self._clock():
            raise _unauthorized("this token has expired; ask for a new one", error="invalid_token")
        return Principal(
            token.name, token.role, token.tenant, token.node, lambda: self._is_good(token.name, digest)
        )

    def _is_good(self, name: str, digest: str) -> bool:
        token = self._bearers.find(name)
        good = (each for each in token.secrets if secret.same(each.sha256, digest)) if token else ()
        return any(each.expires is None or each.expires > self._clock() for each in good)

    def _count(self, limit: RateLimit, who: Principal, exchange: Exchange) -> None:
        verdict = limit.take(who.name)
        exchange.rate_headers = limit.headers(verdict)
        if verdict.wait_s:
            raise _too_many(f"token {who.name} may make {limit.per_s} writes a second", verdict)

    def _count_stranger(self, exchange: Exchange) -> None:
        """Count a write of somebody without a good token, before the store is asked for anything."""
        if self._strangers is None or exchange.method in READS:
            return
        verdict = self._strangers.take(address_name(exchange.remote_addr))
        if verdict.wait_s:
            may = f"{self._strangers.per_s} writes a second without a good token"
            raise _too_many(f"from {exchange.remote_addr} there may come {may}", verdict) from None


def refuse_role(who: Principal, method: str, path: str) -> None:
    """Refuse whose role may not use a method of a route, by its path as it is declared. Raises `Problem`."""
    roles = allowed(method, path)
    if roles is None or who.role not in roles:
        may = f"it takes role {named(roles)}" if roles else "no role may"
        raise Problem("forbidden", f"role {who.role} may not {method} {path}; {may}")


def _refuse_other_names(exchange: Exchange) -> None:
    """Refuse a request without a token that was sent to a name of somebody else's.

    A page in a browser on this host could else reach an open controller under the page's own name, once
    that name resolves to 127.0.0.1 (DNS rebinding).
    """
    other = _other_name(exchange.env.get("HTTP_HOST") or "localhost")
    if other is not None:
        detail = (
            f"without a token the controller answers to its address and to localhost, not to {other[:64]!r}"
        )
        raise Problem("forbidden", detail)


def _refuse_other_pages(exchange: Exchange) -> None:
    """Refuse a write without a token that a page of another site has had a browser send.

    A browser sends a POST without a body for any page, and asks nobody before (CORS). It says whose page it
    was: in `Sec-Fetch-Site`, or where it knows that not in `Origin`. Other clients send neither.
    """
    site, origin = exchange.env.get("HTTP_SEC_FETCH_SITE"), exchange.env.get("HTTP_ORIGIN")
    host = exchange.env.get("HTTP_HOST") or "localhost"
    if site is not None:
        own = site in OWN_PAGES
    else:
        own = origin is None or origin.partition("://")[2].lower() == host.lower()
    if not own:
        whose = f"of {origin[:64]!r}" if origin else "of another site"
        raise Problem("forbidden", f"without a token a page {whose} may not write here; send a token")


@lru_cache(maxsize=64)
def _other_name(sent: str) -> str | None:
    """The name that a `Host` header has; None for an address and for localhost."""
    name, _, port = sent.rpartition(":")
    host = name if port.isdigit() else sent
    if host.lower() == "localhost":
        return None
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return host
    return None


def _too_many(detail: str, verdict: Verdict) -> Problem:
    return Problem("rate-limited", detail, retry_after_s=max(1, round(verdict.wait_s + 0.5)))


def _wrong() -> Problem:
    return _unauthorized("this token is not known: it is wrong, or was revoked", error="invalid_token")


def _unauthorized(detail: str, *, error: str = "") -> Problem:
    # RFC 6750 §3: a request without a token is told the scheme only.
    challenge = 'Bearer realm="polder"' + (f', error="{error}"' if error else "")
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": challenge})
