"""What a standing lab tells its user: how to enter it, and how it does."""

from __future__ import annotations

import shlex

from lab import commands, processes
from lab.claim import Claim, known_labs, lab_directory
from lab.errors import InUse
from lab.lab import Lab, removal


def how_to_enter(lab: Lab, *, with_polder: bool) -> list[str]:
    """Lines that a user can copy into a shell, in this order."""
    others = ", ".join(host.netns for host in lab.hosts.values() if host.name != "metal")
    return [
        f"lab {lab.name} is up.",
        *(_polder(lab) if with_polder else []),
        f"a shell on a host; the others are {others}:",
        f"  ip netns exec {lab.hosts['metal'].netns} bash",
        "a ToR's routing shell; without -c it stays open:",
        f"  {shlex.join(lab.tors['tor-a'].argv('show bgp summary'))}",
        *_switch(lab, with_flows=with_polder),
        f"logs are in {lab_directory(lab.name)}",
        f"{removal(lab.name)} removes it",
    ]


def _polder(lab: Lab) -> list[str]:
    (program,) = commands.command_line()
    node = lab.nodes[0]
    management = lab.polder.management
    return [
        "the polder command, as the operator:",
        f"  export POLDER_SERVER={','.join(management.urls)} POLDER_CA={management.credentials.ca}",
        f"  export POLDER_TOKEN=$(cat {management.credentials.token_file})",
        f'  polder() {{ ip netns exec {lab.hosts["mgmt"].netns} {program} "$@"; }}',
        "  polder bgp summary",
        f"  polder endpoint create web --node {node}",
        "a namespace of yours as its container, reached from the bare-metal host, and removed:",
        "  ip netns add web",
        f"  polder attach web --netns web --socket {lab.polder.agent_socket(node)}",
        f"  ip netns exec {lab.hosts['metal'].netns} ping -c 3 10.64.0.1    # what create printed",
        "  polder endpoint delete web",
        "  ip netns delete web",
    ]


def _switch(lab: Lab, *, with_flows: bool) -> list[str]:
    switch = lab.fabric.switches[lab.nodes[0]]
    flows = (
        [f"  ovs-ofctl -O OpenFlow13 dump-flows unix:{switch.directory}/polder0.mgmt"] if with_flows else []
    )
    return ["a node's switch:", f"  ovs-vsctl --db={switch.db} show", *flows]


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
