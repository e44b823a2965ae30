"""Programs are killed under running traffic: no packet and no route is lost, and nothing is rewritten."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Protocol

from lab.demo.cast import Cast, inside
from lab.demo.report import Report, expect
from lab.demo.undisturbed import POOL, Traffic, traffic
from lab.router import Router
from lab.wait import wait_until

AGREE_S = 10.0
NODE = "node-3"
RULES = {"2", "3", "8", "9"}
"""The tables of policies. An agent that starts may number their levels anew, in one bundle."""
_AGE = re.compile(r"duration=([\d.]+)s, table=(\d+),")


class Victim(Protocol):
    """A program that is killed and started again."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


def programs_are_killed(cast: Cast, report: Report) -> None:
    """kill -9 of the node agent, the speaker, a controller, etcd's leader and ExaBGP, in turn."""
    report.title("kill -9 of each program, under pings every 20 ms and TCP by iperf3")
    polder = cast.lab.polder
    leader = wait_until(polder.etcd.leader, AGREE_S, "a leader of etcd")
    assert leader is not None  # noqa: S101
    victims: dict[str, Victim] = {
        f"the agent of {NODE}": polder.agents[NODE],
        f"the speaker of {NODE}": polder.speakers[NODE],
        "a controller": polder.controllers[0],
        "the leader of etcd": leader,
    }
    with traffic(cast, "cache-1") as running:
        for name, victim in victims.items():
            claim = f"{name}: no ping lost, no TCP stall, no route withdrawn, nothing rewritten"
            with report.check(claim) as measured, running.undisturbed(measured):
                measured += _survives(running, victim)
        claim = f"ExaBGP of {NODE} towards tor-a: routes stay, restored without a gap"
        with report.check(claim) as measured, running.undisturbed(measured):
            measured += _exabgp_survives(running)


def _survives(running: Traffic, victim: Victim) -> list[str]:
    lab, node = running.cast.lab, running.cast.lab.hosts[NODE]
    kernel = node.monitor_routes()
    began = time.monotonic()
    victim.kill()
    running.go_on()
    answers = lambda: lab.polder.apis[1].answers("/v1/endpoints")  # noqa: E731
    wait_until(answers, AGREE_S, "another controller to answer")
    victim.start()
    if victim is lab.polder.speakers[NODE]:
        wait_until(lambda: _sessions_fresh(running.cast), AGREE_S * 2, "sessions to be reported again")
    running.go_on()
    elapsed = time.monotonic() - began
    ours = [change.text for change in kernel.stop() if inside(change.dst, POOL)]
    expect(not ours, "routes of the node were written:\n" + "\n".join(ours))
    flows = lab.fabric.switches[NODE].ofctl("dump-flows", "polder0")
    youngest = min(float(age) for age, table in _AGE.findall(flows) if table not in RULES)
    expect(youngest >= elapsed, f"a flow is {youngest} s old, the kill was {elapsed:.1f} s ago")
    return [f"back after {elapsed:.1f} s"]


def _exabgp_survives(running: Traffic) -> list[str]:
    """The router keeps its routes (RFC 4724) until they are sent again."""
    tor = running.cast.lab.tors["tor-a"]
    peer = running.cast.uplink(NODE, "tor-a")
    began = time.monotonic()
    _kill_exabgp(running.cast, f"{NODE}-tor-a")
    wait_until(lambda: not tor.established(peer), AGREE_S, "tor-a to notice")
    wait_until(lambda: tor.established(peer), AGREE_S * 3, "the session to be back")
    block = running.target.block
    wait_until(lambda: _fresh(tor, block, peer), AGREE_S * 3, "a route that is not stale")
    return [f"session and routes back after {time.monotonic() - began:.1f} s"]


def _fresh(tor: Router, prefix: str, next_hop: str) -> bool:
    return any(path.next_hop == next_hop and not path.stale for path in tor.bgp_route(prefix))


def _sessions_fresh(cast: Cast) -> bool:
    sessions = cast.lab.api.get("/v1/bgp/sessions")
    mine = [one for one in sessions.body["items"] if one["node"] == NODE] if sessions.ok else []
    return bool(mine) and all(one["state"] == "ESTABLISHED" and not one["stale"] for one in mine)


def _kill_exabgp(cast: Cast, peer: str) -> None:
    """Find the process by its command line inside the node's namespace; kill that one pid."""
    inode = cast.lab.hosts[NODE].netns_path.stat().st_ino
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
    expect(False, f"no ExaBGP of {peer} runs on {NODE}")
