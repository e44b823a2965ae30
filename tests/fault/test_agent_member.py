"""The member of etcd that an agent uses is lost: it takes another one, and no packet is lost."""

from __future__ import annotations

import time

import pytest

from lab.lab import Lab
from lab.partition import MEMBER
from lab.wait import wait_until
from tests.support.breaking import Break, cutting, member_killed, member_paused
from tests.support.containers import attach, delete, make, undisturbed
from tests.support.labs import TIMES

pytestmark = pytest.mark.needs("root", "etcd", "etcdctl", "nft", "ovs-vswitchd", "bgpd", "zebra")

WELL_S = 60.0
RECONNECT_S = 60.0
"""An agent notices after 13 s that a member hangs (the keepalive of its connection), at a busy time later."""

OF_MEMBERS: dict[str, Break] = {
    "killed": member_killed,
    "paused": member_paused,
    "cut off from the others": cutting(MEMBER),
}


@pytest.mark.parametrize("fault", OF_MEMBERS)
def test_an_agent_whose_member_is_lost_reconnects(lab: Lab, fault: str) -> None:
    """What its node holds is not touched, and what is created meanwhile is delivered there."""
    node, host = "node-2", "mgmt-2"
    for program in (lab.polder.agents[node], lab.polder.speakers[node]):
        program.restart()  # so that it is this host's member that they use, whatever was before
    held = make(lab, "held", node=node)
    with undisturbed(held), OF_MEMBERS[fault](lab, host):
        wait_until(
            lambda: lab.api.request("POST", "/v1/endpoints", {"id": "made", "node": node}).ok,
            RECONNECT_S,
            "an endpoint to be created",
        )
        begun = time.monotonic()
        attach(lab, "made", node=node, deadline_s=RECONNECT_S)
        took_s = time.monotonic() - begun
    TIMES.append(f"an agent's member, {fault}: a new endpoint was delivered {took_s:.1f} s later")
    wait_until(lambda: all(api.answers("/readyz") for api in lab.polder.apis), WELL_S, "the controllers")
    for name in ("held", "made"):
        delete(lab, name)
        lab.fabric.remove_container(name)
