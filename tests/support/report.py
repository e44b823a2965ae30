"""What to look at when a test in the lab has failed: routes, neighbours, flows, BGP tables, logs.

And what each hop counted, so that a packet that is lost can be followed to where it was seen last.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lab.errors import LabError
from lab.host import Host
from lab.lab import Lab

LOG_LINES = 40
COMMAND_S = 5.0

Section = tuple[str, str]
"""A title and a text."""


def sections(lab: Lab) -> Iterator[Section]:
    """Everything worth seeing of a lab that is still up; nothing when it is not."""
    try:
        hosts = dict(lab.hosts)
    except LabError:
        return
    for host in hosts.values():
        yield f"{host.name}: routes", _ask(host, "ip", "route", "show", "table", "all")
        yield f"{host.name}: neighbours", _ask(host, "ip", "neigh", "show")
        counted = [_ask(host, "nstat", "-as", "Ip*", "Icmp*"), _ask(host, "cat", "/proc/net/dev")]
        yield f"{host.name}: what the kernel counted", "\n".join(counted)
        yield from _pings(host)
    for name, tor in lab.tors.items():
        for command in tor.SHOWS:
            yield f"{name}: {command}", _ask(tor.host, *tor.argv(command))
    for name, switch in lab.fabric.switches.items():
        for bridge in _ask(switch.host, "ovs-vsctl", f"--db={switch.db}", "--timeout=3", "list-br").split():
            target = f"unix:{switch.directory / bridge}.mgmt"
            flows = _ask(switch.host, "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", target)
            yield f"{name}: flows of {bridge}", flows
        # Where it is the datapath itself it reads packets from sockets: "d" in skmem is what one dropped.
        yield f"{name}: what waits for ovs-vswitchd", _ask(switch.host, "ss", "-0anm")
        # What was dropped inside of it, and why, is told nowhere else.
        counted = _ask(switch.host, "ovs-appctl", "-t", str(switch.control), "coverage/show")
        yield f"{name}: what ovs-vswitchd counted", counted
    # One line a core; dropped on the way from link to link is the second number.
    yield "what each core counted", Path("/proc/net/softnet_stat").read_text()
    for host in hosts.values():
        yield from _logs(host)


def _pings(host: Host) -> Iterator[Section]:
    """When a request was not answered before the next one was sent: late, or lost."""
    for path in sorted(host.directory.glob("ping-*.out")):
        timed = (line for line in path.read_text(errors="replace").splitlines() if line.startswith("["))
        if told := [line for line in timed if " bytes from " not in line]:
            yield f"{host.name}: {path.name}", "\n".join(told[:LOG_LINES])


def _logs(host: Host) -> Iterator[Section]:
    for path in sorted(host.directory.rglob("*.log")):
        text = path.read_text(errors="replace") if path.exists() else ""
        yield f"{host.name}: {path.name}", "\n".join(text.splitlines()[-LOG_LINES:])


def _ask(host: Host, *argv: str) -> str:
    """What the command says; why not, when it does not: a report must not hide the failure it is about."""
    try:
        done = host.run(*argv, check=False, timeout_s=COMMAND_S)
    except LabError as fault:
        return str(fault)
    return done.stdout + done.stderr
