"""What a node finds amiss: of what it should have, what it has, and what the kernel says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from agents.delta import Delta
from agents.driver import Outcome
from agents.node.findings import MTU, NOT_SHARED, OVERBOOKED, Findings
from agents.reconciler import Reconciler
from intent.held import Held
from intent.shares import Discipline, Share, ShareKey, shares
from store.model import Node, Qos, Uplink
from tests.support.cluster import endpoint

NODE = Node(
    name="n",
    asn=64512,
    uplinks=(Uplink(ifname="eth0", rate_mbps=100), Uplink(ifname="eth1", rate_mbps=1000)),
)
WHY = "its queueing discipline is not Polder's"


class Kernel:
    """Takes all shares but those of the interfaces in `refused`."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}
        self._has: dict[ShareKey, Share] = {}

    def read(self) -> Mapping[ShareKey, Share]:
        return self._has

    def apply(self, change: Delta[ShareKey, Share]) -> Outcome:
        self._has.update((key, each) for key, each in change.put.items() if key.ifname not in self.refused)
        return Outcome.REJECTED if self.refused else Outcome.DONE


def guaranteed(kbps: int) -> dict[ShareKey, Share]:
    return shares(NODE, [Held(endpoint("web", "10.64.0.7", qos=Qos(guaranteed_kbps=kbps)), 7)])


def reasons(findings: Findings) -> list[tuple[str, str]]:
    assert findings.amiss is not None
    return [(each.reason, each.uplink) for each in findings.amiss]


@pytest.mark.parametrize(
    ("mtu_bytes", "ways", "words"),
    [
        (None, {"eth0": 1500}, None),
        (1500, {"eth0": 1500, "eth2": 9000}, None),
        (9000, {}, None),
        (
            9000,
            {"eth0": 1500, "eth2": 9000},
            'uplink eth0 takes 1500; raise that, or polder node set n --mtu-bytes ""',
        ),
    ],
)
def test_a_node_that_says_more_than_its_uplink_takes(
    mtu_bytes: int | None, ways: dict[str, int], words: str | None
) -> None:
    findings, none = Findings({}), Reconciler("shares", Kernel())
    none.read()
    assert findings.look(NODE.model_copy(update={"mtu_bytes": mtu_bytes}), ways, {}, none)
    assert reasons(findings) == ([] if words is None else [(MTU, "eth0")])
    assert findings.amiss is not None
    assert all(words is not None and words in each.detail for each in findings.amiss)


def test_more_is_guaranteed_than_an_uplink_has() -> None:
    findings, kernel = Findings({}), Reconciler("shares", Kernel())
    kernel.put(guaranteed(99_000))
    assert findings.look(NODE, {}, guaranteed(99_000), kernel)
    assert reasons(findings) == [], "the rest is for those who asked for nothing"
    kernel.put(guaranteed(99_001))
    assert findings.look(NODE, {}, guaranteed(99_001), kernel)
    assert reasons(findings) == [(OVERBOOKED, "eth0")], "and not eth1"
    assert findings.amiss is not None
    assert "guaranteed 99001 kbps of eth0, which has 99000" in findings.amiss[0].detail


def test_an_uplink_that_the_kernel_does_not_share_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    device = Kernel()
    findings, kernel, wanted = Findings(device.refused), Reconciler("shares", device), guaranteed(1000)
    assert not findings.look(NODE, {}, wanted, kernel), "nothing is known of the kernel yet"
    assert findings.amiss is None

    device.refused["eth1"] = WHY
    kernel.put(wanted)
    assert findings.look(NODE, {}, wanted, kernel)
    assert (reasons(findings), findings.unshared) == ([(NOT_SHARED, "eth1")], {"eth1"})
    assert findings.amiss is not None
    assert WHY in findings.amiss[0].detail
    assert not findings.look(NODE, {}, wanted, kernel), "nothing new"
    assert caplog.text.count("uplink-not-shared") == 1
    assert findings.look(NODE, {}, {}, kernel), "nobody asks for a share any more"
    assert (reasons(findings), findings.unshared) == ([], frozenset())
    assert "over=uplink-not-shared uplink=eth1" in caplog.text
    assert findings.look(NODE, {}, wanted, kernel)

    device.refused.clear()
    kernel.put(wanted)
    assert Discipline("eth1") in kernel.actual
    assert findings.look(NODE, {}, wanted, kernel)
    assert (reasons(findings), findings.unshared) == ([], frozenset())
