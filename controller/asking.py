"""Asking a node's agent through the store, and waiting for its answer.

The question is written under a lease and on condition that the agent lives; the answer is watched for. Both
are deleted afterwards, and end with their leases where this process does not live to do so. How many may be
asked at a time is bounded: each takes a thread while it waits.
"""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from typing import Any

from controller.problem import Problem
from controller.waiting import aside
from store import keys
from store.client import Changed, Delete, Exists, Put, Store, Watch
from store.codec import decode, encode
from store.errors import StoreError
from store.lasting import lasting
from store.model import Answered, Program, Question, Unanswered
from store.model.question import Questioned

PATIENCE_S = 5.0
LEASE_S = 15
AT_ONCE = 32
RETRY_AFTER_S = 2


class Asking:
    """Asks agents. Any thread."""

    def __init__(self, store: Store, *, patience_s: float = PATIENCE_S, at_once: int = AT_ONCE) -> None:
        self._store = store
        self._patience_s = patience_s
        self._places = threading.BoundedSemaphore(at_once)

    def ask(self, node: str, asked: Questioned) -> Any:
        """What a node's agent says to a question. Blocking, `patience_s` at most beside the store's own time.

        Raises:
            Problem: the agent does not live, does not answer, or says why it cannot; or too many ask.
        """
        if not self._places.acquire(blocking=False):
            raise Problem("busy", "too many questions wait for nodes; ask again", retry_after_s=RETRY_AFTER_S)
        try:
            said = self._ask(Question(id=uuid.uuid4().hex, node=node, asked=asked))
        finally:
            self._places.release()
        if said is None:
            why = f"the agent of node {node} lives and did not answer within {self._patience_s:g} s"
            raise _silent(f"{why}; its log says what it does")
        if isinstance(said, Unanswered):
            raise _silent(f"the agent of node {node} cannot answer: {said.why}")
        return said

    def _ask(self, question: Question) -> Any:
        alive = keys.ALIVE.key(question.node, Program.AGENT.value)
        asked = Put(keys.ASKED.key(question.node, question.id), encode(question))
        lease_id = self._store.grant(LEASE_S)
        try:
            written = self._store.txn([Exists(alive)], [Put(asked.key, asked.value, lease_id)])
            if not written.succeeded:
                why = f"the agent of node {question.node} does not run, so nobody can look there"
                raise _silent(f"{why}; start it: polder agent")
            answered = keys.ANSWERED.key(question.node, question.id)
            watch = self._store.watch([answered], start_revision=written.revision + 1)
            return aside(_listen, watch, answered, self._patience_s)
        finally:
            self._clean(question, lease_id)

    def _clean(self, question: Question, lease_id: int) -> None:
        """The leases do the same, later: an answer is not lost for that."""
        with suppress(StoreError):
            self._store.revoke(lease_id)
            self._store.txn([], [Delete(keys.ANSWERED.key(question.node, question.id))])


def _listen(watch: Watch, key: str, patience_s: float) -> Any:
    """What is said under a key; None when nobody says it in time."""
    with lasting(watch, patience_s):
        for changes in watch:
            for change in changes:
                if isinstance(change, Changed) and change.item.key == key:
                    return decode(Answered, change.item.value, key=key).said
    return None


def _silent(detail: str) -> Problem:
    return Problem("no-answer", detail, retry_after_s=RETRY_AFTER_S)
