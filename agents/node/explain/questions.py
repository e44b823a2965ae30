"""Questions of controllers to this node: heard through the store, answered in threads of their own.

A controller writes `asked/<id>` under a lease, the agent `answered/<id>` under another, and both end by
themselves when the one or the other dies. The pass of the agent knows nothing of it and waits for nobody.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from store import keys
from store.client import Exists, Put, Store
from store.codec import encode
from store.errors import StoreError
from store.feed import Feed, decoded
from store.feed import Put as Told
from store.model import Answered, Question, Unanswered
from store.model.value import TEXT_CHARACTERS

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Questions that are worked on at a time; who asks more is told so."""
LEASE_S = 15
MOST_BYTES = 256 * 1024

Answerer = Callable[[Any], Any]
"""Takes what is asked, returns what is said. Raises `NoAnswer`."""


class NoAnswer(Exception):
    """The question cannot be answered; the message says why."""


class Questions:
    """Hears and answers. `start` and `stop` once each.

    Args:
        store: where questions are.
        node: whose.
        answerers: by the type of what is asked.
    """

    def __init__(self, store: Store, node: str, answerers: Mapping[type, Answerer]) -> None:
        self._store = store
        self._node = node
        self._answerers = answerers
        self._feed = Feed(store, (keys.ASKED.prefix(node),))
        self._places = threading.BoundedSemaphore(AT_ONCE)
        self._thread = threading.Thread(target=self._run, name="questions", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; who waits for an answer gets none."""
        self._feed.close()
        self._thread.join(timeout=2)

    def _run(self) -> None:
        for item in decoded(self._feed):
            if isinstance(item, Told) and isinstance(item.value, Question):
                self._take(item.value)

    def _take(self, question: Question) -> None:
        if self._places.acquire(blocking=False):
            threading.Thread(target=self._work, args=(question,), name="question", daemon=True).start()
        else:
            why = f"the agent works on {AT_ONCE} other questions; ask again"
            self._say(question, Unanswered(why=why))

    def _work(self, question: Question) -> None:
        try:
            self._say(question, self._answer(question))
        finally:
            self._places.release()

    def _answer(self, question: Question) -> Any:
        answerer = self._answerers.get(type(question.asked))
        if answerer is None:
            return Unanswered(why="this agent does not know the question; is it older than the controller?")
        try:
            return answerer(question.asked)
        except NoAnswer as fault:
            return Unanswered(why=str(fault)[:TEXT_CHARACTERS])

    def _say(self, question: Question, said: Any) -> None:
        data = encode(Answered(question=question.id, node=self._node, said=said))
        if len(data) > MOST_BYTES:
            why = f"the answer has {len(data)} bytes, more than {MOST_BYTES}"
            data = encode(Answered(question=question.id, node=self._node, said=Unanswered(why=why)))
        asked = keys.ASKED.key(self._node, question.id)
        answered = keys.ANSWERED.key(self._node, question.id)
        try:
            lease_id = self._store.grant(LEASE_S)
            # Nobody waits for the answer to a question that is gone.
            if not self._store.txn([Exists(asked)], [Put(answered, data, lease_id)]).succeeded:
                self._store.revoke(lease_id)
        except StoreError as fault:
            log.warning("question not answered id=%s why=%s", question.id, fault)
