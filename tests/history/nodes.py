"""A program that plays the agents of all nodes: attaches what is labelled so, lets go of what is not there.

It keeps the agents' rules (an attachment is written only while the copy below the node exists, and removed
after the endpoint is releasing, moved or gone) and has no dataplane.
"""

from __future__ import annotations

import argparse
import logging
import threading

from store import keys
from store.client import Delete, Exists, Store
from store.client import Put as Write
from store.codec import encode
from store.errors import StoreError
from store.feed import Feed, InSync, Put, decoded_batches
from store.model import Attachment, Endpoint, EndpointState
from store.options import add_arguments, open_store
from tests.history.site import ATTACH

LOOK_S = 1.0


class Agent:
    """One node. `run` follows the store; another thread does what follows from it."""

    def __init__(self, store: Store, node: str) -> None:
        self._store = store
        self._node = node
        self._feed = Feed(store, [keys.NODE_ENDPOINTS.prefix(node), keys.ATTACHMENTS.prefix(node)])
        self._endpoints: dict[str, Endpoint] = {}
        self._attached: set[str] = set()
        self._changed = threading.Event()
        self._lock = threading.Lock()

    def follow(self) -> None:
        """Learn what is there. Blocking, for ever."""
        in_sync = False
        for batch in decoded_batches(self._feed):
            with self._lock:
                for item in batch:
                    in_sync |= isinstance(item, InSync)
                    if not isinstance(item, InSync):
                        self._note(item.key, item.value if isinstance(item, Put) else None)
            if in_sync:
                self._changed.set()

    def work(self) -> None:
        """Attach and detach. Blocking, for ever."""
        while True:
            self._changed.wait(LOOK_S)
            self._changed.clear()
            try:
                self._act()
            except StoreError as fault:
                logging.getLogger(__name__).warning("node %s: %s", self._node, fault)

    def _note(self, key: str, value: object) -> None:
        if (parts := keys.NODE_ENDPOINTS.parts(key)) is not None:
            self._endpoints.pop(parts[1], None)
            if isinstance(value, Endpoint):
                self._endpoints[parts[1]] = value
        elif (parts := keys.ATTACHMENTS.parts(key)) is not None:
            (self._attached.discard if value is None else self._attached.add)(parts[1])

    def _act(self) -> None:
        with self._lock:
            wanted = {
                name: each
                for name, each in self._endpoints.items()
                if each.state is EndpointState.ASSIGNED and each.labels.get(ATTACH)
            }
            attached = set(self._attached)
        for name in attached - wanted.keys():
            self._store.txn([], [Delete(keys.ATTACHMENTS.key(self._node, name))])
        for name in wanted.keys() - attached:
            held = Attachment(
                endpoint=name,
                node=self._node,
                addresses=wanted[name].addresses,
                netns="/run/netns/none",
                ifname="eth0",
                boot_id="boot",
            )
            self._store.txn(
                [Exists(keys.NODE_ENDPOINTS.key(self._node, name))],
                [Write(keys.ATTACHMENTS.key(self._node, name), encode(held))],
            )


def main() -> None:
    """Play until killed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("nodes", nargs="+")
    add_arguments(options)
    args = options.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s")
    threads = []
    for node in args.nodes:
        agent = Agent(open_store(args), node)
        threads += [threading.Thread(target=each) for each in (agent.follow, agent.work)]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main()
