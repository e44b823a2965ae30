"""From stored values to a session's configuration, and the choice of the local address."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest

from agents.speaker.peering import configuration, crowded, local_address, why_mute
from agents.speaker.secrets import NoSecret
from bgp.peer import Family, PeerConfig
from intent.session import NoSession
from store.model import Node, Peer

NODE = Node(name="node-1", asn=64511)
LOCAL = ip_address("10.9.0.1")


def peer(**changes: Any) -> Peer:
    return Peer.model_validate({"name": "tor-a", "address": "10.9.0.0", "asn": 64501} | changes)


def no_secret(name: str) -> str:
    """A host without secrets."""
    raise NoSecret(f"secret {name} is nowhere")


def test_what_the_values_say_is_what_the_session_gets() -> None:
    made = configuration(NODE, peer(hold_time_s=9, graceful_restart_s=0), LOCAL, no_secret)
    assert made == PeerConfig(
        peer_address=IPv4Address("10.9.0.0"),
        peer_asn=64501,
        local_address=IPv4Address("10.9.0.1"),
        local_asn=64511,
        router_id=IPv4Address("10.9.0.1"),
        hold_time_s=9,
        graceful_restart_s=0,
    )


@pytest.mark.parametrize(
    ("families", "imports"),
    [
        ([], ["0.0.0.0/0", "192.0.2.0/24"]),
        (["ipv6"], ["::/0"]),
        (["ipv4", "ipv6"], ["0.0.0.0/0", "192.0.2.0/24", "::/0"]),
    ],
)
def test_the_default_route_is_that_of_the_families(families: list[str], imports: list[str]) -> None:
    asked = ["default-route", *(["192.0.2.0/24"] if families != ["ipv6"] else [])]
    made = configuration(NODE, peer(families=families, imports=asked), LOCAL, no_secret)
    assert [str(prefix) for prefix in made.imports] == imports


def test_what_the_transport_needs_is_passed_on() -> None:
    given = peer(
        password_secret="tor-a",
        gtsm=True,
        passive=True,
        keepalive_s=5,
        local_asn=64999,
        families=["ipv6", "ipv4"],
    )
    made = configuration(NODE, given, LOCAL, {"tor-a": "hush"}.__getitem__)
    assert (made.password, made.gtsm, made.passive, made.keepalive_s) == ("hush", True, True, 5)
    assert (made.local_asn, made.families) == (64999, tuple(Family))
    assert configuration(NODE, peer(multihop_ttl=9), LOCAL, no_secret).multihop_ttl == 9


def test_the_nodes_router_id_goes_before_the_sessions_address() -> None:
    node = Node(name="node-1", asn=64511, router_id=IPv4Address("10.0.0.7"))
    six = peer(address="fd09::", local_address="fd09::1")
    assert configuration(node, six, IPv6Address("fd09::1"), no_secret).router_id == node.router_id


@pytest.mark.parametrize(
    ("given", "address", "says"),
    [
        (peer(), None, "no route to 10.9.0.0"),
        (peer(address="fd09::"), ip_address("fd09::1"), "needs a router_id"),
        (peer(), ip_address("10.9.0.0"), "own address"),
        (peer(password_secret="tor-a"), LOCAL, "peer tor-a: secret tor-a is nowhere"),
        (peer(local_pref=200), LOCAL, "local_pref of peer tor-a is for a router of AS 64511, not 64501"),
        (peer(asn=64511, as_path_prepend=1), LOCAL, "as_path_prepend of peer tor-a"),
    ],
)
def test_it_says_why_there_is_no_session(given: Peer, address: Any, says: str) -> None:
    with pytest.raises(NoSession, match=says):
        configuration(NODE, given, address, no_secret)


LOOPBACK, ANOTHER, NOWHERE = (ip_address(f"127.0.0.{last}") for last in (1, 2, 3))


def on_this_host(local: str | None = None) -> Peer:
    """A peer that this host reaches: itself, which no stored peer may be."""
    return peer().model_copy(update={"address": LOOPBACK, "local_address": local and ip_address(local)})


def test_a_configured_local_address_is_taken_as_it_is() -> None:
    assert local_address(on_this_host("192.0.2.77"), ANOTHER) == ip_address("192.0.2.77")


def test_the_last_one_is_kept_as_long_as_the_host_has_it() -> None:
    assert local_address(on_this_host(), ANOTHER) == ANOTHER


@pytest.mark.parametrize("before", [None, ip_address("192.0.2.77"), ip_address("::1")])
def test_else_the_kernel_chooses(before: Any) -> None:
    assert local_address(on_this_host(), before) == LOOPBACK


def test_who_has_not_the_address_to_speak_from_is_mute() -> None:
    made = configuration(NODE, peer(), LOOPBACK, no_secret)
    assert why_mute(made) == ""
    elsewhere = configuration(NODE, peer(), ip_address("192.0.2.77"), no_secret)
    assert why_mute(elsewhere) == "this node has no address 192.0.2.77 to speak from"


def test_no_route_is_no_address() -> None:
    unreachable = peer().model_copy(update={"address": ip_address("255.255.255.255")})
    assert local_address(unreachable, None) is None


def test_of_two_that_wait_at_one_address_the_first_does() -> None:
    def made(address: str, *, local: str = "10.9.0.1", passive: bool = True) -> PeerConfig:
        given = peer(address=address, passive=passive)
        return configuration(NODE, given, ip_address(local), no_secret)

    configured = {
        "b": made("10.9.0.2"),
        "a": made("10.9.0.4"),
        "active": made("10.9.0.6", passive=False),
        "elsewhere": made("10.9.0.8", local="10.9.0.9"),
    }
    assert list(crowded(configured)) == ["b"]
    assert (
        "peer b is passive at 10.9.0.1, where peer a is: polder peer set b --active"
        in crowded(configured)["b"]
    )
