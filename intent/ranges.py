"""Networks to be found by what lies in them, without a look at each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from store.model import IPAddress, IPNetwork

V = TypeVar("V")


class Ranges(Generic[V]):
    """Networks with a value each. Of two that are the same network the last counts."""

    def __init__(self, items: Iterable[tuple[IPNetwork, V]]) -> None:
        self._lengths: dict[tuple[int, int], dict[int, V]] = {}
        for network, value in items:
            alike = self._lengths.setdefault((network.version, network.prefixlen), {})
            alike[int(network.network_address)] = value

    def around(self, what: IPNetwork | IPAddress) -> Iterator[V]:
        """The values of all networks that a network, or an address, lies in or is."""
        longest: int = what.max_prefixlen
        if isinstance(what, IPAddress):
            start, length = int(what), longest
        else:
            start, length = int(what.network_address), what.prefixlen
        for (version, shorter), alike in self._lengths.items():
            if version == what.version and shorter <= length:
                host_bits = longest - shorter
                if (value := alike.get(start >> host_bits << host_bits)) is not None:
                    yield value
