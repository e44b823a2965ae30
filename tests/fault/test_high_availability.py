"""One of three is lost: requests go on, duties move within 5 s."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from controller.pulse import STILL_S
from lab.partition import ANSWERS, HOST, MEMBER
from lab.rest import Rest
from lab.topology import MGMT_ADDRESSES
from lab.wait import wait_until
from tests.history.client import Client
from tests.history.op import Outcome
from tests.history.recorder import History
from tests.history.site import NODES, Site, site
from tests.history.workload import Workload
from tests.support.breaking import (
    Break,
    both_killed,
    controller_killed,
    controller_paused,
    cutting,
    member_killed,
)
from tests.support.labs import TIMES

pytestmark = pytest.mark.needs("root", "etcd", "etcdctl", "nft", "ovs-vswitchd", "bgpd", "zebra")

TAKEOVER_S = 5.0
"""What the users are promised."""
WELL_S = 60.0
CLIENTS = 4

OF_CONTROLLERS: dict[str, Break] = {
    "killed": controller_killed,
    "paused": controller_paused,
    "etcd's answers are lost": cutting(ANSWERS),
    "its host is cut off": cutting(HOST),
}
OF_MEMBERS: dict[str, Break] = {
    "killed": member_killed,
    "cut off from the others": cutting(MEMBER),
    "killed with the controller on its host": both_killed,
}


@pytest.fixture(scope="module")
def three() -> Iterator[Site]:
    """Three members and three controllers without nodes. A test leaves them well."""
    with site() as built:
        yield built


def done_by(api: Rest) -> set[str]:
    """The duties that a controller says it does now."""
    return set(re.findall(r'polder_duty_leader\{duty="(\w+)"\} 1', str(api.get("/metrics").body)))


def well(three: Site) -> bool:
    """Whether all answer, and each duty is done by one controller."""
    if three.unwell():
        return False
    claims = [duty for api in three.management.apis for duty in done_by(api)]
    return "release" in claims and len(claims) == len(set(claims))


@contextmanager
def load(three: Site, path: Path) -> Iterator[History]:
    """Clients at work while the block runs; each of their operations has to be answered by somebody."""
    history, stop = History(path), threading.Event()

    def serve(number: int) -> None:
        client = Client(number, three.wires(), history)
        workload = Workload(client, Random(number), twice=0.0)
        while not stop.is_set():
            workload.step()
        client.close()

    with ThreadPoolExecutor(CLIENTS) as threads:
        running = [threads.submit(serve, number) for number in range(CLIENTS)]
        try:
            yield history
        finally:
            stop.set()
        for each in running:
            each.result()
    history.close()
    three.empty()
    assert [op for op in history.ops if op.outcome is Outcome.UNKNOWN] == []


@pytest.mark.parametrize("fault", OF_CONTROLLERS)
def test_duties_move_within_5_s_and_requests_go_on(three: Site, tmp_path: Path, fault: str) -> None:
    """The controller that ends releasing endpoints is lost, under load."""
    wait_until(lambda: well(three), WELL_S, "all to be well", poll_s=0.1)
    apis = dict(zip(MGMT_ADDRESSES, three.management.apis, strict=True))
    victim = next(host for host, api in apis.items() if "release" in done_by(api))
    lost = done_by(apis.pop(victim))
    with load(three, tmp_path / "history.jsonl") as history:
        begun = time.monotonic()
        with OF_CONTROLLERS[fault](three.lab, victim):
            wait_until(
                lambda: lost <= {duty for api in apis.values() for duty in done_by(api)},
                TAKEOVER_S,
                f"another controller to do {', '.join(sorted(lost))}",
                poll_s=0.1,
            )
            took_s = time.monotonic() - begun
            seen = len(history.ops)
            wait_until(lambda: len(history.ops) > seen + 20, WELL_S, "requests to go on")
        ended = time.monotonic()
        wait_until(lambda: well(three), WELL_S, "all to be well again", poll_s=0.1)
    silence_s = history.silence_s(begun, ended)
    TIMES.append(
        f"a controller, {fault}: duties moved in {took_s:.1f} s, nobody was answered for {silence_s:.1f} s"
    )


@pytest.mark.parametrize("fault", OF_MEMBERS)
def test_the_leader_of_etcd_is_lost_and_requests_go_on(three: Site, tmp_path: Path, fault: str) -> None:
    """And every duty is done, by somebody whom etcd still hears."""
    wait_until(lambda: well(three), WELL_S, "all to be well", poll_s=0.1)
    leader = wait_until(three.management.etcd.leader, WELL_S, "a leader of etcd", poll_s=0.1)
    assert leader is not None
    with load(three, tmp_path / "history.jsonl") as history:
        begun = time.monotonic()
        with OF_MEMBERS[fault](three.lab, leader.name):
            # Releases of attached endpoints end only where the duty is done.
            wait_until(lambda: _released_since(history, begun), WELL_S, "a release to end")
            seen = len(history.ops)
            wait_until(lambda: len(history.ops) > seen + 20, WELL_S, "requests to go on")
        ended = time.monotonic()
        wait_until(lambda: well(three), WELL_S, "all to be well again", poll_s=0.1)
    TIMES.append(f"etcd's leader, {fault}: nobody was answered for {history.silence_s(begun, ended):.1f} s")


def _released_since(history: History, begun: float) -> bool:
    return any(op.kind == "release" and op.outcome is Outcome.OK and op.begun > begun for op in history.ops)


def test_what_a_hung_controller_was_asked_is_not_done_when_it_goes_on(three: Site) -> None:
    """Its client has given up, and has deleted what may be there: nobody would ever delete it again."""
    wait_until(lambda: well(three), WELL_S, "all to be well", poll_s=0.1)
    victim, other = three.management.apis[0], three.management.apis[1]
    wire = three.wires()[0]
    assert wire.request("GET", "/v1/pools").ok
    with controller_paused(three.lab, next(iter(MGMT_ADDRESSES))):
        begun = time.monotonic()
        wire.send("POST", "/v1/endpoints", {"id": "given-up", "node": NODES[0], "pool": "hot"})
        assert other.request("DELETE", "/v1/endpoints/given-up").status == 404
        wait_until(
            lambda: time.monotonic() - begun,
            STILL_S * 2,
            "it to hang for long",
            good=lambda hung_s: hung_s > STILL_S + 1,
        )
    wait_until(lambda: victim.answers("/readyz"), WELL_S, "it to be ready", poll_s=0.1)
    # It answers what comes now, and so it has read what came before.
    assert victim.request("POST", "/v1/endpoints", {"id": "later", "node": NODES[0], "pool": "hot"}).ok
    made = {one["id"] for one in victim.do("GET", "/v1/endpoints")["items"]}
    wire.close()
    three.empty()
    assert made == {"later"}
