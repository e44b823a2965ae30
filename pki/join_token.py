"""The text that a node is given to join with: who it will be, a secret, and whom it may trust.

    pj1:NODE:SECRET:FINGERPRINT

The fingerprint is that of the controllers' authority, so the first connection is verified without any file,
and the secret is shown to nobody else.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Self

from pki.certificate import PkiError

VERSION = "pj1"
_TEXT = re.compile(rf"{VERSION}:([a-z0-9.-]{{1,63}}):([A-Za-z0-9_-]{{43}}):([A-Za-z0-9_-]{{43}})", re.ASCII)


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A join token. Its secret is 256 random bits."""

    node: str
    secret: str = field(repr=False)
    fingerprint: str

    @classmethod
    def make(cls, node: str, fingerprint: str) -> Self:
        """A new one for a node, to be used with the controllers of this authority."""
        return cls(node, secrets.token_urlsafe(32), fingerprint)

    @classmethod
    def parse(cls, text: str) -> Self:
        """What the text says. Raises `PkiError`, which never repeats it."""
        found = _TEXT.fullmatch(text.strip())
        if found is None:
            raise PkiError("this is no join token; copy all of what polder node join-token printed")
        return cls(*found.groups())

    @property
    def text(self) -> str:
        """As it is printed."""
        return f"{VERSION}:{self.node}:{self.secret}:{self.fingerprint}"
