"""Where a node's switch tells of the packets that it samples."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from store.model.value import UnicastAddress, Value


class ExportProtocol(StrEnum):
    """How it tells."""

    IPFIX = "ipfix"
    """RFC 7011, by UDP."""
    SFLOW = "sflow"
    """sFlow version 5, by UDP."""


DEFAULT_PORTS = {ExportProtocol.IPFIX: 4739, ExportProtocol.SFLOW: 6343}
"""IANA."""


class Export(Value):
    """A collector, and one packet in how many it is told of."""

    protocol: ExportProtocol
    collector: UnicastAddress
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] | None = None
    """That of the protocol (4739, 6343) when not given."""
    sampling: Annotated[int, Field(strict=True, ge=1, le=1_048_576)] = 1000
    """One packet in so many; 1 is every packet, which a busy switch pays for."""

    @property
    def target(self) -> str:
        """As Open vSwitch takes it."""
        host = f"[{self.collector}]" if self.collector.version == 6 else str(self.collector)
        return f"{host}:{self.port or DEFAULT_PORTS[self.protocol]}"
