"""Samples of packets that were dropped or logged: who from, who for, at which endpoint and by which flow.

The switch sends a few headers in a second. Of each only addresses, protocol and ports are kept; the rest of
its bytes is forgotten when it comes.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from openflow.cookie import decode
from openflow.flow import LOCAL, Flow, FlowKey, MatchValue, SetField
from openflow.headers import Headers, headers
from openflow.listening import Listener, Sample
from openflow.tables import OUT, WHY
from openflow.words import purpose_words, reason_words
from store.model.drops import Sampled, Way

WAITING = 256
"""So many are kept until somebody looks: what comes in ten seconds."""
ARP = 0x0806
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6", 132: "sctp"}


class Heard(NamedTuple):
    """A sample as it came, without its bytes."""

    at: datetime
    metadata: Mapping[str, int]
    headers: Headers


class Samples:
    """Hears samples and keeps them until they are taken. `start` and `stop` once each.

    Args:
        path: of the bridge's management socket.
        clock: the time of day.
    """

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._heard: deque[Heard] = deque(maxlen=WAITING)
        self._listener = Listener(path, self._hear)
        self.start, self.stop = self._listener.start, self._listener.stop

    def take(self) -> list[Heard]:
        """Those that came since the last time, in their order. One thread at a time."""
        return [self._heard.popleft() for _ in range(len(self._heard))]

    def _hear(self, sample: Sample) -> None:
        self._heard.append(Heard(self._clock(), sample.metadata, headers(sample.frame)))


def sampled(
    heard: Iterable[Heard], names: Mapping[int, str], wanted: Mapping[FlowKey, Flow]
) -> Iterator[tuple[Sampled, bool]]:
    """What the samples mean, each with whether its rule is to be logged. Pure.

    Args:
        heard: as they came.
        names: the endpoints by port.
        wanted: the flows that may have dropped or logged them: they have the reasons.
    """
    flows: dict[MatchValue, list[Flow]] = defaultdict(list)
    for flow in wanted.values():
        if flow.actions and isinstance(named := flow.actions[0], SetField) and named.field == WHY:
            flows[named.value].append(flow)
    for one in heard:
        found = _flow(flows.get(one.metadata.get(WHY, 0), []), one.metadata)
        yield _sampled(one, names, found), _logged(found)


def _flow(candidates: Iterable[Flow], metadata: Mapping[str, int]) -> Flow | None:
    """The flow by which it came here: what it says of ports agrees, and it says the most of those that do."""
    agree = [flow for flow in candidates if all(_known(flow, metadata))]
    return max(agree, key=lambda flow: len(_known(flow, metadata)), default=None)


def _known(flow: Flow, metadata: Mapping[str, int]) -> list[bool]:
    return [metadata.get(name, 0) == value for name, value in flow.match if name in ("in_port", OUT)]


def _logged(flow: Flow | None) -> bool:
    cookie = decode(flow.cookie) if flow is not None else None
    return cookie is not None and cookie.logged


def _sampled(one: Heard, names: Mapping[int, str], flow: Flow | None) -> Sampled:
    sender, receiver = one.metadata.get("in_port"), one.metadata.get(OUT, 0)
    port = receiver or sender
    way = None if port == LOCAL and not receiver else Way.RECEIVED if receiver else Way.SENT
    if receiver == LOCAL:
        port, way = sender, Way.SENT
    found = one.headers
    return Sampled(
        at=one.at,
        endpoint=names.get(port) if port is not None else None,
        way=way,
        purpose=purpose_words(flow.cookie) if flow is not None else "",
        reason=reason_words(flow),
        source=found.source,
        destination=found.destination,
        protocol=_protocol(found),
        source_port=found.source_port,
        destination_port=found.destination_port,
    )


def _protocol(found: Headers) -> str:
    if found.protocol is not None:
        return PROTOCOLS.get(found.protocol, str(found.protocol))
    return "arp" if found.eth_type == ARP else f"{found.eth_type:#06x}"
