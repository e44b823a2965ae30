"""What tcpdump saw on a link: packets with their addresses, as they were on the wire."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from lab.recording import Recording

IPAddress = IPv4Address | IPv6Address

_PACKET = re.compile(r"^(?P<time>\d+\.\d+) .*?(?:IP6? (?P<src>\S+) > (?P<dst>[^\s,]+?):? |ARP, )")


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet; `src` and `dst` are None when it is not IP. `time_s` is seconds since the epoch."""

    time_s: float
    src: IPAddress | None
    dst: IPAddress | None
    text: str


class Capture:
    """A tcpdump that listens."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def packets(self) -> list[Packet]:
        """What it has seen so far, and after the end of the capture all that it saw."""
        return parse(self._recording.lines())

    @property
    def count(self) -> int:
        """How many it has seen so far: quicker than to read all of them."""
        return len(self._recording.lines())

    def wait(self, count: int, deadline_s: float) -> list[Packet]:
        """Wait until it has seen at least so many packets. Raises NotInTime."""
        self._recording.wait(lambda: len(self.packets()) >= count, deadline_s, f"{count} captured packets")
        return self.packets()


def parse(lines: Iterable[str]) -> list[Packet]:
    """Read the output of `tcpdump -n -tt`, one line a packet."""
    found = ((_PACKET.match(line), line) for line in lines)
    return [
        Packet(float(match["time"]), _address(match["src"]), _address(match["dst"]), line)
        for match, line in found
        if match
    ]


def _address(text: str | None) -> IPAddress | None:
    """The address of `10.0.0.1`, `10.0.0.1.179`, `fe80::1` or `fe80::1.179`: a port stands behind a dot."""
    if text is None:
        return None
    if ":" in text:
        return ip_address(text.partition(".")[0])
    return ip_address(".".join(text.split(".")[:4]))
