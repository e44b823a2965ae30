"""Cursors: where the next page of a list begins, as text that means nothing to the caller.

A cursor names the revision that all pages of the list are of and the last key of the page before. It is
checked against the path and the filters, so that it cannot go on with another list. That is no secret:
whoever forges one sees no more than his filters and his token let him see.
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from controller.problem import Fault, Problem

CHECK_LENGTH = 12
MAX_REVISION = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """The next page is behind the key `after`, as of `revision`."""

    revision: int = 0
    after: str = ""

    def text(self, scope: str) -> str:
        """As it is given to the caller of a list; `scope` is what makes the list this one."""
        body = json.dumps([self.revision, self.after, self._check(scope)], separators=(",", ":"))
        return urlsafe_b64encode(body.encode()).rstrip(b"=").decode()

    def _check(self, scope: str) -> str:
        whole = json.dumps([scope, self.revision, self.after])
        return hashlib.sha256(whole.encode()).hexdigest()[:CHECK_LENGTH]


def parse(text: str, scope: str) -> Cursor:
    """The cursor that `Cursor.text` made. Raises `Problem` for one of another list, or none at all."""
    try:
        body = json.loads(urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)))
        revision, after, _ = body
        cursor = Cursor(revision, after)
        good = (
            type(revision) is int
            and 0 < revision <= MAX_REVISION
            and isinstance(after, str)
            and after.isascii()  # as all keys are; JSON can hold a lone surrogate, which is no text
            and cursor.text(scope) == text
        )
    except (ValueError, TypeError):
        good = False
    if not good:
        detail = "it belongs to another list; begin again without it, and keep the filters from page to page"
        raise Problem("cursor", f"cursor: {detail}", errors=[Fault(detail, parameter="cursor")])
    return cursor


def expired() -> Problem:
    """The revision that the pages are of is gone."""
    detail = "the list is too old to go on with; begin again without cursor"
    return Problem("expired", f"cursor: {detail}", errors=[Fault(detail, parameter="cursor")])
