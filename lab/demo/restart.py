"""Programs are killed under running traffic: no packet and no route is lost, and nothing is rewritten."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lab.demo.cast import Cast, Container, inside
from lab.demo.report import Report, expect
from lab.ping import Ping
from lab.program import Program
from lab.router import Router
from lab.wait import wait_until

POOL = "10.64.0.0/16"
AGREE_S = 10.0
_DURATION = re.compile(r"duration=([\d.]+)s")


def programs_are_killed(cast: Cast, report: Report) -> None:
    """kill -9 of the node agent, the speaker and a controller, in turn."""
    report.title("kill -9 of each program, under pings every 20 ms")
    target = cast.containers["cache-1"]
    polder = cast.lab.polder
    victims = {
        "the agent of node-3": polder.agents["node-3"],
        "the speaker of node-3": polder.speakers["node-3"],
        "a controller": polder.controllers[0],
    }
    for name, program in victims.items():
        with report.check(f"{name}: no ping lost, no route withdrawn, nothing rewritten") as measured:
            measured += _survives(cast, target, program)


def exabgp_is_killed(cast: Cast, report: Report) -> None:
    """kill -9 of ExaBGP itself: the router keeps its routes (RFC 4724) until they are sent again."""
    target = cast.containers["cache-1"]
    tor = cast.lab.tors["tor-a"]
    peer = cast.uplink("node-3", "tor-a")
    claim = "ExaBGP of node-3 towards tor-a: routes stay, restored without a gap"
    with report.check(claim) as measured, _nothing_lost(cast, target) as pings:
        began = time.monotonic()
        _kill_exabgp(cast, "node-3", "node-3-tor-a")
        wait_until(lambda: not tor.established(peer), AGREE_S, "tor-a to notice")
        wait_until(lambda: tor.established(peer), AGREE_S * 3, "the session to be back")
        wait_until(lambda: _fresh(tor, target.block, peer), AGREE_S * 3, "a route that is not stale")
        measured.append(f"session and routes back after {time.monotonic() - began:.1f} s")
        for ping in pings:
            ping.wait_answers(10, AGREE_S)


def _fresh(tor: Router, prefix: str, next_hop: str) -> bool:
    return any(path.next_hop == next_hop and not path.stale for path in tor.bgp_route(prefix))


def _survives(cast: Cast, target: Container, program: Program) -> list[str]:
    node = cast.lab.hosts[target.node]
    with _nothing_lost(cast, target) as pings:
        kernel = node.monitor_routes()
        began = time.monotonic()
        program.kill()
        expect(cast.lab.polder.apis[1].answers("/v1/endpoints"), "another controller does not answer")
        for ping in pings:
            ping.wait_answers(25, AGREE_S)
        program.start()
        if program is cast.lab.polder.speakers.get(target.node):
            wait_until(
                lambda: _sessions_fresh(cast, target.node), AGREE_S * 2, "sessions to be reported again"
            )
        for ping in pings:
            ping.wait_answers(25, AGREE_S)
        elapsed = time.monotonic() - began
        ours = [change.text for change in kernel.stop() if inside(change.dst, POOL)]
        expect(not ours, "routes of the node were written:\n" + "\n".join(ours))
        youngest = min(map(float, _DURATION.findall(_flows(cast, target.node))))
        expect(youngest >= elapsed, f"a flow is {youngest} s old, the kill was {elapsed:.1f} s ago")
    return [f"back after {elapsed:.1f} s"]


@contextmanager
def _nothing_lost(cast: Cast, target: Container) -> Iterator[list[Ping]]:
    """Pings from metal and from a container on another node, and an eye on both routers' kernels."""
    other = cast.containers["web-2"].host
    pings = [sender.ping_background(target.address) for sender in (cast.metal, other)]
    monitors = {name: tor.host.monitor_routes() for name, tor in cast.lab.tors.items()}
    try:
        yield pings
    finally:
        reports = [ping.stop() for ping in pings]
        changes = {name: monitor.stop() for name, monitor in monitors.items()}
    for report in reports:
        expect(report.ok, f"{len(report.lost)} of {report.sent} pings lost")
    for name, seen in changes.items():
        gone = [change.text for change in seen if inside(change.dst, POOL)]
        expect(not gone, f"{name} changed its routes:\n" + "\n".join(gone))


def _flows(cast: Cast, node: str) -> str:
    return cast.lab.fabric.switches[node].ofctl("dump-flows", "polder0")


def _sessions_fresh(cast: Cast, node: str) -> bool:
    sessions = cast.lab.api.get("/v1/bgp/sessions")
    mine = [one for one in sessions.body["items"] if one["node"] == node] if sessions.ok else []
    return bool(mine) and all(one["state"] == "ESTABLISHED" and not one["stale"] for one in mine)


def _kill_exabgp(cast: Cast, node: str, peer: str) -> None:
    """Find the process by its command line inside the node's namespace; kill that one pid."""
    inode = cast.lab.hosts[node].netns_path.stat().st_ino
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            here = (entry / "ns/net").stat().st_ino == inode
        except OSError:
            continue
        if here and "bgp.exabgp.launcher" in words and any(f"/{peer}/" in word for word in words):
            os.kill(int(entry.name), signal.SIGKILL)
            return
    expect(False, f"no ExaBGP of {peer} runs on {node}")
