"""What can go wrong between Polder and its store, in words that say what the caller should do.

Every exception of the etcd client is translated to one of these in `store/etcd.py`.
"""

from __future__ import annotations


class StoreError(Exception):
    """Base of all errors of the store."""


class Unavailable(StoreError):
    """No member answered in time. Retry, after a pause.

    `outcome_unknown` is true when a write had been sent: it may or may not have been applied, so the
    caller reads back what it wrote before it tries again. `passing` is true of what is over in a second or
    two, such as an election: nothing was applied, and the store itself has tried again until the deadline.
    """

    def __init__(self, message: str, *, outcome_unknown: bool = False, passing: bool = False) -> None:
        super().__init__(message)
        self.outcome_unknown = outcome_unknown
        self.passing = passing


class Compacted(StoreError):
    """The revision asked for is gone. List again and watch from the new revision."""

    def __init__(self, compact_revision: int) -> None:
        super().__init__(f"revisions before {compact_revision} are compacted")
        self.compact_revision = compact_revision


class LeaseExpired(StoreError):
    """The lease is gone, and with it every key put under it. Grant a new one and put the keys again."""


class PermissionDenied(StoreError):
    """The store refuses this client. Final until its certificate or role is changed."""


class Invalid(StoreError):
    """The store refuses the request itself: a fault in the caller (too many operations, a key put twice)."""


class WrongState(Invalid):
    """A user or role of the store exists already, or does not: what is asked cannot be done, or is."""


class Restored(StoreError):
    """The store is not the one that it was: a backup was restored. Wait until what nodes hold is adopted."""


class Corrupt(StoreError):
    """A stored value does not decode. Treat it as absent and report the key; never write over it unasked."""

    def __init__(self, key: str, why: str) -> None:
        super().__init__(f"{key}: {why}")
        self.key = key
