"""Who reaches whom, by tenants and policies: a matrix of real connections for each of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from lab.host import Host
from lab.lab import Lab
from lab.recording import Recording
from lab.topology import METAL_ADDRESS
from lab.wait import wait_until
from store import keys
from tests.support.containers import Fixed, attach, delete

pytestmark = pytest.mark.needs("root", "ip", "ping", "bgpd", "vtysh", "ovs-vswitchd", "etcd")

TOLD_S = 15.0
WEB, ADMIN = 8080, 9090

SERVER = """
import socket, sys, threading

def serve(port):
    server = socket.create_server(("", int(port)), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    while True:
        server.accept()[0].close()

for port in sys.argv[1:]:
    threading.Thread(target=serve, args=(port,)).start()
"""

CLIENT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def reaches(place):
    try:
        socket.create_connection(tuple(place), timeout=0.5).close()
    except OSError:
        return False
    return True

places = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(places)) as pool:
    print(json.dumps(list(pool.map(reaches, places))))
"""

Pairs = set[tuple[str, str]]


@dataclass
class Town:
    """The containers of two tenants and of none, on two nodes, and metal outside."""

    lab: Lab
    containers: dict[str, Fixed]
    servers: list[Recording]

    @property
    def everybody(self) -> dict[str, tuple[Host, str]]:
        made = {name: (each.host, each.address) for name, each in self.containers.items()}
        return {**made, "metal": (self.lab.hosts["metal"], METAL_ADDRESS)}

    def reached(self, port: int) -> Pairs:
        """Who reaches whom at a port, asked of everybody."""
        with ThreadPoolExecutor(len(self.everybody)) as pool:
            return set().union(*pool.map(partial(self._reached_by, port), self.everybody))

    def _reached_by(self, port: int, name: str) -> Pairs:
        others = [other for other in self.everybody if other != name]
        places = json.dumps([(self.everybody[other][1], port) for other in others])
        said = json.loads(self.everybody[name][0].run(sys.executable, "-c", CLIENT, places).stdout)
        return {(name, other) for other, there in zip(others, said, strict=True) if there}

    def comes_to(self, port: int, expected: Pairs) -> None:
        wait_until(
            lambda: self.reached(port),
            TOLD_S,
            f"{sorted(expected)} to reach at {port}",
            good=lambda seen: seen == expected,
        )

    def policy(self, name: str, **fields: Any) -> None:
        self.lab.api.do("POST", "/v1/policies", {"name": name, **fields})


@pytest.fixture(scope="module")
def town(lab: Lab) -> Iterator[Town]:
    node_a, node_b = lab.nodes[:2]
    for tenant in ("red", "blue"):
        lab.api.do("POST", "/v1/tenants", {"name": tenant})
    places = {"red-a": node_a, "red-b": node_b, "blue-a": node_a, "free-b": node_b}
    for name, node in places.items():
        tenant = name.split("-")[0].replace("free", "")
        asked = {"id": name, "node": node, "tenant": tenant or None, "labels": {"app": name}}
        lab.api.do("POST", "/v1/endpoints", asked)
    containers = {name: attach(lab, name, node=node) for name, node in places.items()}
    hosts = [*(each.host for each in containers.values()), lab.hosts["metal"]]
    servers = [host.record(sys.executable, "-c", SERVER, str(WEB), str(ADMIN)) for host in hosts]
    yield Town(lab, containers, servers)
    for server in servers:
        server.stop()
    for name in containers:
        delete(lab, name)
    for path in ("policies", "tenants"):
        for item in lab.api.do("GET", f"/v1/{path}")["items"]:
            lab.api.do("DELETE", f"/v1/{path}/{item['name']}")


def every(*names: str) -> Pairs:
    return {(one, other) for one in names for other in names if one != other}


TENANTS = every("red-a", "red-b") | {
    pair for pair in every("metal", "red-a", "red-b", "blue-a", "free-b") if "metal" in pair
}
"""Who reaches whom with two tenants and no policy: each its own, and what is outside everybody."""


def test_tenants_are_kept_apart(town: Town) -> None:
    town.comes_to(WEB, TENANTS)


def test_a_tenant_opens_one_port_to_another(town: Town) -> None:
    peers = [{"tenant": "blue", "selector": {"app": "blue-a"}}]
    web = {"action": "allow", "peers": peers, "ports": [{"protocol": "tcp", "port": WEB}]}
    town.policy("open", tenant="red", selector={"app": "red-b"}, ingress=[web])
    town.comes_to(WEB, TENANTS | {("blue-a", "red-b")})
    assert town.reached(ADMIN) == TENANTS
    town.lab.api.do("PATCH", "/v1/endpoints/blue-a", {"labels": {"app": "other"}})
    town.comes_to(WEB, TENANTS)
    town.lab.api.do("PATCH", "/v1/endpoints/blue-a", {"labels": {"app": "blue-a"}})
    town.comes_to(WEB, TENANTS | {("blue-a", "red-b")})
    town.lab.api.do("DELETE", "/v1/policies/open")
    town.comes_to(WEB, TENANTS)


def test_a_staged_policy_drops_nothing_and_an_enforced_one_does(town: Town) -> None:
    deny = {"action": "deny", "ports": [{"protocol": "tcp", "port": ADMIN}]}
    town.policy("no-admin", order=50, ingress=[deny], mode="staged")
    town.policy("no-web", order=50, egress=[{**deny, "ports": [{"protocol": "tcp", "port": WEB}]}])
    from_outside = {pair for pair in TENANTS if pair[0] == "metal"}
    town.comes_to(WEB, from_outside)
    assert town.reached(ADMIN) == TENANTS
    town.lab.api.do("DELETE", "/v1/policies/no-web")
    town.lab.api.do("PATCH", "/v1/policies/no-admin", {"mode": "enforced"})
    town.comes_to(ADMIN, {pair for pair in TENANTS if pair[1] == "metal"})
    town.lab.api.do("DELETE", "/v1/policies/no-admin")
    town.comes_to(ADMIN, TENANTS)


def test_a_tenant_that_denies_by_default_has_what_policies_allow(town: Town) -> None:
    town.lab.api.do("PATCH", "/v1/tenants/red", {"default": "deny"})
    others = {pair for pair in TENANTS if "red-a" not in pair and "red-b" not in pair}
    town.comes_to(WEB, others)
    metal = {"action": "allow", "peers": [{"cidr": f"{METAL_ADDRESS}/32"}]}
    town.policy("from-metal", tenant="red", selector={"app": "red-a"}, ingress=[metal])
    town.comes_to(WEB, others | {("metal", "red-a")})
    town.lab.api.do("DELETE", "/v1/policies/from-metal")
    town.lab.api.do("PATCH", "/v1/tenants/red", {"default": "allow"})
    town.comes_to(WEB, TENANTS)


def test_a_new_endpoint_is_closed_and_not_answered_before_its_node_was_told_of_it(town: Town) -> None:
    lab, node, etcd = town.lab, town.lab.nodes[0], next(iter(town.lab.polder.etcd))
    lab.api.do("POST", "/v1/endpoints", {"id": "late", "node": node, "tenant": "blue"})
    key, fellow = keys.TOLD.key(node, "late"), town.containers["blue-a"]
    told = wait_until(lambda: etcd._etcdctl("get", "--print-value-only", key).stdout.strip(), TOLD_S, key)
    etcd._etcdctl("del", key)
    host = lab.container("late")
    with ThreadPoolExecutor(1) as pool:
        attach = pool.submit(lab.attach, "late", host, node)
        wait_until(lambda: host.run("ip", "-4", "route", check=False).stdout, TOLD_S, "late to have a link")
        assert not host.ping(fellow.address).ok
        assert not attach.done()
        etcd._etcdctl("put", key, told)
        attach.result(TOLD_S)
    # The ping that was dropped is in the switch's cache, which follows its flows some milliseconds later.
    wait_until(lambda: host.ping(fellow.address).ok, TOLD_S, "late to reach its fellow")
    delete(lab, "late")
    lab.fabric.remove_container("late")
