"""The controller's log: lines on standard error, those of one moment in one write.

Each write is a system call, for which a thread lets go of Python's lock and then waits in line for it:
with a line for each request that costs more than all else that is done for the line. So a thread of its own
writes what has come, some hundredths of a second behind. An error is written at once, and
what came before it, so that the last words of a program that dies are there.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from functools import lru_cache

TIME = "%Y-%m-%dT%H:%M:%S%z"
STANDARD_ERROR = 2
TOGETHER_S = 0.02
"""Lines of so many seconds go into one write."""


class Lines(logging.Handler):
    """Writes the lines of a program to a file descriptor."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._lines: list[str] = []
        self._due = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a line in, without a lock: lines are only put to the end of a list."""
        self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line in."""
        self._lines.append(self.format(record) + "\n")
        if record.levelno >= logging.ERROR:
            self.flush()
        elif not self._due.is_set():
            self._due.set()

    def flush(self) -> None:
        """Write what there is. Blocking."""
        with self._writing:
            count = len(self._lines)  # more may come while these are taken away
            text = "".join(self._lines[:count]).encode(errors="backslashreplace")
            del self._lines[:count]
            try:
                while text:
                    text = text[os.write(self._descriptor, text) :]
            except OSError:
                return  # nobody reads it any more, and there is nowhere to say so

    def _run(self) -> None:
        while True:
            self._due.wait()
            time.sleep(TOGETHER_S)
            self._due.clear()
            self.flush()


class Formatter(logging.Formatter):
    """Time, level, name and message. Makes the text of each second once."""

    def usesTime(self) -> bool:  # noqa: N802
        return False

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return f"{_second(int(record.created))} {record.levelname} {record.name} {record.message}"


@lru_cache(maxsize=1)
def _second(at: int) -> str:
    return time.strftime(TIME, time.localtime(at))


def start(level: str) -> None:
    """Log all of the program, from this level on. What no line shows is not found out for each of them."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = Lines(STANDARD_ERROR)
    handler.setFormatter(Formatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
