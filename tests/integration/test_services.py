"""A service with endpoints on two nodes: both ToRs have a path to each, for as long as it is well."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from lab.lab import Lab
from lab.recording import Recording
from lab.topology import METAL_ADDRESS
from lab.wait import wait_until
from tests.support.containers import Fixed, delete, make

pytestmark = pytest.mark.needs("root", "ip", "ping", "bgpd", "vtysh", "ovs-vswitchd", "etcd")

PORT = 8080
INTERVAL_S = 1
WITHDRAWN_S = INTERVAL_S + 1
SLACK_S = 4.0
"""On a machine that other tests keep busy."""

SERVER = """
import http.server, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{sys.argv[1]} {self.client_address[0]}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.ThreadingHTTPServer(("", int(sys.argv[2])), Handler).serve_forever()
"""


@dataclass
class Served:
    """The service, its containers, and the server in each."""

    lab: Lab
    address: str
    containers: dict[str, Fixed]
    servers: dict[str, Recording]

    @property
    def prefix(self) -> str:
        return f"{self.address}/32"

    def paths(self) -> dict[str, int]:
        """How many paths each ToR's kernel has."""
        routes = {name: tor.kernel_routes().get(self.prefix) for name, tor in self.lab.tors.items()}
        return {name: len(route.gateways) if route else 0 for name, route in routes.items()}

    def shown(self) -> Any:
        return self.lab.api.do("GET", "/v1/services/anycast")

    def answers(self) -> set[tuple[str, str]]:
        """Who answers metal, and from which address it was asked, in so many connections."""
        ask = ["-s", "-m", "3", "-w", "\\n", f"http://{self.address}:{PORT}/", "--next"]
        said = self.lab.hosts["metal"].run("curl", *(ask * 12)[:-1]).stdout
        return {(name, sender) for name, sender in (line.split() for line in said.splitlines() if line)}


def _serve(name: str, container: Fixed) -> Recording:
    return container.host.record(sys.executable, "-c", SERVER, name, str(PORT))


@pytest.fixture(scope="module")
def served(lab: Lab) -> Iterator[Served]:
    node_a, node_b = lab.nodes[:2]
    containers = {name: make(lab, name, node=node) for name, node in (("any-a", node_a), ("any-b", node_b))}
    servers = {name: _serve(name, each) for name, each in containers.items()}
    for name in containers:
        lab.api.do("PATCH", f"/v1/endpoints/{name}", {"labels": {"app": "anycast"}})
    check = {"kind": "http", "port": PORT, "path": "/", "interval_s": INTERVAL_S}
    asked = {"name": "anycast", "pool": "default", "selector": {"app": "anycast"}, "check": check}
    made = Served(lab, lab.api.do("POST", "/v1/services", asked)["address"], containers, servers)
    hash_policy = "net.ipv4.fib_multipath_hash_policy"
    for tor in lab.tors.values():  # by ports too, so that one client reaches both nodes
        tor.host.run("sysctl", "-qw", f"{hash_policy}=1")
    yield made
    for tor in lab.tors.values():
        tor.host.run("sysctl", "-qw", f"{hash_policy}=0")
    lab.api.request("DELETE", "/v1/services/anycast")
    for server in servers.values():
        server.stop()
    for name in containers:
        delete(lab, name)


def test_a_service_is_where_a_healthy_endpoint_is(served: Served) -> None:
    lab = served.lab
    wait_until(
        served.paths, 10 + SLACK_S, "two paths at both ToRs", good=lambda found: set(found.values()) == {2}
    )
    assert served.answers() == {("any-a", METAL_ADDRESS), ("any-b", METAL_ADDRESS)}, "nobody translates"
    shown = served.shown()
    assert (shown["healthy"], shown["why"]) == (True, "")
    assert {each["node"]: len(each["peers"]) for each in shown["nodes"]} == dict.fromkeys(lab.nodes[:2], 2)
    inside = served.containers["any-a"]
    assert inside.host.run("curl", "-s", "-m", "3", f"http://{served.address}:{PORT}/").stdout == (
        f"any-a {served.address}"
    ), "an endpoint of the service is its own"

    monitors = [tor.host.monitor_routes() for tor in lab.tors.values()]
    lab.polder.agents[lab.nodes[0]].restart()
    wait_until(lambda: lab.polder.agent_api(lab.nodes[0]).get("/readyz").ok, 10.0, "the agent to be back")
    changes = [change.text for monitor in monitors for change in monitor.stop()]
    assert [text for text in changes if served.address in text] == []

    served.servers["any-a"].stop()
    wait_until(
        served.paths, WITHDRAWN_S + SLACK_S, "one path less", good=lambda found: set(found.values()) == {1}
    )
    assert served.answers() == {("any-b", METAL_ADDRESS)}
    (sick,) = [each for each in served.shown()["endpoints"] if not each["healthy"]]
    assert (sick["endpoint"], "refused" in sick["why"]) == ("any-a", True), sick
    assert inside.metal.ping(inside.address).ok, "its own address is announced as before"

    served.servers["any-b"].stop()
    wait_until(
        served.paths, WITHDRAWN_S + SLACK_S, "no path at all", good=lambda found: set(found.values()) == {0}
    )
    assert served.shown()["why"] == "none of its 2 endpoints is healthy"

    served.servers["any-b"] = _serve("any-b", served.containers["any-b"])
    wait_until(served.paths, 5 + SLACK_S, "a path again", good=lambda found: set(found.values()) == {1})
    lab.polder.speakers[lab.nodes[1]].pause()
    try:
        assert lab.api.request("DELETE", "/v1/services/anycast").ok
        _agent_has_heard(served)
        told = lab.api.do("GET", f"/v1/addresses/{served.address}")
        assert (told["state"], told["held_by"], told["free_at"]) == ("cooldown", [lab.nodes[1]], None), told
        assert set(served.paths().values()) == {1}, "its routers have not heard, so nobody may have it"
    finally:
        lab.polder.speakers[lab.nodes[1]].resume()
    told = wait_until(
        lambda: lab.api.do("GET", f"/v1/addresses/{served.address}"),
        5 + SLACK_S,
        "the cooldown to begin",
        good=lambda told: told["free_at"] is not None,
    )
    assert (told["state"], told["service"], told["held_by"]) == ("cooldown", "anycast", [])
    wait_until(served.paths, SLACK_S, "no path at all", good=lambda found: set(found.values()) == {0})


def _agent_has_heard(served: Served) -> None:
    """That the service is gone."""
    inside = served.containers["any-a"]
    wait_until(
        lambda: served.address in inside.host.run("ip", "addr").stdout,
        5.0,
        "the endpoint to give the address back",
        good=lambda there: not there,
    )
    assert not [route for route in inside.node.routes(table="all") if route.dst == served.prefix]
