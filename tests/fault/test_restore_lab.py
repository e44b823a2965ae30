"""A backup of etcd is restored under nodes that go on: nobody is disturbed, nothing doubled or forgotten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab
from lab.rest import Answer, Rest, Unanswered
from lab.wait import wait_until
from tests.support.containers import BACK_S, Fixed, attach, delete, make, undisturbed
from tests.support.labs import built

pytestmark = pytest.mark.needs("root", "etcd", "etcdctl", "ovs-vswitchd", "bgpd", "zebra")

RESTORE_S = 120.0
NODES = ("node-1", "node-2", "node-3")
WHOSE = {"tenant": "blue", "labels": {"app": "web"}}


@pytest.fixture(scope="module")
def site() -> Iterator[Lab]:
    """A lab of this module's own: what is restored would be in everybody's way. A test leaves it empty."""
    for lab in built(Lab(f"back{os.getpid()}")):
        lab.api.do("POST", "/v1/tenants", {"name": "blue", "max_ipv4": 9})
        yield lab


def ask(lab: Lab, name: str, node: str) -> Answer | None:
    """Ask for an endpoint; None when nobody answers."""
    try:
        return lab.api.request("POST", "/v1/endpoints", {"id": name, "node": node})
    except Unanswered:
        return None


def first_assigned(lab: Lab, name: str, node: str) -> tuple[list[str], dict[str, Any]]:
    """Ask until it is assigned; returns the types of the problems answered before, and what it got."""
    refusals: list[str] = []

    def look() -> Answer | None:
        answer = ask(lab, name, node)
        if answer is not None and not answer.ok:
            assert answer.status == 503, answer.body
            refusals.append(answer.body["type"])
        return answer

    answer = wait_until(
        look, RESTORE_S, "an endpoint to be assigned", good=lambda one: one is not None and one.ok, poll_s=0.1
    )
    assert answer is not None
    return refusals, answer.body


def status(lab: Lab) -> dict[str, Any]:
    """What `polder restore status` says."""
    return dict(json.loads(lab.cli("restore", "status", "-o", "json").stdout))


def findings(lab: Lab) -> list[Any]:
    """What `polder address check` finds."""
    return list(lab.api.do("GET", "/v1/addresses:check")["findings"])


def is_clean(lab: Lab) -> None:
    """Store and nodes agree, as soon as all have said what they hold."""
    wait_until(lambda: findings(lab), BACK_S, "nothing to be found", good=lambda found: not found, poll_s=0.5)


def remove(lab: Lab, *names: str) -> None:
    for name in names:
        delete(lab, name)
        if name in lab.hosts:
            lab.fabric.remove_container(name)


def made(lab: Lab, name: str, *, node: str, **more: Any) -> Fixed:
    """As `make` does, with more than a name and a node."""
    lab.api.do("POST", "/v1/endpoints", {"id": name, "node": node, **more})
    return attach(lab, name, node=node)


def crash(lab: Lab, node: str) -> None:
    """Kill a node's agent and speaker and start them again, whether they can be ready or not."""
    for program in (lab.polder.agents[node], lab.polder.speakers[node]):
        program.kill()
        program.launch()


