"""Bearer tokens: whoever has one may do everything, whoever has none only ask whether we live."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from pathlib import Path

from flask import request

from controller.api.health import OPEN
from controller.problem import Problem

MIN_LENGTH = 16


class TokenFileError(Exception):
    """The token file cannot be used. One line for people."""


def read_tokens(path: Path) -> tuple[bytes, ...]:
    """The tokens of a file, one a line; empty lines and lines that begin with # do not count.

    Raises:
        TokenFileError: it cannot be read, holds no token, or one that is too short to be a secret.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as fault:
        raise TokenFileError(f"cannot read {path}: {fault.strerror}") from fault
    tokens = tuple(token for line in lines if (token := line.strip()) and not token.startswith(b"#"))
    if not tokens:
        raise TokenFileError(f"{path} holds no token; put one in it, such as that of: openssl rand -hex 32")
    if min(map(len, tokens)) < MIN_LENGTH:
        raise TokenFileError(f"{path} holds a token of less than {MIN_LENGTH} characters; use a longer one")
    return tokens


def require_token(tokens: Sequence[bytes]) -> None:
    """Refuse the request that Flask handles now unless it carries one of the tokens. Raises `Problem`."""
    if request.path in OPEN:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    sent = given.strip().encode("utf-8", "surrogateescape")
    # Every token is compared, in constant time: how long it takes says nothing about them.
    matches = [hmac.compare_digest(sent, token) for token in tokens]
    if scheme.lower() != "bearer" or not any(matches):
        raise Problem("unauthorized", "send Authorization: Bearer followed by a token of the --token-file")
