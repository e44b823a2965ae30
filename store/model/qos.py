"""Quality of service of an endpoint: what it may send and get, and what it is promised on its node's uplinks.

*Egress* is what the endpoint sends, *ingress* what it gets. What is not given is not limited.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import AfterValidator, Field, model_validator

from store.model.value import Value

MIN_RATE_KBPS, MAX_RATE_KBPS = 100, 100_000_000
"""The least lets the largest packet there is (9216 bytes, 74 kbit) pass within a second."""
MIN_BURST_KBIT, MAX_BURST_KBIT = 1000, 400_000_000
"""Endpoints hand over TCP in segments of up to 64 KiB (524 kbit): one that is larger than the burst never
passes. The least holds nearly two."""

Kbps = Annotated[int, Field(strict=True, ge=MIN_RATE_KBPS, le=MAX_RATE_KBPS)]
Kbit = Annotated[int, Field(strict=True, ge=MIN_BURST_KBIT, le=MAX_BURST_KBIT)]
PacketsPerS = Annotated[int, Field(strict=True, ge=10, le=100_000_000)]
ConnectionsPerS = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Priority = Annotated[int, Field(strict=True, ge=0, le=7)]
Dscp = Annotated[int, Field(strict=True, ge=0, le=63)]

T = TypeVar("T")
Optional = Annotated[T | None, Field(exclude_if=lambda value: value is None)]
"""What is not given is not written either."""


class Qos(Value):
    """The limits, shares and marks of one endpoint."""

    egress_rate_kbps: Optional[Kbps] = None
    """Kilobits (1000) in a second, Ethernet header included. More is dropped."""
    egress_burst_kbit: Optional[Kbit] = None
    """Kilobits that may come at once; a quarter of a second's when not given."""
    ingress_rate_kbps: Optional[Kbps] = None
    ingress_burst_kbit: Optional[Kbit] = None
    egress_packets_per_s: Optional[PacketsPerS] = None
    """A segment of TCP that the endpoint's kernel leaves whole (TSO) is one packet."""
    ingress_packets_per_s: Optional[PacketsPerS] = None
    egress_connections_per_s: Optional[ConnectionsPerS] = None
    """Connections that it opens: every packet of a flow that was not let through yet."""
    ingress_connections_per_s: Optional[ConnectionsPerS] = None
    """Likewise, those that others open to it."""
    guaranteed_kbps: Optional[Kbps] = None
    """What it gets of each uplink of its node whose rate is known, however busy that is."""
    priority: Annotated[Priority, Field(exclude_if=lambda value: value == 0)] = 0
    """Who gets what of such an uplink nobody is guaranteed: the highest first. The node itself has 0."""
    dscp: Optional[Dscp] = None
    """RFC 2474 §3: written into every IP packet that it sends; None keeps what it wrote itself."""

    @model_validator(mode="after")
    def _consistent(self) -> Qos:
        for way in ("egress", "ingress"):
            burst, rate = getattr(self, f"{way}_burst_kbit"), getattr(self, f"{way}_rate_kbps")
            if burst is not None and rate is None:
                raise ValueError(f"{way}_burst_kbit is for {way}_rate_kbps; give both, or neither")
        rate = self.egress_rate_kbps
        if rate is not None and (self.guaranteed_kbps or 0) > rate:
            raise ValueError(f"guaranteed_kbps is at most egress_rate_kbps, which is {rate}")
        return self

    @property
    def shaped(self) -> bool:
        """Whether it asks for something of the uplinks."""
        return self.guaranteed_kbps is not None or self.priority > 0


NOTHING = Qos()


def _said(qos: Qos | None) -> Qos | None:
    # What says nothing is written one way only.
    return None if qos is None or qos == NOTHING else qos


OptionalQos = Annotated[Qos | None, AfterValidator(_said)]
