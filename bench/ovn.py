"""OVN on one host, as what the attach of a container is measured against."""

from __future__ import annotations

import subprocess
from pathlib import Path

from lab import netns, tools
from lab.errors import LabError
from lab.host import Host
from lab.lab import Lab
from lab.ovs import Switch
from lab.program import Program

SCHEMAS = Path("/usr/share/ovn")
FIRST = 1
"""The number of the container that the others ask."""
BRIDGE, NETWORK = "br-int", "net0"
SETTINGS = {
    "ovn-encap-type": "geneve",
    "ovn-encap-ip": "127.0.0.1",
    "ovn-bridge-datapath-type": "netdev",
}
"""There is one chassis, so that nothing is ever encapsulated."""


class Ovn:
    """A logical switch on a host of its own. Ports are containers with an address of 10.65.0.0/16."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self.host = lab.container("ovn")
        self._switch = Switch(self.host)
        self._directory = self._switch.directory
        self._remote = f"unix:{self._directory / 'ovn.sock'}"
        databases = [str(self._directory / f"ovn-{name}.db") for name in ("nb", "sb")]
        env = {"OVS_RUNDIR": str(self._directory), "OVN_RUNDIR": str(self._directory)}
        both = [f"--ovnnb-db={self._remote}", f"--ovnsb-db={self._remote}"]
        self._databases = databases
        control = self._directory / "ovn.ctl"
        server = [*databases, f"--remote=p{self._remote}", f"--unixctl={control}"]
        self._programs = [
            Program(
                self.host, "ovn-ovsdb", [tools.find("ovsdb-server"), *server], env=env, ready=control.exists
            ),
            Program(self.host, "ovn-northd", [tools.find("ovn-northd"), *both], env=env),
            Program(self.host, "ovn-controller", [tools.find("ovn-controller"), self._switch.db], env=env),
        ]

    def start(self) -> None:
        """Start all of it. Blocking. Raises LabError."""
        self._switch.start()
        for name, database in zip(("nb", "sb"), self._databases, strict=True):
            _run(tools.find("ovsdb-tool"), "create", database, str(SCHEMAS / f"ovn-{name}.ovsschema"))
        settings = {**SETTINGS, "ovn-remote": self._remote}
        self._switch.vsctl(
            "set", "Open_vSwitch", ".", *(f'external_ids:{key}="{text}"' for key, text in settings.items())
        )
        for program in self._programs:
            program.start()
        self._nbctl("init")
        self._nbctl("--wait=hv", "ls-add", NETWORK)

    def stop(self) -> None:
        """End all of it. Blocking. Idempotent."""
        for program in reversed(self._programs):
            program.stop()
        self._switch.stop()

    def prepare(self, container: Host, number: int) -> str:
        """Make a container's link, with its address; returns the address."""
        address, link = _address(number), f"o{number}"
        netns.batch(
            [f"link add {link} type veth peer name eth0 netns {container.netns}"], inside=self.host.netns
        )
        netns.batch([f"link set {link} up"], inside=self.host.netns)
        settings = [f"link set eth0 address {_mac(number)}", f"address add {address}/16 dev eth0"]
        netns.batch([*settings, "link set eth0 up"], inside=container.netns)
        if number > FIRST:
            # an ARP request that is sent too early is repeated after a second only
            known = f"neighbour add {_address(FIRST)} lladdr {_mac(FIRST)} dev eth0 nud permanent"
            netns.batch([known], inside=container.netns)
        return address

    def attach(self, number: int, address: str) -> None:
        """Plug the link in, and make its logical port: returns when every flow is there. Blocking."""
        name = f"o{number}"
        iface = ("--", "set", "Interface", name, f"external_ids:iface-id={name}")
        vsctl = (tools.find("ovs-vsctl"), f"--db={self._switch.db}", "--no-wait")
        _run(*vsctl, "add-port", BRIDGE, name, *iface)
        addresses = ("--", "lsp-set-addresses", name, f"{_mac(number)} {address}")
        self._nbctl("--wait=hv", "lsp-add", NETWORK, name, *addresses)

    def _nbctl(self, *argv: str) -> None:
        _run(tools.find("ovn-nbctl"), f"--db={self._remote}", "--timeout=10", *argv)


def _address(number: int) -> str:
    return f"10.65.{number >> 8}.{number & 0xFF}"


def _mac(number: int) -> str:
    return f"02:4f:56:4e:{number >> 8:02x}:{number & 0xFF:02x}"


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip()}")
