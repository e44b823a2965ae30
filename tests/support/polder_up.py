"""`polder up` as a real process, and `polder` beside it."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

READY_S = 60.0
STOP_S = 60.0
POLDER = [str(Path(sys.executable).with_name("polder"))]


class NotReady(AssertionError):
    """It did not say that it is ready; the message is all that it said."""


def environment(given: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's, without what points `polder` elsewhere."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("POLDER_")}
    return {**kept, "POLDER_CONFIG": os.devnull, **(given or {})}


class Up:
    """`polder up` with a data directory. A context manager: ready on entry, stopped with SIGINT on exit.

    Args:
        data: the data directory.
        arguments: more arguments; without `--listen` it is a free port.
        prefix: what comes before `polder`, such as `ip netns exec NAME`.
        env: variables to add.
    """

    def __init__(
        self, data: Path, *arguments: str, prefix: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> None:
        listen = [] if any(each.startswith("--listen") for each in arguments) else ["--listen=127.0.0.1:0"]
        self._argv = [*prefix, *POLDER, "up", f"--data-dir={data}", *listen, *arguments]
        self._env = environment(env)
        self._process: subprocess.Popen[str] | None = None
        self.output = ""

    @property
    def process(self) -> subprocess.Popen[str]:
        """The running process."""
        assert self._process is not None
        return self._process

    @property
    def url(self) -> str:
        """The controller's URL."""
        return self._said(r"controller +(http\S+)")

    def pid(self, program: str) -> int:
        """The pid of a program, as last announced."""
        return int(self._said(rf"{program} .*pid (\d+)"))

    def launch(self) -> Self:
        """Start it and return at once."""
        self._process = subprocess.Popen(
            self._argv,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def wait_for(self, words: str, deadline_s: float = READY_S) -> str:
        """Read until it has said `words` and the line is over; returns all it said. Raises NotReady."""
        stream = self.process.stdout
        assert stream is not None
        until = time.monotonic() + deadline_s
        with selectors.DefaultSelector() as selector:
            selector.register(stream, selectors.EVENT_READ)
            while not re.search(rf"{words}.*\n", self.output):
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise NotReady(f"no {words!r} after {deadline_s} s in:\n{self.output}")
                read = os.read(stream.fileno(), 65536)
                if not read:
                    raise NotReady(f"it ended without {words!r}:\n{self.output}")
                self.output += read.decode()
        return self.output

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and wait until it has ended; returns the exit status. Idempotent."""
        if self.process.stdout is None or self.process.stdout.closed:
            return self.process.returncode
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            rest, _ = self.process.communicate(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        self.output += rest or ""
        return self.process.returncode

    def polder(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `polder` against it."""
        return polder(*arguments, server=self.url)

    def __enter__(self) -> Self:
        self.launch()
        try:
            self.wait_for("polder: ready")
            self.wait_for("endpoint create")
        except BaseException:
            self.stop(signal.SIGTERM)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _said(self, pattern: str) -> str:
        found = re.findall(pattern, self.output)
        assert found, f"no {pattern!r} in:\n{self.output}"
        return str(found[-1])


def polder(
    *arguments: str, server: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `polder` to its end, whatever it is."""
    given = {**({"POLDER_SERVER": server} if server else {}), **(env or {})}
    return subprocess.run(
        [*POLDER, *arguments], env=environment(given), capture_output=True, text=True, check=False, timeout=60
    )
