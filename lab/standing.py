"""What a standing lab tells its user: how to enter it, and how it does."""

from __future__ import annotations

from lab import commands, processes
from lab.claim import Claim, known_labs, lab_directory
from lab.errors import InUse
from lab.lab import DEFAULT_NAME, Lab


def how_to_enter(lab: Lab, *, with_polder: bool) -> list[str]:
    """Lines that a user can copy."""
    fabric = lab.fabric
    tor, node = lab.tors["tor-a"], lab.nodes[0]
    lines = [
        f"lab {lab.name} is up. A shell on a host:",
        f"  ip netns exec {fabric.namespace('metal')} bash",
        "the other hosts:",
        *(f"  {host.netns}" for host in lab.hosts.values() if host.name != "metal"),
        "a ToR's routing shell:",
        f"  vtysh --vty_socket {tor.vty} -c 'show bgp summary'",
        "a node's switch:",
        f"  ovs-vsctl --db={fabric.switches[node].db} show",
    ]
    if with_polder:
        (polder,) = commands.command_line()
        enter = f"ip netns exec {fabric.namespace('mgmt')}"
        lines += [
            "Polder:",
            f"  {enter} env POLDER_SERVER={lab.polder.url} {polder} bgp summary",
            f"  {enter} env POLDER_SERVER={lab.polder.url} {polder} endpoint create web --node {node}",
            f"  ip netns add web; {polder} attach web --netns web --socket {lab.polder.agent_socket(node)}",
        ]
    return [*lines, f"logs are in {lab_directory(lab.name)}; {removal(lab.name)} removes it"]


def removal(name: str) -> str:
    """The command that removes a lab."""
    return "'make lab-down'" if name == DEFAULT_NAME else f"'python -m lab down --name {name}'"


def status() -> list[str]:
    """One line for each lab on this machine."""
    lines = [_line(name) for name in known_labs()]
    return lines or ["no lab is up; 'make lab' builds one"]


def _line(name: str) -> str:
    try:
        claim = Claim(name)
    except InUse as fault:
        return f"lab {name} is in use by process {fault.holder}"
    made = claim.ledger.read()
    claim.release()
    if not made.standing:
        return f"lab {name} was left by a crashed run; {removal(name)} removes it"
    alive = sum(processes.alive(process) for process in made.processes)
    spaces = ", ".join(made.namespaces)
    return f"lab {name} is up: {alive} of {len(made.processes)} programs run, in namespaces {spaces}"
