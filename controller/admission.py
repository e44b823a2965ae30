"""How many requests may wait for the store at a time.

A store that hangs keeps each of them for seconds. Were every thread to wait there, nobody would be left
to say that the controller lives and what it waits for; so more than a number are refused at once.
"""

from __future__ import annotations

import threading

from flask import Flask, request

from controller import place
from controller.api.health import OPEN
from controller.problem import Problem

MAX_IN_HAND = 112


class Admission:
    """Lets so many requests in at a time, and always those that ask for health."""

    def __init__(self, limit: int) -> None:
        self._places = threading.Semaphore(limit)

    def guard(self, app: Flask) -> None:
        """Stand before every request of an application."""
        app.before_request(self._enter)
        app.teardown_request(self._leave)

    def _enter(self) -> None:
        if request.path in OPEN:
            return
        if not place.take(self._places):
            raise Problem("busy", "too many requests wait for the store", retry_after_s=1)

    def _leave(self, fault: BaseException | None) -> None:
        place.give_back()
