"""A host of the lab: a network namespace, and what one does on a machine.

Commands go through `ip netns exec`, which becomes the command: the pid is the command's own, /sys
shows the host's links, and namespaces that are made later are seen. Every argument is a word, no
shell reads it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import netns, tools
from lab.capture import Capture
from lab.errors import CommandFailed
from lab.ping import ANSWER_S, MAX_REQUESTS, Ping, PingReport, parse
from lab.recording import Recording
from lab.route import Neighbour, Route, RouteMonitor, parse_neighbours, parse_routes
from lab.state import Ledger

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Completed:
    """A command that has ended, with what it wrote."""

    stdout: str
    stderr: str
    returncode: int


class Host:
    """A host. `name` as in the topology, `netns` as in `ip netns`, `directory` for its files and logs."""

    def __init__(self, name: str, netns_name: str, directory: Path, ledger: Ledger) -> None:
        self.name = name
        self.netns = netns_name
        self.directory = directory
        self._ledger = ledger
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o755)  # whatever the umask: FRR runs as a user of its own

    @property
    def netns_path(self) -> Path:
        """The file that stands for its namespace, as the agent's API takes it."""
        return netns.path(self.netns)

    def run(
        self,
        *argv: str,
        check: bool = True,
        timeout_s: float = 20.0,
        stdin: str | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a command to its end, with `env` added to the environment. Blocking.

        Raises:
            CommandFailed: it did not end in `timeout_s`, or, with `check`, its exit status was not 0.
        """
        try:
            done = subprocess.run(
                self._inside(argv),
                input=stdin or "",
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
                env={**tools.environment(), **(env or {})},
            )
        except subprocess.TimeoutExpired:
            raise CommandFailed(self.name, argv, f"did not end in {timeout_s:g} s") from None
        if check and done.returncode != 0:
            why = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
            raise CommandFailed(self.name, argv, why)
        return Completed(done.stdout, done.stderr, done.returncode)

    def popen(
        self, *argv: str, out: Path, err: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a command in the background, in a session of its own, and put it on the lab's ledger.

        Args:
            argv: the command.
            out: its standard output is appended here.
            err: its standard error, with the standard output when not given.
            env: added to the environment.

        Raises:
            LabError: the lab is being removed.
        """
        with (
            out.open("ab") as stdout,
            (err or out).open("ab") as stderr,
            self._ledger.starting() as started,
        ):
            child = subprocess.Popen(
                self._inside(argv),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                env={**tools.environment(), **(env or {})},
            )
            started(child)
        return child

    def record(self, *argv: str) -> Recording:
        """Start a command in the background whose output is read back."""
        stem = self.directory / f"{Path(argv[0]).name}-{next(_numbers)}"
        out, err = stem.with_suffix(".out"), stem.with_suffix(".err")
        return Recording(self.popen(*argv, out=out, err=err), out, err)

    def ping(
        self, target: object, count: int = 1, interval_s: float = 0.02, *, source: object = None
    ) -> PingReport:
        """Send `count` echo requests, wait for the last answer at least `ANSWER_S`, say what came. Blocking.

        Once it has had an answer, ping waits for the last one no longer than `interval_s`, unless it is given
        a deadline, a whole number of seconds: until then it sends on, and what it sends beyond `count` does
        not count.
        """
        argv = _ping(target, interval_s, source)
        until = ("-w", str(math.ceil(count * interval_s + ANSWER_S))) if count > 1 else ()
        timeout_s = count * max(interval_s, 1.0) + 10
        done = self.run(*argv, "-c", str(count), *until, check=False, timeout_s=timeout_s)
        if done.returncode > 1:  # 1 is "not all answered"
            raise CommandFailed(self.name, argv, done.stderr)
        return parse(done.stdout.splitlines(), interval_s, count)

    def ping_background(
        self, target: object, interval_s: float = 0.02, *, source: object = None, first_s: float = 5.0
    ) -> Ping:
        """Ping until stopped; returns when the first answer has come.

        Raises:
            NotInTime: no answer within `first_s`; with 0 nobody waits for it.
        """
        argv = (*_ping(target, interval_s, source), "-D", "-O", "-c", str(MAX_REQUESTS))
        ping = Ping(self.record(*argv), interval_s)
        if first_s:
            try:
                ping.wait_answers(1, first_s)
            except BaseException:
                ping.stop()
                raise
        return ping

    @contextlib.contextmanager
    def capture(self, ifname: str, filter_words: str = "") -> Iterator[Capture]:
        """Capture on a link ("any" is all), with a filter as in pcap-filter(7), while the block runs."""
        recording = self.record(
            "tcpdump", "-n", "-tt", "-l", "-i", ifname, "--immediate-mode", *filter_words.split()
        )
        try:
            recording.wait(lambda: "listening on" in recording.complaints(), 5.0, f"tcpdump on {ifname}")
            yield Capture(recording)
        finally:
            recording.stop()

    def monitor_routes(self) -> RouteMonitor:
        """Write down every change of routes from now on: proof that none was withdrawn."""
        recording = self.record("ip", "-ts", "-o", "monitor", "route")
        monitor = RouteMonitor(recording)
        try:
            recording.wait(monitor.listening, 5.0, "ip monitor route to listen")
        except BaseException:
            recording.stop()
            raise
        return monitor

    def routes(self, family: int = 4, *, table: str = "main") -> list[Route]:
        """The kernel's routes of one family (4 or 6) in one table ("all" is every table)."""
        done = self.run("ip", "-j", "-d", f"-{family}", "route", "show", "table", table, check=False)
        return parse_routes(done.stdout, family=family)

    def route(self, dst: object, family: int = 4) -> Route | None:
        """The route to exactly this prefix in the main table; None when there is none."""
        return next((route for route in self.routes(family) if route.dst == str(dst)), None)

    def neighbours(self) -> list[Neighbour]:
        """The neighbour tables of both families."""
        return parse_neighbours(self.run("ip", "-j", "neigh", "show").stdout)

    def links(self) -> dict[str, bool]:
        """The names of its links, and whether each has carrier."""
        lines = self.run("ip", "-o", "link", "show").stdout.splitlines()
        return {line.split(":")[1].strip().partition("@")[0]: "LOWER_UP" in line for line in lines}

    def set_link(self, ifname: str, *, up: bool) -> None:
        """Take a link up or down."""
        netns.batch([f"link set {ifname} {'up' if up else 'down'}"], inside=self.netns)

    def _inside(self, argv: Sequence[str]) -> list[str]:
        return [tools.find("ip"), "netns", "exec", self.netns, *argv]


def _ping(target: object, interval_s: float, source: object) -> list[str]:
    chosen = [] if source is None else ["-I", str(source)]
    return ["ping", "-n", "-i", f"{interval_s:g}", "-W", f"{ANSWER_S:g}", *chosen, str(target)]
