"""A transaction whose answer was lost is recalled before anything else is written.

It may be on its way still: in a member of etcd that hangs, in a network that is cut. Whatever is done in its
place stands in its way only as long as it is there: an endpoint that another attempt made, and that was
deleted since, would be made again by the late one, and nobody would know of it. So each transaction compares
that its ticket is not recalled, and who has lost an answer recalls the ticket, by a key of that name, and
takes another. From then on the lost transaction has been applied or never will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_hex

from store import keys
from store.client import Absent, Compare, Op, Put, Store, TxnResult
from store.errors import Unavailable

KEPT_S = 3600
"""How long a ticket stays recalled: much longer than anything is on its way."""


class Recalling:
    """The transactions of one thread. One may have a compare less than the store takes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._ticket = Absent(keys.recalled(token_hex(16)))
        self._lost = False

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        """See `Store.txn`."""
        self.settle()
        try:
            return self._store.txn((*compares, self._ticket), ops)
        except Unavailable as fault:
            self._lost = fault.outcome_unknown
            raise

    def settle(self) -> None:
        """Recall the last transaction if its answer was lost. Raises what the store does."""
        if self._lost:
            self._recall()

    def _recall(self) -> None:
        try:
            # When the key is there already an attempt to recall it was done whose answer was lost.
            self._store.txn((self._ticket,), (Put(self._ticket.key, b"", self._store.grant(KEPT_S)),))
        except Unavailable as fault:
            # Whether it is recalled matters to nobody: what is to be written now is not.
            raise Unavailable(str(fault)) from fault
        self._ticket = Absent(keys.recalled(token_hex(16)))
        self._lost = False
