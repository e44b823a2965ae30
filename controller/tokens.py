"""Making, rotating and ending tokens. A secret leaves the controller once, in the answer that makes it.

A rotation adds a secret and gives those before it an end, so that for a while both are good and nobody is
locked out. An answer that was lost took its secret with it: a token that was to be created is rotated, and
one that was to be rotated is rotated again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from controller import secret
from controller.bearers import Bearers
from controller.ipam.committer import Committer
from controller.ipam.unit import Unit
from controller.precondition import Match
from controller.principal import ANYBODY
from controller.problem import Fault, Problem, invalid
from controller.reading import Found, find, put, read, referred
from store import keys
from store.client import Absent, Compare, Delete, Exists, Store
from store.model import Secret, Token
from store.model.access import MAX_SECRETS

ATTEMPTS = 24


class Tokens:
    """Writes tokens. Safe to call from many threads, and from many controllers at once."""

    def __init__(
        self, store: Store, committer: Committer, bearers: Bearers, clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._committer = committer
        self._bearers = bearers
        self._clock = clock

    def create(
        self, make: Callable[[Secret, datetime], Token], name: str, ttl_s: int | None
    ) -> tuple[Token, str]:
        """A new token of a name, and its text.

        Args:
            make: the token that has this secret and was created then.
            name: the name.
            ttl_s: for how long the secret is good, in seconds; None is for ever.

        Raises:
            Problem: the name is taken, or what the token is limited to does not exist.
        """
        if name == ANYBODY.name:
            raise invalid("/name", f"{name!r} stands for those without a token; use another name")
        text = secret.make(name)
        token = make(self._secret(text, ttl_s), self._clock())
        for _ in range(ATTEMPTS):
            if read(self._store, keys.TOKENS, name) is not None:
                detail = (
                    f"token {name} exists and its secret is not told again; rotate it, or use another name"
                )
                raise Problem("conflict", detail, errors=[Fault(detail, "/name")])
            absent = Absent(keys.TOKENS.key(name))
            if self._committer.commit(Unit((absent, *self._limits(token)), (put(keys.TOKENS, token, name),))):
                self._bearers.settle(name, token)
                return token, text
        raise _busy(name)

    def rotate(self, name: str, overlap_s: int, ttl_s: int | None, match: Match) -> tuple[Token, str]:
        """A new secret for a token; those it has end after `overlap_s` seconds, unless they end before.

        Raises:
            Problem: there is no such token, it is not the one that `match` demands, or too many of its
                secrets are still good.
        """
        text = secret.make(name)
        for _ in range(ATTEMPTS):
            found = find(self._store, keys.TOKENS, name)
            match.demand(f"token {name}", found.mod_revision)
            token = self._rotated(found.value, text, overlap_s, ttl_s)
            if self._committer.commit(Unit((found.unchanged(),), (put(keys.TOKENS, token, name),))):
                self._bearers.settle(name, token)
                return token, text
        raise _busy(name)

    def revoke(self, name: str, match: Match) -> None:
        """End a token with all its secrets. Raises `Problem` when there is none, or not that of `match`."""
        for _ in range(ATTEMPTS):
            found: Found[Token] = find(self._store, keys.TOKENS, name)
            match.demand(f"token {name}", found.mod_revision)
            if self._committer.commit(Unit((found.unchanged(),), (Delete(found.key),))):
                self._bearers.settle(name, None)
                return
        raise _busy(name)

    def _rotated(self, token: Token, text: str, overlap_s: int, ttl_s: int | None) -> Token:
        now = self._clock()
        end = now + timedelta(seconds=overlap_s)
        old = [_ending(each, end) for each in token.secrets]
        good = [each for each in old if each.expires is not None and each.expires > now]
        if len(good) >= MAX_SECRETS:
            first = min(each.expires for each in good if each.expires is not None)
            detail = (
                f"token {token.name} has {len(good)} secrets that are still good; wait until {first:%FT%TZ}, "
                "or rotate it with overlap_s 0, which ends them now"
            )
            raise Problem("conflict", detail)
        life_s = token.ttl_s if ttl_s is None else ttl_s
        new = self._secret(text, life_s)
        return token.model_copy(update={"secrets": (*good, new), "ttl_s": life_s})

    def _secret(self, text: str, ttl_s: int | None) -> Secret:
        expires = None if ttl_s is None else self._clock() + timedelta(seconds=ttl_s)
        return Secret(sha256=secret.digest(text), expires=expires)

    def _limits(self, token: Token) -> Sequence[Compare]:
        """What must exist while the token is made: its tenant or node. Raises `Problem`."""
        if token.tenant is not None:
            return (Exists(referred(self._store, keys.TENANTS, token.tenant).key),)
        if token.node is not None:
            return (Exists(referred(self._store, keys.NODES, token.node).key),)
        return ()


def _ending(given: Secret, end: datetime) -> Secret:
    if given.expires is not None and given.expires <= end:
        return given
    return given.model_copy(update={"expires": end})


def _busy(name: str) -> Problem:
    return Problem("busy", f"token {name} keeps changing", retry_after_s=1)
