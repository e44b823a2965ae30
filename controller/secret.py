"""The text of a token: `polder_<name>_<secret>`, with 256 random bits in 64 hexadecimal digits.

The name says which stored token is meant, so that checking one is a single look-up; the prefix lets
scanners of source code find a token that was committed by mistake. A name has no underscore, so the
text comes apart in one way only. What is stored is the SHA-256 of the whole text: the name in it
cannot be exchanged, and 256 random bits need no slow hash, as nobody can try them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets

BITS = 256
PREFIX = "polder"

_FORM = re.compile(rf"{PREFIX}_([a-z0-9.-]{{1,63}})_[0-9a-f]{{{BITS // 4}}}", re.ASCII)


def make(name: str) -> str:
    """A new token for a name."""
    return f"{PREFIX}_{name}_{secrets.token_hex(BITS // 8)}"


def name_of(text: str) -> str | None:
    """The name in the text of a token; None when the text is not of the form."""
    found = _FORM.fullmatch(text)
    return found[1] if found else None


def digest(text: str) -> str:
    """What is stored of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def same(one: str, other: str) -> bool:
    """Whether two digests are equal, in a time that does not say where they differ."""
    return hmac.compare_digest(one, other)
