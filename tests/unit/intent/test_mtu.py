"""Endpoints that leave their MTU to the uplink have it in the snapshot, and are otherwise the same."""

from __future__ import annotations

from ipaddress import IPv4Network

from intent.mtu import Mtus
from intent.snapshot import View
from store import keys
from store.model import Endpoint, Membership, Segment

WEB = Endpoint(
    id="web", uid="0" * 32, node="n", pools=("p",), addresses=("10.64.0.1",), mac="02:00:00:00:00:01"
)
ON = Membership(segment=Segment(vlan=120, uplink="eth1"), networks=(IPv4Network("10.73.0.0/24"),))
SET = WEB.model_copy(update={"id": "set", "mtu_bytes": 1400})
DISK = WEB.model_copy(update={"id": "disk", "membership": ON})


def seen(view: View) -> dict[str, int | None]:
    return {name: each.mtu_bytes for name, each in view.snapshot.endpoints.items()}


def test_the_snapshot_has_the_mtu_of_the_uplink() -> None:
    view = View("n")
    for each in (WEB, SET, DISK):
        view.put(keys.NODE_ENDPOINTS.key("n", each.id), each)
    assert seen(view) == {"web": 1500, "set": 1400, "disk": 1500}, "before anything is known"
    view.measure(Mtus(9000, {"eth1": 4000}))
    assert seen(view) == {"web": 9000, "set": 1400, "disk": 4000}
    web = view.snapshot.endpoints["web"]
    view.measure(Mtus(9000, {"eth1": 1600}))
    view.delete(keys.NODE_ENDPOINTS.key("n", "set"))
    assert seen(view) == {"web": 9000, "disk": 1600}
    assert view.snapshot.endpoints["web"] is web, "what is kept by it stays good"
    view.measure(Mtus(600, {"eth1": 65535}))
    assert seen(view) == {"web": 1280, "disk": 9216}, "within what a link may have"
