"""Everyone reaches everyone, and nobody on the way changes a source address."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from operator import not_

from lab.demo.cast import Cast
from lab.demo.report import Report, expect
from lab.errors import LabError
from lab.host import Host
from lab.wait import NotInTime, wait_until

REACH_S = 15.0


def everyone_reaches_everyone(cast: Cast, report: Report) -> None:
    """A matrix of pings: containers on the same and on other nodes, both routers, the bare-metal host."""
    report.title("Who reaches whom")
    with report.check("the routers learn the way to every container") as measured:
        # Either router may be the next hop of a node's answer.
        senders = [cast.everyone[name][0] for name in ("metal", *cast.lab.tors)]
        pairs = [(sender, one.address) for sender in senders for one in cast.containers.values()]
        wait_until(lambda: not _unreached(pairs), REACH_S, "metal and both routers to reach every container")
    everyone = cast.everyone
    with report.check("every container, router and bare-metal host reaches every other") as measured:
        rows = {(a, b): (everyone[a][0], everyone[b][1]) for a in everyone for b in everyone if a != b}
        lost = _still_unreached(rows.values())
        _print(report, list(everyone), {pair for pair, row in rows.items() if row not in lost})
        expect(not lost, "\n".join(f"{a} does not reach {b}" for (a, b), row in rows.items() if row in lost))
        measured.append(f"{len(rows)} pairs")


def nothing_is_translated(cast: Cast, report: Report) -> None:
    """What arrives carries the sender's own address, and no node holds a rule that could change it."""
    report.title("No NAT")
    containers = list(cast.containers.values())
    web, cache = containers[0], containers[-1]
    metal_address = cast.everyone["metal"][1]
    for sender, receiver, source, target in (
        (web.host, cast.metal, web.address, metal_address),
        (cast.metal, web.host, metal_address, web.address),
        (web.host, cache.host, web.address, cache.address),
    ):
        with report.check(f"{receiver.name} sees {sender.name} as {source}") as measured:
            seen = _sources_seen(sender, receiver, target)
            expect(seen == {source}, f"packets came from {sorted(seen)}")
            measured.append("captured at the receiver")
    for node in cast.lab.nodes:
        with report.check(f"{node} has no nftables and no iptables rule"):
            rules = _rules(cast.lab.hosts[node])
            expect(not rules, "\n".join(rules))


def reaches(sender: Host, target: str) -> bool:
    """Whether echo requests are answered, three of three."""
    try:
        return sender.ping(target, 3).ok
    except LabError:  # no route to it: ping cannot even begin
        return False


def _still_unreached(pairs: Iterable[tuple[Host, str]]) -> list[tuple[Host, str]]:
    """Those that stay so: routes may be on their way, and what nodes are told of a tenant."""
    rows = list(pairs)
    with suppress(NotInTime):
        wait_until(lambda: _unreached(rows), REACH_S, "everyone to reach everyone", good=not_)
        return []
    return _unreached(rows)


def _unreached(pairs: Iterable[tuple[Host, str]]) -> list[tuple[Host, str]]:
    with ThreadPoolExecutor(8) as pool:
        rows = list(pairs)
        answers = list(pool.map(lambda row: reaches(*row), rows))
    return [row for row, answered in zip(rows, answers, strict=True) if not answered]


def _print(report: Report, names: list[str], good: set[tuple[str, str]]) -> None:
    width = max(map(len, names)) + 1
    report.note(" " * width + "".join(f"{name:>{width}}" for name in names))
    for a in names:
        marks = ("-" if a == b else "yes" if (a, b) in good else "NO" for b in names)
        report.note(f"{a:<{width}}" + "".join(f"{mark:>{width}}" for mark in marks))


def _sources_seen(sender: Host, receiver: Host, target: str) -> set[str]:
    with receiver.capture("any", f"icmp[icmptype]==icmp-echo and dst {target}") as capture:
        expect(reaches(sender, target), f"{sender.name} does not reach {target}")
        wait_until(lambda: len(capture.packets()) >= 3, 5.0, "three packets in the capture")
    return {str(packet.src) for packet in capture.packets()}


def _rules(node: Host) -> list[str]:
    found = node.run("nft", "list", "ruleset").stdout.splitlines()
    for command in ("iptables-save", "ip6tables-save"):
        done = node.run(command, check=False)
        found += [line for line in done.stdout.splitlines() if line.startswith("-A")]
    return [line for line in found if line.strip()]
