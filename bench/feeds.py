"""`python -m bench.feeds ETCD NODE...`: what the agents of many nodes listen to, in one process.

Each node has a feed of its own, as its agent would. Prints `ready` when all have the store, then a line
for each endpoint that a feed tells: `NODE ENDPOINT SECONDS`, by the clock that all processes of a host
share. Ends with its standard input.
"""

from __future__ import annotations

import sys
import threading
import time
from queue import SimpleQueue

from store import keys
from store.etcd import EtcdStore
from store.etcd_config import EtcdConfig
from store.feed import Feed, InSync, Put


def main(etcd: str, nodes: list[str]) -> None:
    """Listen until standard input ends."""
    store = EtcdStore(EtcdConfig((etcd,)))
    told: SimpleQueue[str] = SimpleQueue()
    feeds = [Feed(store, [keys.node_prefix(node)]) for node in nodes]
    for node, feed in zip(nodes, feeds, strict=True):
        threading.Thread(target=_listen, args=(node, feed, told), daemon=True).start()
    for _ in nodes:
        told.get()
    print("ready", flush=True)
    threading.Thread(target=_print, args=(told,), daemon=True).start()
    sys.stdin.read()


def _listen(node: str, feed: Feed, told: SimpleQueue[str]) -> None:
    for item in feed:
        now = time.perf_counter()
        if isinstance(item, InSync):
            told.put("")
        elif isinstance(item, Put) and (parts := keys.NODE_ENDPOINTS.parts(item.key)):
            told.put(f"{node} {parts[1]} {now}")


def _print(told: SimpleQueue[str]) -> None:
    while True:
        print(told.get(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
