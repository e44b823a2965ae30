"""A controller with a bug planted: one compare is dropped from its transactions. The check has to find it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

import controller.__main__ as program
from store import keys
from store.client import Absent, Compare, Op, Store, TxnResult
from store.keys import Kind

BUGS: dict[str, Kind[Any]] = {"address": keys.ADDRESSES, "record": keys.ENDPOINTS}


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
    kind = BUGS[sys.argv.pop(1)]
    open_store = vars(program)["open_store"]

    def careless(options: Namespace) -> Any:
        return Careless(open_store(options), kind)

    vars(program)["open_store"] = careless
    program.run()


if __name__ == "__main__":
    main()
