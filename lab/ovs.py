"""A node's own Open vSwitch: database server and switch in the node's namespace, sockets in its directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab import tools
from lab.errors import LabError
from lab.host import Host
from lab.program import Program

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
WAIT_S = 10


class Switch:
    """The Open vSwitch of one node. `db` is its database as OVSDB clients name it: `unix:<path>`."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.directory = host.directory / "ovs"
        self.directory.mkdir(mode=0o755, exist_ok=True)
        self._socket = self.directory / "db.sock"
        self.db = f"unix:{self._socket}"
        env = {"OVS_RUNDIR": str(self.directory), "OVS_LOGDIR": str(self.directory)}
        self.server = Program(
            host,
            "ovsdb-server",
            [tools.find("ovsdb-server"), *self._server_flags()],
            env=env,
            ready=self._serves,
        )
        self.vswitchd = Program(
            host,
            "ovs-vswitchd",
            [tools.find("ovs-vswitchd"), *self._vswitchd_flags()],
            env=env,
            ready=self._switches,
        )

    def start(self) -> None:
        """Make the database when there is none, and start both programs. Blocking. Raises LabError."""
        if not self._database.exists():
            _create(self._database)
        self.server.start()
        self._configure()
        self.vswitchd.start()

    def stop(self) -> None:
        """Stop both programs in peace. Idempotent. Blocking."""
        self.vswitchd.stop()
        self.server.stop()

    def vsctl(self, *argv: str, check: bool = True) -> str:
        """Run ovs-vsctl, wait until the switch has done it, return what it wrote. Raises CommandFailed."""
        return self.host.run("ovs-vsctl", f"--db={self.db}", f"--timeout={WAIT_S}", *argv, check=check).stdout

    def ofctl(self, command: str, bridge: str, *argv: str, check: bool = True) -> str:
        """Run ovs-ofctl on a bridge, with OpenFlow 1.3. Raises CommandFailed."""
        target = f"unix:{self.directory / bridge}.mgmt"
        return self.host.run("ovs-ofctl", "-O", "OpenFlow13", command, target, *argv, check=check).stdout

    def bridges(self) -> list[str]:
        """The names of its bridges."""
        return self.vsctl("list-br", check=False).split()

    @property
    def _database(self) -> Path:
        return self.directory / "conf.db"

    @property
    def control(self) -> Path:
        """The socket by which ovs-appctl asks ovs-vswitchd."""
        return self.directory / "vswitchd.ctl"

    def _server_flags(self) -> list[str]:
        return [
            str(self._database),
            f"--remote=punix:{self._socket}",
            f"--unixctl={self.directory / 'db.ctl'}",
        ]

    def _vswitchd_flags(self) -> list[str]:
        return [self.db, f"--unixctl={self.control}"]

    def _serves(self) -> bool:
        if not self._socket.exists():
            return False
        argv = ("ovs-vsctl", f"--db={self.db}", "--no-wait", "--timeout=1", "init")
        return self.host.run(*argv, check=False).returncode == 0

    def _switches(self) -> bool:
        if not self.control.exists():
            return False
        argv = ("ovs-vsctl", f"--db={self.db}", "--timeout=2", "set", "Open_vSwitch", ".")
        return self.host.run(*argv, "external_ids:lab-ready=true", check=False).returncode == 0

    def _configure(self) -> None:
        """Tell the switch who it is, before it starts."""
        settings = [f"external_ids:system-id={self.host.name}", f"external_ids:hostname={self.host.name}"]
        if not kernel_datapath():
            # netdev only: TCP over a veth with transmit checksum offload stalls without it
            settings.append("other_config:userspace-tso-enable=true")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", *settings)


def kernel_datapath() -> bool:
    """Whether this kernel has Open vSwitch's datapath loaded; without it bridges are `netdev`."""
    return Path("/sys/module/openvswitch").exists()


def _create(database: Path) -> None:
    done = subprocess.run(
        [tools.find("ovsdb-tool"), "create", str(database), str(SCHEMA)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise LabError(f"cannot make the database of Open vSwitch: {done.stderr.strip()}")
