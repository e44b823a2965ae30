"""Names that nothing else has: 128 bits of a generator that is seeded by the kernel when the program starts.

They are no secrets. What must not be guessed is made in `controller.secret`, by one system call each.
"""

from __future__ import annotations

from random import getrandbits


def unique() -> str:
    """32 hexadecimal digits."""
    return getrandbits(128).to_bytes(16).hex()
