"""Directories that are made on the way to another one: only their owner may write in them."""

from __future__ import annotations

from pathlib import Path

PARENT = 0o755


def make(path: Path, mode: int) -> None:
    """Make a directory, and those above it, where there is none. Raises OSError.

    `Path.mkdir` takes the mode for the last one alone: with an umask of 0 everybody could rename what is in
    those above it, and so put something else in its place.
    """
    place = path.absolute()
    for above in reversed(place.parents):
        if not above.exists():
            above.mkdir(mode=PARENT, exist_ok=True)
    place.mkdir(mode=mode, exist_ok=True)
