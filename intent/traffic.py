"""Samples of traffic: enough of it that rules which treat all samples alike treat all traffic alike.

The ports that rules name cut a protocol into spans, in each of which no rule makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from store.model import PROTOCOLS, PortMatch

LAST_PORT = 65535
OTHER = 253
"""The number of a protocol that is for experiments (RFC 3692): it stands for all that no rule names."""
_NAMES = {number: name for name, number in PROTOCOLS.items()}
_ICMPS = {PROTOCOLS["icmp"], PROTOCOLS["icmpv6"]}
_WITH_PORTS = {PROTOCOLS["tcp"], PROTOCOLS["udp"], PROTOCOLS["sctp"]}


@dataclass(frozen=True, slots=True, order=True)
class Traffic:
    """A span of one protocol: of its ports, or one kind of ICMP message. `first` is None for all of it."""

    protocol: int
    first: int | None = None
    last: int | None = None
    """The last port; of ICMP, the code, None for every code."""

    def carried(self, match: PortMatch) -> bool:
        """Whether a match means it."""
        if match.number != self.protocol:
            return False
        if match.number in _ICMPS:
            return match.icmp_type in {None, self.first} and match.icmp_code in {None, self.last}
        if match.port is None or self.first is None:
            return match.port is None
        return match.port <= self.first <= (match.last_port or match.port)

    @property
    def text(self) -> str:
        """As a rule of a policy is typed."""
        if self.protocol == OTHER:
            return "other protocols"
        name = _NAMES.get(self.protocol, str(self.protocol))
        if self.first is None or (self.protocol in _WITH_PORTS and self.is_whole):
            return name
        if self.protocol in _ICMPS:
            return f"{name}/{self.first}" + ("" if self.last is None else f"/{self.last}")
        return f"{name}/{self.first}" + ("" if self.last == self.first else f"-{self.last}")

    @property
    def is_whole(self) -> bool:
        """Whether it is every port."""
        return (self.first, self.last) == (1, LAST_PORT)


def samples(matches: Iterable[PortMatch]) -> list[Traffic]:
    """One sample of each span that these matches treat alike, in order, and one of all other traffic."""
    cuts: dict[int, set[int]] = {PROTOCOLS["tcp"]: {1}, PROTOCOLS["udp"]: {1}}
    found = [Traffic(PROTOCOLS["icmp"]), Traffic(PROTOCOLS["icmpv6"]), Traffic(OTHER)]
    for match in matches:
        if match.number in _ICMPS:
            found.append(Traffic(match.number, match.icmp_type, match.icmp_code))
        elif match.number in _WITH_PORTS:
            at = cuts.setdefault(match.number, {1})
            if match.port is not None and match.last_port is not None:
                at |= {match.port, match.last_port + 1} - {LAST_PORT + 1}
        else:
            found.append(Traffic(match.number))
    for protocol, starts in cuts.items():
        ordered = sorted(starts)
        ends = [start - 1 for start in ordered[1:]] + [LAST_PORT]
        found += [Traffic(protocol, first, last) for first, last in zip(ordered, ends, strict=True)]
    return sorted(set(found), key=lambda each: (each.protocol, each.first or 0, each.last or 0))


def joined(spans: Iterable[Traffic], every: int) -> tuple[str, ...]:
    """Spans in words, those that follow each other as one; `any` where it is `every` one there is."""
    listed = sorted(spans, key=lambda each: (each.protocol, each.first or 0, each.last or 0))
    if len(listed) == every:
        return ("any",)
    made: list[Traffic] = []
    for span in listed:
        before = made[-1] if made else None
        if (
            before is not None
            and before.protocol == span.protocol
            and span.protocol in _WITH_PORTS
            and before.last is not None
            and span.first == before.last + 1
        ):
            made[-1] = Traffic(span.protocol, before.first, span.last)
        else:
            made.append(span)
    return tuple(span.text for span in made)
