"""The place that the request handled now holds among those that may wait for the store at a time."""

from __future__ import annotations

import threading

from flask import g


def take(places: threading.Semaphore) -> bool:
    """Take a place for this request; False when there is none."""
    if not places.acquire(blocking=False):
        return False
    g.place = places
    return True


def give_back() -> None:
    """Give the place to another, as this request will not wait for the store any more. Idempotent."""
    places: threading.Semaphore | None = g.pop("place", None)
    if places is not None:
        places.release()
