"""The certificates that a store shows and trusts, read again when their files change.

So a renewed certificate needs no restart: the next request is made on a new connection. Files that are half
written, or do not belong together, are not taken; what was taken before goes on.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from store.etcd_config import EtcdConfig, Pems

LOOK_S = 1.0
"""Seconds after which the files are looked at again. A connection that stands needs none of them."""

log = logging.getLogger(__name__)


class BadFiles(Exception):
    """A file holds not what it should, or two do not belong together. One line for people."""


class TlsFiles:
    """What the files of a configuration hold. Safe to use from many threads."""

    def __init__(self, config: EtcdConfig) -> None:
        self._config = config
        self._paths = [path for path in (config.ca, config.cert, config.key) if path]
        self._lock = threading.Lock()
        self._pems: Pems | None = None
        self._seen: object = None
        self._look_at = 0.0

    def pems(self) -> Pems:
        """CA, key and certificate as `EtcdConfig.read_tls`: the same object until they have changed.

        Raises:
            OSError: a file cannot be read, and never could.
        """
        with self._lock:
            now = time.monotonic()
            if self._pems is None:
                self._seen, self._pems = marks(self._paths), self._config.read_tls()
            elif self._paths and now >= self._look_at:
                self._pems = self._newer(self._pems)
            else:
                return self._pems
            self._look_at = now + LOOK_S
            return self._pems

    def _newer(self, pems: Pems) -> Pems:
        seen = marks(self._paths)
        if seen == self._seen:
            return pems
        try:
            check_files(self._config)
            read = self._config.read_tls()
        except (OSError, BadFiles) as fault:
            log.warning("etcd certificates changed and are not taken why=%r", str(fault))
            self._seen = seen
            return pems
        if marks(self._paths) != seen:
            return pems  # they are being written: the next look finds them whole
        self._seen = seen
        if read == pems:
            return pems
        log.info("etcd certificates changed and are taken files=%s", ",".join(map(str, self._paths)))
        return read


def marks(paths: Iterable[Path]) -> object:
    """What changes with the files."""
    try:
        stats = [path.stat() for path in paths]
    except OSError as fault:
        return str(fault)
    # Not the time of the last write: a file that becomes readable, or is moved here, is a change too.
    return [(each.st_dev, each.st_ino, each.st_ctime_ns, each.st_size) for each in stats]


def check_files(config: EtcdConfig) -> None:
    """Have the files read by a library that says what is wrong with them. Raises `BadFiles`, OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if config.ca is not None:
        _check_ca(context, config.ca)
    if config.cert is not None:
        try:
            context.load_cert_chain(config.cert, config.key, password=lambda: "")
        except ssl.SSLError:
            raise BadFiles(
                f"--etcd-cert, --etcd-key: {config.cert} and {config.key} are not a certificate and its key "
                "in PEM, without a password; give the two that were made together"
            ) from None


def _check_ca(context: ssl.SSLContext, ca: Path) -> None:
    try:
        context.load_verify_locations(ca)
    except ssl.SSLError:
        raise BadFiles(f"--etcd-ca: {ca} holds no certificate in PEM") from None
