"""When the certificates of a program end: its log says so at the start and each day, when that is near."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pki.certificate import PkiError
from pki.directory import read_cert

NEAR = timedelta(days=30)
DAY_S = 86_400.0

log = logging.getLogger(__name__)


class Ends:
    """Certificates in files, which are read anew at each question: of several in one file the first counts.

    Args:
        paths: the files, each once or several times.
        clock: the time of day.
    """

    def __init__(
        self, paths: Iterable[Path], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.paths = tuple(dict.fromkeys(paths))
        self._clock = clock

    def end_s(self, path: Path) -> float:
        """When the certificate of a file ends, in seconds since 1970; NaN where it cannot be read."""
        try:
            return read_cert(path, "").not_valid_after_utc.timestamp()
        except PkiError:
            return math.nan

    def look(self) -> None:
        """Tell of those that have ended, or will soon."""
        for path in self.paths:
            try:
                ends = read_cert(path, "it was there before").not_valid_after_utc
            except PkiError as fault:
                log.warning("event=certificate-unreadable file=%s why=%r", path, str(fault))
                continue
            left = ends - self._clock()
            if left <= timedelta():
                log.error("event=certificate-ended file=%s ended=%s renew it", path, ends.isoformat())
            elif left < NEAR:
                at = ends.isoformat()
                log.warning("event=certificate-ends file=%s ends=%s days=%d renew it", path, at, left.days)

    def start(self) -> None:
        """Look now and each day, in a thread that ends with the program."""
        threading.Thread(target=self._run, name="certificates", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.look()
            time.sleep(DAY_S)
