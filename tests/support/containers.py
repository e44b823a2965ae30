"""Containers that answer, and the proof that a fault did not touch them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.host import Host
from lab.lab import Lab
from lab.rest import Rest
from lab.wait import wait_until
from tests.support.cluster import NODE

BACK_S = 20.0
POOL = "10.64."


@dataclass
class Fixed:
    """A container that answers, its node, and everything a test needs to ask."""

    lab: Lab
    name: str
    host: Host
    address: str
    on: str

    @property
    def node(self) -> Host:
        return self.lab.hosts[self.on]

    @property
    def metal(self) -> Host:
        return self.lab.hosts["metal"]

    def flows(self) -> list[str]:
        """The flows that name the container's address."""
        lines = self.lab.fabric.switches[self.on].ofctl("dump-flows", "polder0").splitlines()
        return [line for line in lines if f"={self.address}" in line]

    def attached(self) -> list[str]:
        items = self.lab.polder.agent_api(self.on).do("GET", "/v1/attachments")["items"]
        return [one["endpoint"] for one in items]


def make(lab: Lab, name: str, *, node: str = NODE) -> Fixed:
    """Create and attach a container, and wait until metal reaches it."""
    lab.api.do("POST", "/v1/endpoints", {"id": name, "node": node})
    return attach(lab, name, node=node)


def attach(lab: Lab, name: str, *, node: str, deadline_s: float = BACK_S) -> Fixed:
    """Put an endpoint into a container of its name, and wait until metal reaches it.

    The agent may have to be asked several times: it may hear of the endpoint late.
    """
    host, agent = lab.container(name), lab.polder.agent_api(node)
    body = {"endpoint": name, "netns": str(host.netns_path), "ifname": "eth0"}
    answer = wait_until(
        lambda: agent.request("POST", "/v1/attachments", body),
        deadline_s,
        f"{name} to be attached on {node}",
        good=lambda answer: answer.ok,
    )
    made = Fixed(lab, name, host, answer.body["addresses"][0], node)
    wait_until(lambda: made.metal.ping(made.address).ok, deadline_s, f"{name} to answer")
    return made


def ask_to_delete(api: Rest, name: str) -> None:
    """Ask until it is heard: while etcd elects a leader the answer is 503, come back later."""
    wait_until(
        lambda: api.request("DELETE", f"/v1/endpoints/{name}").status,
        BACK_S,
        f"{name} to be asked away",
        good=lambda status: status != 503,
        poll_s=0.1,
    )


def delete(lab: Lab, name: str) -> None:
    """Delete an endpoint, and wait until it is gone. Its container stays."""
    ask_to_delete(lab.api, name)
    wait_until(lambda: lab.api.get(f"/v1/endpoints/{name}").status == 404, BACK_S, f"{name} to be gone")


@contextmanager
def undisturbed(web: Fixed) -> Iterator[None]:
    """No ping is lost and no ToR changes a route of the pool while the block runs."""
    ping = web.metal.ping_background(web.address)
    monitors = [tor.host.monitor_routes() for tor in web.lab.tors.values()]
    try:
        yield
        ping.wait_answers(20, BACK_S)
    finally:
        report = ping.stop()
        changes = [change.text for monitor in monitors for change in monitor.stop()]
    assert report.ok, (report, changes)
    assert [text for text in changes if POOL in text] == [], changes
