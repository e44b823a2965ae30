"""A program that looks into etcd itself, beside the controllers, and prints what it found as JSON.

`plan`: all of etcd's history, and the rules of the address plan as the store is now.
`left`: the keys that are there although no endpoint is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence

from lab.wait import NotInTime, wait_until
from store import keys
from store.client import Change, Changed, Store
from store.codec import decode
from store.model import Usage
from store.options import add_arguments, open_store
from tests.history.replay import Replay, replayed
from tests.support.ipam import check

OF_ENDPOINTS = (
    keys.ADDRESSES,
    keys.ENDPOINTS,
    keys.NODE_ENDPOINTS,
    keys.DISPLACED,
    keys.ATTACHMENTS,
    keys.PENDING,
)

UNDONE_S = 90.0


def history(store: Store) -> Iterator[Change]:
    """Every change below Polder's prefix, from the first revision until now, in order of revision."""
    last = store.range(keys.ROOT, limit=1).revision
    watch = store.watch([keys.ROOT], start_revision=1)
    for changes in watch:
        yield from changes
        newest = changes[-1]
        if (newest.item.mod_revision if isinstance(newest, Changed) else newest.revision) >= last:
            watch.close()


def plan(store: Store, patience_s: float) -> dict[str, object]:
    """What is wrong with the history and with the store now; the endpoints that ever were."""
    faults = []
    try:
        # What a controller made together when it died another one undoes.
        wait_until(lambda: store.range(keys.PENDING.prefix()).items, UNDONE_S, "all decided", good=_none)
        wait_until(lambda: _broken(store), patience_s, "a sound store", good=lambda why: not why, poll_s=0.5)
    except NotInTime as fault:
        faults.append(str(fault))
    replay: Replay = replayed(history(store))
    return {
        "faults": [*faults, *replay.faults],
        "revision": replay.revision,
        "assigned": sorted(replay.assigned),
    }


def left(store: Store, patience_s: float) -> dict[str, object]:
    """The keys of endpoints and addresses that stay although they should be gone."""
    try:
        wait_until(lambda: _keys(store), patience_s, "nothing left", good=lambda them: not them, poll_s=0.5)
    except NotInTime as fault:
        return {"faults": [str(fault)]}
    return {"faults": []}


def _broken(store: Store) -> str:
    """What the rules of the address plan say; a cooldown that ends during the look may break one."""
    try:
        check(store)
    except AssertionError as fault:
        return str(fault)[:2000]
    return ""


def _none(items: Sequence[object]) -> bool:
    return not items


def _keys(store: Store) -> list[str]:
    items = store.range(keys.ROOT).items
    found = [item.key for item in items if any(kind.parts(item.key) for kind in OF_ENDPOINTS)]
    usages = [decode(Usage, item.value) for item in items if keys.USAGE.parts(item.key)]
    return found + [repr(usage) for usage in usages if usage.ipv4 or usage.ipv6]


def main() -> None:
    """Answer one question."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("question", choices=("plan", "left"))
    options.add_argument("patience_s", type=float)
    add_arguments(options)
    args = options.parse_args()
    answer = {"plan": plan, "left": left}[args.question](open_store(args), args.patience_s)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
