"""What callers asked for: a port is one endpoint's, and who is being detached is not attached."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from agents.node.wants import Refused, Stage, Want, Wants

NEIGHBOUR = (ip_address("192.0.2.7"),)


def test_a_port_is_one_endpoints_unless_all_are_behind_neighbours() -> None:
    wants = Wants()
    for name, port, via in (
        ("vm", "tap0", ()),
        ("other-vm", "tap1", ()),
        ("behind", "eth3", NEIGHBOUR),
        ("too", "eth3", NEIGHBOUR),
    ):
        assert wants.add(Want(name, port=port, via=via))
    for port, owner, via in (("tap0", "vm", ()), ("tap1", "other-vm", NEIGHBOUR), ("eth3", "behind", ())):
        with pytest.raises(Refused, match=f"endpoint {owner}'s"):
            wants.add(Want("late", port=port, via=via))
    assert "late" not in wants.all()
    assert (wants.has_port("eth3"), wants.has_port("eth4")) == (True, False)


def test_who_is_being_detached_or_written_is_not_attached_by_a_pass_that_began_before() -> None:
    wants = Wants()
    for name in ("up", "goes", "held"):
        wants.add(Want(name, f"/run/netns/{name}", "1", "eth0"))
    wants.advance("goes", Stage.DETACHING)
    wants.advance("held", Stage.HOLDING)
    wants.attached(["up", "goes", "held", "unknown"])
    assert [wants.wait_attached(name, 0) for name in ("up", "goes", "held")] == [True, False, False]
