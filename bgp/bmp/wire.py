"""Bytes as they come from a router: read from the front, and never past the end."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPNetwork = IPv4Network | IPv6Network
IPAddress = IPv4Address | IPv6Address


class Malformed(Exception):
    """The bytes are not what RFC 7854 or RFC 4271 say, or are more than is taken. One line for people."""


class Reader:
    """Reads big-endian numbers, addresses and prefixes from the front of some bytes.

    Every method raises `Malformed` when there are not enough bytes.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        """The next so many bytes."""
        start, end = self._at, self._at + count
        if end > len(self._data):
            raise Malformed(f"{count} bytes are announced where {self.left} are left")
        self._at = end
        return self._data[start:end]

    def number(self, count: int) -> int:
        """The next so many bytes as an unsigned number."""
        return int.from_bytes(self.take(count), "big")

    def part(self, count: int) -> Reader:
        """A reader of the next so many bytes alone."""
        return Reader(self.take(count))

    def address(self, *, ipv6: bool) -> IPAddress:
        """An address in 16 bytes (RFC 7854 §4.2): IPv4 has the last four of them."""
        data = self.take(16)
        return IPv6Address(data) if ipv6 else IPv4Address(data[12:])

    def prefixes(self, version: int) -> tuple[IPNetwork, ...]:
        """All the rest as NLRI of IP version 4 or 6 (RFC 4271 §4.3)."""
        bits, of = (32, IPv4Network) if version == 4 else (128, IPv6Network)
        found = []
        while self.left:
            length = self.number(1)
            if length > bits:
                raise Malformed(f"a prefix of {length} bits where {bits} are the most")
            held = self.take((length + 7) // 8)
            # RFC 4271 §4.3: the value of the trailing bits is irrelevant
            irrelevant = bits - length
            network = int.from_bytes(held.ljust(bits // 8, b"\0"), "big") >> irrelevant << irrelevant
            found.append(of((network, length)))
        return tuple(found)
