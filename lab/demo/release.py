"""An endpoint is deleted: withdrawn first, then cleaned up, and its address rests before it is used again."""

from __future__ import annotations

import time

from lab.demo.cast import Cast, Container
from lab.demo.report import Report, expect
from lab.route import RouteChange
from lab.wait import wait_until

GONE_S = 10.0
COOLDOWN_S = 3


def an_endpoint_is_deleted(cast: Cast, report: Report) -> None:
    """web-1 has a /32 at the routers by now, so the order can be seen there."""
    report.title("web-1 is deleted")
    web = cast.containers["web-1"]
    cast.lab.api.do("PATCH", "/v1/pools/default", {"cooldown_s": COOLDOWN_S})
    tor, node = cast.lab.tors["tor-a"], cast.lab.hosts[web.node]
    at_tor, at_node = tor.host.monitor_routes(), node.monitor_routes()
    cast.polder("endpoint", "delete", "web-1")
    deleted = time.monotonic()
    with report.check("the routers withdraw it before the node stops delivering it") as measured:
        wait_until(lambda: _deletion(at_node.changes(), web), GONE_S, f"{web.node} to remove its route")
        withdrawn, removed = _deletion(at_tor.stop(), web), _deletion(at_node.stop(), web)
        expect(withdrawn and removed, "tor-a did not withdraw it at all")
        assert withdrawn is not None and removed is not None  # noqa: PT018, S101
        ahead = removed.time_s - withdrawn.time_s
        expect(ahead > 0, f"tor-a withdrew it {-ahead * 1000:.0f} ms after the node had removed its route")
        measured.append(f"{ahead * 1000:.0f} ms ahead")
    with report.check(f"{web.node} has no route, neighbour, flow or port of it left"):
        _nothing_left(cast, web)
    with report.check("its address is not given out again while it cools down") as measured:
        wanted = {"id": "successor", "node": web.node, "address": web.address}
        answer = cast.lab.api.request("POST", "/v1/endpoints", wanted)
        expect(answer.status == 409, f"asked for {web.address}: {answer.status} {answer.body}")
        measured.append(str(answer.body["detail"]))
    with report.check(f"after the cooldown of {COOLDOWN_S} s it is free") as measured:
        wait_until(
            lambda: cast.lab.api.request("POST", "/v1/endpoints", wanted).status in {200, 201},
            COOLDOWN_S + GONE_S,
            f"{web.address} to be assigned again",
        )
        measured.append(f"{time.monotonic() - deleted:.1f} s after the deletion")


def _deletion(changes: list[RouteChange], container: Container) -> RouteChange | None:
    return next((one for one in changes if one.deleted and one.dst == container.host_prefix), None)


def _nothing_left(cast: Cast, container: Container) -> None:
    node, switch = cast.lab.hosts[container.node], cast.lab.fabric.switches[container.node]

    def left() -> list[str]:
        ports = switch.vsctl(
            "--bare", "--columns=name", "find", "Port", f"external_ids:polder={container.name}"
        )
        found = [f"port {name}" for name in ports.split()]
        found += [f"neighbour {one}" for one in node.neighbours() if one.dst == container.address]
        found += [f"flow {line}" for line in switch.ofctl("dump-flows", "polder0").splitlines() if _of(line)]
        return found + ([f"route {container.host_prefix}"] if node.route(container.host_prefix) else [])

    def _of(line: str) -> bool:
        return any(word.endswith(f"={container.address}") for word in line.replace(",", " ").split())

    wait_until(left, GONE_S, "the node to clean up", good=lambda found: not found)
