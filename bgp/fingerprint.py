"""A set of prefixes in a few bytes: two sides see whether they hold the same without listing it."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network

DIGEST_BYTES = 16


def fingerprint(nlris: Iterable[bytes]) -> str:
    """The same for equal sets of NLRI of one family, whatever their order, and for no others."""
    # An NLRI tells its own length, so that no other set makes the same bytes.
    return blake2b(b"".join(sorted(nlris)), digest_size=DIGEST_BYTES).hexdigest()


def nlri(prefix: IPv4Network | IPv6Network) -> bytes:
    """The prefix as it stands in an UPDATE (RFC 4271 §4.3)."""
    length = prefix.prefixlen
    return bytes((length,)) + prefix.network_address.packed[: (length + 7) // 8]
