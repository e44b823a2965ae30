"""The certificate that clients of the REST API are shown, read again when its files change.

So a renewed one needs no restart: the next connection gets it. Files that are half written, or do not belong
together, are not taken; what was taken before goes on.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from pathlib import Path

from store.etcd_tls import LOOK_S, marks

log = logging.getLogger(__name__)


class TlsError(Exception):
    """Certificate or key cannot be used. One line for people."""


class ServerTls:
    """What a server speaks TLS with. Not safe to use from several threads."""

    def __init__(self, cert: Path, key: Path) -> None:
        """Raises `TlsError`."""
        self._cert, self._key = cert, key
        self._seen = marks((cert, key))
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            self.context.load_cert_chain(cert, key)
        except OSError as fault:  # ssl.SSLError is one
            raise TlsError(f"cannot use {cert} with {key}: {fault.strerror or fault}") from fault

    def look(self) -> None:
        """Take the files if they have changed. In the thread that accepts connections: it takes two steps."""
        seen = marks((self._cert, self._key))
        if seen == self._seen:
            return
        try:
            # What fails half way leaves a context with a certificate and no key: tried on another first.
            for context in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), self.context):
                context.load_cert_chain(self._cert, self._key, password=lambda: "")
        except OSError as fault:
            why = fault.strerror or str(fault)
            log.warning("event=certificate-not-taken file=%s key=%s why=%r", self._cert, self._key, why)
        else:
            log.info("event=certificate-taken file=%s", self._cert)
        self._seen = seen

    async def follow(self) -> None:
        """Look again and again, until canceled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()
