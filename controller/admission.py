"""How many requests may wait for the store at a time.

A store that hangs keeps each of them for seconds. Were every thread to wait there, nobody would be left
to say that the controller lives and what it waits for; so more than a number are refused at once.
"""

from __future__ import annotations

from controller.exchange import Exchange
from controller.problem import Problem

MAX_IN_HAND = 112
OF_HEALTH = frozenset({"/healthz", "/readyz"})


class Admission:
    """Lets so many requests in at a time, and always those that ask for health."""

    def __init__(self, limit: int) -> None:
        self._places = [None] * limit  # an append and a pop are atomic

    def enter(self, exchange: Exchange) -> None:
        """Give a request its place, which it gives back at its end. Raises `Problem` when there is none."""
        if exchange.path in OF_HEALTH:
            return
        try:
            self._places.pop()
        except IndexError:
            raise Problem("busy", "too many requests wait for the store", retry_after_s=1) from None
        exchange.places = self._places