def moved(lab: Lab, one: Fixed, node: str) -> Fixed:
    """Move an endpoint: its container is another one, of the same name, on the other node."""
    lab.api.do("PATCH", f"/v1/endpoints/{one.name}", {"node": node})
    lab.fabric.remove_container(one.name)
    return attach(lab, one.name, node=node)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("after-the-fire", id="as another cluster"),
        pytest.param("", id="under the same cluster id"),
    ],
)
def test_what_was_done_since_the_backup_goes_on(site: Lab, tmp_path: Path, token: str) -> None:
    """Made, moved and released since: the first two are adopted, the last is for people to delete again."""
    backup = tmp_path / "backup"
    old = make(site, "old", node="node-1")
    mover = make(site, "mover", node="node-1")
    make(site, "released", node="node-2")
    site.polder.etcd.save(backup)
    young = made(site, "young", node="node-2", **WHOSE)
    mover = moved(site, mover, "node-3")
    remove(site, "released")

    with ExitStack() as stack:
        for one in (old, mover, young):
            stack.enter_context(undisturbed(one))
        site.polder.etcd.restore(backup, token=token)
        refusals, first = first_assigned(site, "first", "node-2")
    assert "/problems/restoring" in refusals, refusals

    said = status(site)
    assert not said["restoring"]
    report = said["report"]
    assert (set(report["heard"]), report["unheard"], report["refused"]) == (set(NODES), [], [])
    assert {line.split()[1] for line in report["adopted"]} == {"young", "mover"}, report
    assert report["confirmed"] == 1
    # One that was asked for before the restore was seen is in the store too, and was answered as failed.
    assert report["idle"] in {1, 2}
    held = {"old": old, "mover": mover, "young": young}
    for name, one in held.items():
        view = site.api.do("GET", f"/v1/endpoints/{name}")
        assert (view["node"], view["addresses"]) == (one.on, [one.address]), view
        wait_until(lambda name=name: site.api.do("GET", f"/v1/endpoints/{name}")["ready"], BACK_S, name)
    view = site.api.do("GET", "/v1/endpoints/young")
    assert {field: view[field] for field in WHOSE} == WHOSE
    assert site.api.do("GET", "/v1/tenants/blue")["used_ipv4"] == 1
    released = site.api.do("GET", "/v1/endpoints/released")
    assert (released["state"], released["attached"]) == ("assigned", False), "it is deleted once more"

    taken = {one.address for one in held.values()} | {*first["addresses"], *released["addresses"]}
    assert len(taken) == 5
    batch = [{"id": f"after-{number}", "node": NODES[number % 3]} for number in range(30)]
    items = site.api.do("POST", "/v1/endpoints:batch", {"items": batch})["items"]
    given = [address for item in items for address in item["endpoint"]["addresses"]]
    assert len({ip_address(each) for each in given} | {ip_address(each) for each in taken}) == 35
    is_clean(site)
    remove(site, *(item["id"] for item in batch), "first", "released", *held)


def test_programs_that_restart_meanwhile_forget_nothing(site: Lab, tmp_path: Path) -> None:
    """An agent and a speaker before the node is heard, and once more after that; no controller at first.

    Those of another node are away from before the restore until it is over.
    """
    backup = tmp_path / "backup"
    site.polder.etcd.save(backup)
    young = made(site, "young", node="node-2", **WHOSE)
    far = made(site, "far", node="node-3", **WHOSE)
    away = [site.polder.agents["node-3"], site.polder.speakers["node-3"]]

    with ExitStack() as stack:
        for one in (young, far):
            stack.enter_context(undisturbed(one))
        for program in [*away, *site.polder.controllers]:
            program.kill()
        site.polder.etcd.restore(backup, token="after-the-flood")
        crash(site, "node-2")
        agent = site.polder.agent_api("node-2")
        wait_until(lambda: doubts(agent), BACK_S, "the agent to doubt")
        for controller in site.polder.controllers:
            controller.launch()
        wait_until(lambda: "node-2" in heard(site), RESTORE_S, "the node to be heard", poll_s=0.1)
        crash(site, "node-2")
        wait_until(lambda: report(site), RESTORE_S, "the store to be completed", poll_s=0.1)
        assert site.api.do("GET", "/v1/endpoints/young")["addresses"] == [young.address]
        crash(site, "node-2")
        assert report(site)["unheard"] == ["node-3"]
        before = report(site)
        for program in away:
            program.launch()
        wait_until(
            lambda: report(site) not in ({}, before), RESTORE_S, "the last to be heard as well", poll_s=0.1
        )
        for name, one in {"young": young, "far": far}.items():
            view = site.api.do("GET", f"/v1/endpoints/{name}")
            assert view["addresses"] == [one.address], view
            assert {field: view[field] for field in WHOSE} == WHOSE
            wait_until(
                lambda name=name: site.api.do("GET", f"/v1/endpoints/{name}")["ready"],
                BACK_S,
                f"{name} to be ready",
            )
        is_clean(site)
    for program in (*site.polder.agents.values(), *site.polder.controllers):
        program.wait_ready()
    remove(site, "young", "far")


def doubts(agent: Rest) -> bool:
    """Whether an agent says that it does not believe the store."""
    try:
        return "restored" in str(agent.get("/readyz").body)
    except Unanswered:
        return False


def restoring(lab: Lab) -> dict[str, Any]:
    """What `GET /v1/restore` says; nothing while nobody answers."""
    try:
        answer = lab.api.get("/v1/restore")
    except Unanswered:
        return {}
    return dict(answer.body) if answer.ok else {}


def heard(lab: Lab) -> list[str]:
    """The nodes that have said what they hold, while a backup is completed."""
    return list(restoring(lab).get("heard", ()))


def report(lab: Lab) -> dict[str, Any]:
    """How the backup was completed; nothing as long as it is not."""
    said = restoring(lab)
    return dict(said["report"] or {}) if said.get("restoring") is False else {}
