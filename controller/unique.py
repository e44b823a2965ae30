"""Names that nothing else has: 128 bits, the time first (RFC 9562 §5.7, UUID version 7).

A later name is greater, so what is made at about the same time lies side by side in etcd's index, a tree in
memory. With names all over it each write goes to another place: the more keys there are, the dearer.

They are no secrets: beside the time there are 62 bits of a generator that is seeded by the kernel when the
program starts. What must not be guessed is made in `controller.secret`, by one system call each.
"""

from __future__ import annotations

from datetime import datetime
from random import getrandbits
from time import time_ns

MILLISECOND_NS = 1_000_000
VERSION, VARIANT = 7 << 76, 2 << 62


def unique() -> str:
    """32 hexadecimal digits."""
    # 12 bits are what is left of the time, in 1/4096 of a millisecond (§6.2, method 3).
    milliseconds, rest_ns = divmod(time_ns(), MILLISECOND_NS)
    fraction = (rest_ns << 12) // MILLISECOND_NS
    name = milliseconds << 80 | VERSION | fraction << 64 | VARIANT | getrandbits(62)
    return name.to_bytes(16).hex()


def is_later(name: str, at: datetime) -> bool:
    """Whether a name was made after a time of day."""
    return int(name, 16) >> 80 > at.timestamp() * 1000
