"""`routes.bulk`: 20,000 host routes by the agent's driver, and by `ip -batch` from a file.

The routes are those of endpoints: on-link on the bridge's interface, here a veth. The two take turns.
Told on standard error and part of the goal: to read all of them and find that nothing is to be done.
"""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from agents.command import spare_garbage
from agents.kernel.routes import RouteDriver
from agents.reconciler import Reconciler
from bench.lone_node import run
from bench.row import Row, beside, progress, ratio_of, seconds
from intent.names import BRIDGE, PROTOCOL
from intent.routes import Route, RouteKey
from lab import netns, tools
from lab.errors import LabError
from lab.host import Host
from lab.lab import Lab
from lab.topology import HostSpec, Role, Topology

ROUTES = 20_000
ROUNDS = 9
FIRST = int(IPv4Network("10.64.0.0/32").network_address)
RATIO_GOAL, UNCHANGED_GOAL_S = 1.0, 0.5
PEER = "ip -batch"

Routes = Reconciler[RouteKey, Route]


def measure() -> Row:
    """Measure. Its value is milliseconds for all routes."""
    spare_garbage()  # as the agent does
    ours, theirs, unchanged = list[float](), list[float](), list[float]()
    with Lab("bench", with_polder=False, topology=Topology((HostSpec("node", Role.METAL),), ())) as lab:
        host = lab.hosts["node"]
        netns.batch([f"link add {BRIDGE} type veth peer name other"], inside=host.netns)
        netns.batch([f"link set {name} up" for name in (BRIDGE, "other")], inside=host.netns)
        driver = netns.within(host.netns, RouteDriver)
        wanted = {route.key: route for route in map(_route, range(ROUTES))}
        file = _file(host, wanted)
        for number in range(ROUNDS):
            ours.append(seconds(lambda: _settle(driver, wanted)))
            unchanged.append(seconds(lambda: _settle(driver, wanted)))
            _empty(host)
            theirs.append(seconds(lambda: run(tools.find("ip"), "-n", host.netns, "-batch", str(file))))
            _settle(driver, wanted)
            _empty(host)
            progress(f"routes.bulk: round {number + 1}: {ours[-1]:.3f} s, {PEER} {theirs[-1]:.3f} s")
    progress(f"routes.bulk: unchanged, at most {max(unchanged):.3f} s")
    goal = f"ratio >= {RATIO_GOAL}, unchanged <= {UNCHANGED_GOAL_S:g} s"
    ok = ratio_of(ours, theirs) >= RATIO_GOAL and max(unchanged) <= UNCHANGED_GOAL_S
    return beside("routes.bulk", ours, theirs, PEER, goal, ok=ok)


def _route(number: int) -> Route:
    return Route(IPv4Network((FIRST + number, 32)), oif=BRIDGE)


def _file(host: Host, wanted: dict[RouteKey, Route]) -> Path:
    file = host.directory / "routes"
    marks = f"dev {BRIDGE} proto {PROTOCOL} metric {PROTOCOL} scope link"
    file.write_text("".join(f"route replace {key.destination} {marks}\n" for key in wanted))
    return file


def _settle(driver: RouteDriver, wanted: dict[RouteKey, Route]) -> None:
    """As an agent that has just started: nothing is known of what is there."""
    reconciler: Routes = Reconciler("routes", driver)
    if not (reconciler.put(wanted) and reconciler.delete(wanted)):
        raise LabError("the kernel did not take the routes")


def _empty(host: Host) -> None:
    """Remove the routes, after a look whether there are as many as there should be."""
    lines = host.run("ip", "-4", "route", "show", "proto", str(PROTOCOL)).stdout.splitlines()
    if len(lines) != ROUTES:
        raise LabError(f"{len(lines)} routes are there, not {ROUTES}")
    host.run("ip", "-4", "route", "flush", "proto", str(PROTOCOL))
