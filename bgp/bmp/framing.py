"""Where one message of a BMP session ends and the next begins (RFC 7854 §4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bgp.bmp.wire import Malformed

VERSION = 3
HEADER_BYTES = 6
MAX_BYTES = 1 << 18
"""Of one message: more than the two longest OPENs (RFC 9072) of a Peer Up, or an UPDATE (RFC 8654)."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One whole message: its type, and what follows the common header."""

    kind: int
    body: bytes


class Framer:
    """Cuts what is received into messages. Holds at most `MAX_BYTES` and what came last."""

    def __init__(self) -> None:
        self._held = bytearray()

    def take(self, data: bytes) -> Iterator[Frame]:
        """The messages that are whole now. To be iterated to the end before the next call.

        Raises:
            Malformed: what follows is no message. Final: where the next one begins is not known.
        """
        self._held += data
        at = 0
        try:
            while len(self._held) - at >= HEADER_BYTES:
                version, length = self._held[at], int.from_bytes(self._held[at + 1 : at + 5], "big")
                if version != VERSION:
                    raise Malformed(f"version {version}, not {VERSION}, of BMP")
                if not HEADER_BYTES <= length <= MAX_BYTES:
                    raise Malformed(f"a message of {length} bytes, not of {HEADER_BYTES} to {MAX_BYTES}")
                if len(self._held) - at < length:
                    break
                frame = Frame(self._held[at + 5], bytes(self._held[at + HEADER_BYTES : at + length]))
                at += length
                yield frame
        finally:
            del self._held[:at]
