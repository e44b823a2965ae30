"""What Polder says of a node, an endpoint and a packet's way, in a lab that is broken on purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.lab import Lab
from lab.wait import wait_until
from tests.support.cluster import NODE
from tests.support.containers import Fixed, delete, make

pytestmark = pytest.mark.needs("root", "etcd", "ovs-vswitchd", "bgpd", "zebra")

SOON_S = 20.0


@pytest.fixture(scope="module")
def web(lab: Lab) -> Iterator[Fixed]:
    yield make(lab, "told")
    delete(lab, "told")
    lab.fabric.remove_container("told")


def diff(lab: Lab, node: str = NODE) -> Any:
    """As `polder node diff` tells it, and its exit status says whether there is a difference."""
    done = lab.cli("node", "diff", node, "-o", "json", check=False)
    told = json.loads(done.stdout)
    assert done.returncode == bool(told["unlike"]), done.stderr
    return told


def test_a_node_that_holds_what_it_should_differs_in_nothing(web: Fixed) -> None:
    told = wait_until(lambda: diff(web.lab), SOON_S, "no difference", good=lambda told: not told["unlike"])
    assert [each["held"] for each in told["counts"]] == ["ports", "rules", "neighbours", "routes", "flows"]
    assert all(each["wanted"] == each["found"] > 0 for each in told["counts"]), told


def test_a_flow_that_was_deleted_is_missing_with_its_reason(web: Fixed) -> None:
    switch = web.lab.fabric.switches[NODE]

    def broken() -> list[dict[str, str]]:
        # The agent puts it back at its next resync: broken again until it is seen.
        switch.ofctl("del-flows", "polder0", f"table=0,ip,nw_src={web.address}")
        return [each for each in diff(web.lab)["unlike"] if each["kind"] == "missing"]

    missing = wait_until(broken, SOON_S, "the flow to be missed")
    assert [each["held"] for each in missing] == ["flows"]
    assert f"ipv4_src={web.address}" in missing[0]["key"]
    assert missing[0]["reason"] == f"told from {web.address}"
    assert "(ACCEPT)" in missing[0]["wanted"]
    web.lab.polder.agents[NODE].restart()
    wait_until(lambda: web.metal.ping(web.address).ok, SOON_S, "the container to answer again")


def test_an_agent_that_does_not_run_is_said_at_once(web: Fixed) -> None:
    lab = web.lab
    node = lab.nodes[2]
    agent = lab.polder.agents[node]
    agent.stop()
    try:
        done = wait_until(
            lambda: lab.cli("node", "diff", node, check=False),
            SOON_S,
            "the controller to notice",
            good=lambda done: "does not run" in done.stderr,
        )
        assert done.returncode == 5
    finally:
        agent.start()
