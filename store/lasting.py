"""A watch that ends by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from store.client import Watch


@contextmanager
def lasting(watch: Watch, for_s: float) -> Iterator[Watch]:
    """A watch that is closed after so many seconds, or with the block. Seconds below 0 are 0."""
    timer = threading.Timer(max(0.0, for_s), watch.close)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()
        watch.close()
