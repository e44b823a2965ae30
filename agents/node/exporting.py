"""Sampled packets to a collector, as the node's record says; the bridge is looked at at each resync."""

from __future__ import annotations

import logging
from hashlib import sha256
from typing import Protocol

from openflow.errors import BridgeError
from openflow.export import IPFIX, SFLOW, ExportSpec
from store.model import Node
from store.model.export import Export, ExportProtocol

log = logging.getLogger(__name__)

HEADER_BYTES = 128
POLLING_S = 30
CACHE_S = 10
"""A flow that is sampled is told of after so long, and again while it lasts."""


class Exports(Protocol):
    """The part of the bridge that is needed (`openflow.bridge.Bridge`)."""

    def export(self, wanted: ExportSpec | None) -> None: ...


class Exporting:
    """Keeps the bridge's export as the node's record says. One thread at a time."""

    def __init__(self, bridge: Exports) -> None:
        self._bridge = bridge
        self._known = False
        self._done: ExportSpec | None = None

    def forget(self) -> None:
        """Look at the bridge again."""
        self._known = False

    def look(self, node: Node) -> None:
        """Make it so. What cannot be done now is tried again at the next resync: no packet waits for it."""
        wanted = spec(node.name, node.export) if node.export is not None else None
        if self._known and wanted == self._done:
            return
        try:
            self._bridge.export(wanted)
        except BridgeError as fault:
            log.warning("export not configured why=%s", fault)
        self._known, self._done = True, wanted


def spec(node: str, export: Export) -> ExportSpec:
    """What the bridge of a node has to tell. Pure."""
    if export.protocol is ExportProtocol.IPFIX:
        # RFC 7011 §3.1: the observation domain tells the exporters of one address apart.
        domain = int.from_bytes(sha256(node.encode()).digest()[:4], "big")
        numbers = (("obs_domain_id", domain), ("cache_active_timeout", CACHE_S))
        return ExportSpec(IPFIX, export.target, export.sampling, numbers)
    numbers = (("polling", POLLING_S), ("header", HEADER_BYTES))
    return ExportSpec(SFLOW, export.target, export.sampling, numbers)
