"""A real Open vSwitch of the test's own: database and switch in a network namespace, userspace datapath."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
T = TypeVar("T")


def until(look: Callable[[], T], what: str, *, deadline_s: float = 10.0) -> T:
    """Look until the answer is true, and return it; fails the test at the deadline."""
    end = time.monotonic() + deadline_s
    while not (seen := look()):
        assert time.monotonic() < end, f"waited {deadline_s:g} s for {what}; last seen: {seen!r}"
        time.sleep(0.01)
    return seen


class OpenVSwitch:
    """ovsdb-server and ovs-vswitchd in a namespace; `remote` is the database for OVSDB clients."""

    def __init__(self, netns: str, directory: Path) -> None:
        self.netns = netns
        self.directory = directory
        self.remote = f"unix:{directory}/db.sock"
        self._env = {**os.environ, "OVS_RUNDIR": str(directory), "OVS_LOGDIR": str(directory)}
        self._programs: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start both, from an empty database. Blocking."""
        self.run("ovsdb-tool", "create", f"{self.directory}/conf.db", str(SCHEMA))
        self.start_server()
        tso = "other_config:userspace-tso-enable=true"
        self.run("ovs-vsctl", "--no-wait", f"--db={self.remote}", "set", "Open_vSwitch", ".", tso)
        self.start_vswitchd()

    def start_server(self) -> None:
        """Start the database server and wait until it listens."""
        self._start("ovsdb-server", f"{self.directory}/conf.db", f"--remote=p{self.remote}")
        until(self._listens, "ovsdb-server")

    def start_vswitchd(self) -> None:
        """Start the switch; it reads the database by and by."""
        self._start("ovs-vswitchd", self.remote)

    def kill(self, program: str) -> None:
        """kill -9."""
        self._programs[program].kill()
        self._programs.pop(program).wait()
        (self.directory / "db.sock").unlink() if program == "ovsdb-server" else None

    def signal(self, program: str, number: signal.Signals) -> None:
        """Send a signal to one of them."""
        self._programs[program].send_signal(number)

    def stop(self) -> None:
        """End both and remove what a bridge left in the namespace."""
        for program in list(self._programs.values())[::-1]:
            program.terminate()
            program.wait()
        self._programs.clear()

    def run(self, *argv: str) -> str:
        """Run a command inside the namespace; what it printed. Fails the test when it fails."""
        inside = ["ip", "netns", "exec", self.netns, *argv]
        done = subprocess.run(inside, env=self._env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}: {done.stderr}"
        return done.stdout

    def vsctl(self, *argv: str) -> str:
        """Run ovs-vsctl and wait until the switch has done it."""
        return self.run("ovs-vsctl", f"--db={self.remote}", "--timeout=10", *argv).strip()

    def ofctl(self, *argv: str) -> str:
        """Run ovs-ofctl."""
        return self.run("ovs-ofctl", "-O", "OpenFlow13", *argv)

    def _listens(self) -> bool:
        """Whether the database takes connections: its socket is there some moments earlier."""
        with socket.socket(socket.AF_UNIX) as link:
            return link.connect_ex(str(self.directory / "db.sock")) == 0

    def _start(self, program: str, *argv: str) -> None:
        control = f"--unixctl={self.directory}/{program}.ctl"
        self._programs[program] = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, program, *argv, control, "-vconsole:off"], env=self._env
        )


@contextmanager
def open_vswitch(netns: str, directory: Path) -> Iterator[OpenVSwitch]:
    """A started Open vSwitch in a new namespace; both are gone afterwards."""
    subprocess.run(["ip", "netns", "add", netns], check=True)
    switch = OpenVSwitch(netns, directory)
    try:
        switch.run("ip", "link", "set", "lo", "up")
        switch.start()
        yield switch
    finally:
        switch.stop()
        subprocess.run(["ip", "netns", "delete", netns], check=True)
