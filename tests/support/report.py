"""What to look at when a test in the lab has failed: routes, neighbours, flows, BGP tables, logs."""

from __future__ import annotations

from collections.abc import Iterator

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
    for name, tor in lab.tors.items():
        for command in tor.SHOWS:
            yield f"{name}: {command}", _ask(tor.host, *tor.argv(command))
    for name, switch in lab.fabric.switches.items():
        for bridge in _ask(switch.host, "ovs-vsctl", f"--db={switch.db}", "--timeout=3", "list-br").split():
            target = f"unix:{switch.directory / bridge}.mgmt"
            flows = _ask(switch.host, "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", target)
            yield f"{name}: flows of {bridge}", flows
        # What was dropped inside of it, and why, is told nowhere else.
        counted = _ask(switch.host, "ovs-appctl", "-t", str(switch.control), "coverage/show")
        yield f"{name}: what ovs-vswitchd counted", counted
    for host in hosts.values():
        yield from _logs(host)


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
