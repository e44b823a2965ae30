"""A controller with a bug planted, which the check has to find.

A compare is dropped from its transactions, or what was to be made all or none is not ended when it is none.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import controller.__main__ as program
from controller.ipam.together import Together
from store import keys
from store.client import Absent, Compare, Op, Store, TxnResult
from store.keys import Kind

UNGUARDED: dict[str, Kind[Any]] = {"address": keys.ADDRESSES, "record": keys.ENDPOINTS}
HALF = "half"
BUGS = (*UNGUARDED, HALF)


class Careless:
    """A store that does not look whether a key of one kind is there already before it is created."""

    def __init__(self, inner: Store, kind: Kind[Any]) -> None:
        self._inner = inner
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def txn(self, compares: Sequence[Compare], ops: Sequence[Op]) -> TxnResult:
        kept = [each for each in compares if not (isinstance(each, Absent) and self._kind.parts(each.key))]
        return self._inner.txn(kept, ops)


def main() -> None:
    """As `python -m controller`; the first argument names the bug."""
    bug = sys.argv.pop(1)
    if bug == HALF:
        setattr(Together, "_end", lambda *_: None)  # noqa: B010
    else:
        open_store = vars(program)["open_store"]
        vars(program)["open_store"] = lambda *given, **waits: Careless(
            open_store(*given, **waits), UNGUARDED[bug]
        )
    program.run()


if __name__ == "__main__":
    main()
