"""`flows.bulk`: 20,000 flows into an empty bridge, by the agent's driver and by ovs-ofctl in a bundle.

The flows are those of endpoints, other ones in each round, so that nothing is known of them from the round
before. Told on standard error and part of the goal: a resync that finds all of them as they should be, and
a pass after a change of one endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from agents.command import spare_garbage
from agents.node.flow_driver import FlowDriver
from agents.parts import Parts
from agents.reconciler import Reconciler
from bench.lone_node import connected, endpoints, lone_node, run
from bench.row import Row, beside, median, progress, ratio_of, seconds
from intent.flows import flow_parts
from intent.held import Held
from intent.names import BRIDGE
from lab import tools
from lab.errors import LabError
from lab.ovs import Switch as OpenVSwitch
from openflow.flow import Flow, FlowKey
from openflow.switch import Switch

FLOWS = 20_000
ROUNDS = 7
CHANGES = 50
FIRST = IPv4Address("10.64.0.1")
RATIO_GOAL, UNCHANGED_GOAL_S, CHANGE_GOAL_MS = 0.5, 1.0, 10.0
PEER = "ovs-ofctl --bundle add-flows"

Flows = Reconciler[FlowKey, Flow]


def measure() -> Row:
    """Measure. Its value is milliseconds for all flows."""
    spare_garbage()  # as the agent does
    ours, theirs = list[float](), list[float]()
    with lone_node() as (host, ovs), connected(ovs) as switch:
        for number in range(ROUNDS):
            held = _enough(FIRST + number * 0x10000)
            file = host.directory / f"flows-{number}"
            ours.append(_fill(switch, ovs, held, file))
            theirs.append(seconds(partial(_add_flows, ovs, file)))
            progress(f"flows.bulk: round {number + 1}: {ours[-1]:.3f} s, {PEER} {theirs[-1]:.3f} s")
        unchanged_s, changes_ms = _resync(switch, held), _changes(switch, held)
    change_ms = median(changes_ms)
    progress(f"flows.bulk: unchanged {unchanged_s:.3f} s, one change {change_ms:.1f} ms")
    goal = f"ratio >= {RATIO_GOAL}, unchanged <= {UNCHANGED_GOAL_S:g} s, a change <= {CHANGE_GOAL_MS:g} ms"
    fast = ratio_of(ours, theirs) >= RATIO_GOAL
    ok = fast and unchanged_s <= UNCHANGED_GOAL_S and change_ms <= CHANGE_GOAL_MS
    return beside("flows.bulk", ours, theirs, PEER, goal, ok=ok)


def _enough(first: IPv4Address) -> list[Held]:
    """Endpoints that have so many flows together."""
    one = endpoints(1, first)
    each = len(Parts(flow_parts(one))) - len(Parts(flow_parts([])))
    return endpoints(FLOWS // each, first)


def _fill(switch: Switch, ovs: OpenVSwitch, held: list[Held], file: Path) -> float:
    """Fill the empty bridge, write down what it holds for `ovs-ofctl`, empty it again."""
    wanted = Parts(flow_parts(held))
    filling: Flows = Reconciler("flows", FlowDriver(switch))
    ovs.ofctl("del-flows", BRIDGE)
    taken_s = seconds(lambda: _settle(filling, wanted))
    lines = ovs.ofctl("dump-flows", BRIDGE, "--no-stats").splitlines()
    file.write_text("\n".join(line.strip() for line in lines if "actions=" in line))
    if len(lines) < len(wanted):
        raise LabError(f"{len(lines)} flows are there of {len(wanted)}")
    ovs.ofctl("del-flows", BRIDGE)
    return taken_s


def _add_flows(ovs: OpenVSwitch, file: Path) -> None:
    target = f"unix:{ovs.directory / BRIDGE}.mgmt"
    run(tools.find("ovs-ofctl"), "-O", "OpenFlow14", "--bundle", "add-flows", target, str(file))


def _resync(switch: Switch, held: list[Held]) -> float:
    """Everything is there: read it again and find that it is. The flows were not read before."""
    reading: Flows = Reconciler("flows", FlowDriver(switch))
    taken_s = seconds(lambda: _settle(reading, Parts(flow_parts(held))))
    if reading.repairs:
        raise LabError("flows that are there were not found")
    return taken_s


def _changes(switch: Switch, held: list[Held]) -> list[float]:
    """Passes of which each finds one endpoint changed; in milliseconds."""
    reconciler: Flows = Reconciler("flows", FlowDriver(switch))
    _settle(reconciler, Parts(flow_parts(held)))
    taken = []
    for number in range(CHANGES):
        held[number] = Held(held[number].endpoint, 0x8000 + number)
        taken.append(seconds(lambda: _settle(reconciler, Parts(flow_parts(held)))) * 1000)
    return taken


def _settle(reconciler: Flows, wanted: Mapping[FlowKey, Flow]) -> None:
    reconciler.put(wanted)
    reconciler.delete(wanted)
    if not reconciler.known:
        raise LabError("the switch did not take the flows")
