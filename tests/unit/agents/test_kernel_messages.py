"""Netlink messages as bytes: what is encoded reads back, and broken bytes end nothing."""

from __future__ import annotations

import errno
import struct
from ipaddress import ip_address, ip_interface, ip_network
from socket import AF_INET, AF_INET6
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink import NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE
from pyroute2.netlink.rtnl import RTM_NEWADDR, RTM_NEWLINK, RTM_SETLINK
from pyroute2.netlink.rtnl.ifaddrmsg import IFA_F_NODAD, ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import IFF_PROMISC, IFF_UP, ifinfmsg

from agents.driver import Outcome
from agents.kernel.interface import new_address, new_pair, up
from agents.kernel.message import HEADER, attributes, encode, messages
from agents.kernel.netlink import KernelError
from agents.kernel.requests import Request, outcome, worst
from agents.kernel.route_messages import as_route, decode, put
from intent.routes import Route, RouteKind
from store.model import IPNetwork


class NoInterfaces:
    """For routes that name no interface."""

    def index(self, name: str) -> int:
        raise AssertionError(name)

    def name(self, index: int) -> str:
        raise AssertionError(index)


@st.composite
def networks(draw: st.DrawFn, version: int) -> IPNetwork:
    bits = 32 if version == 4 else 128
    length = draw(st.integers(0, bits))
    base = draw(st.integers(0, 2**length - 1)) << (bits - length)
    return ip_network((base.to_bytes(bits // 8, "big"), length))


GATEWAYS = {
    4: [ip_address(f"192.0.2.{n}") for n in range(1, 5)],
    6: [ip_address(f"2001:db8::{n}") for n in range(1, 5)],
}


@st.composite
def routes(draw: st.DrawFn) -> Route:
    version = draw(st.sampled_from((4, 6)))
    destination = draw(networks(version))
    table = draw(st.sampled_from((80, 254, 1000)))
    if draw(st.booleans()):
        return Route(destination, table, kind=RouteKind.BLACKHOLE)
    gateways = draw(st.lists(st.sampled_from(GATEWAYS[version]), min_size=1, unique=True))
    return Route(destination, table, gateways=tuple(gateways))


MAC, FD, INDEX = "02:00:00:00:00:07", 5, 7


def by_pyroute2(message: Any, kind: int, how: int, attrs: list[tuple[str, Any]], **fixed: int) -> bytes:
    for name, value in fixed.items():
        message[name] = value
    message["attrs"] = attrs
    return encode(message, kind, how)


@pytest.mark.parametrize("ifname", ["e", "eth0", "eth01234567"])
def test_a_new_pair_is_packed_as_pyroute2_encodes_it(ifname: str) -> None:
    far = [("IFLA_IFNAME", ifname), ("IFLA_ADDRESS", MAC), ("IFLA_MTU", 1450), ("IFLA_NET_NS_FD", FD)]
    data = {"attrs": [("VETH_INFO_PEER", {"attrs": far})]}
    attrs = [
        ("IFLA_IFNAME", "pl0123456789ab"),
        ("IFLA_MTU", 1450),
        ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", data)]}),
    ]
    flags = {"flags": IFF_PROMISC, "change": IFF_PROMISC}
    expected = by_pyroute2(ifinfmsg(), RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, attrs, **flags)
    assert new_pair("pl0123456789ab", ifname, MAC, 1450, FD) == expected


def test_setting_an_interface_up_is_packed_as_pyroute2_encodes_it() -> None:
    assert up(INDEX) == by_pyroute2(ifinfmsg(), RTM_SETLINK, 0, [], index=INDEX, flags=IFF_UP, change=IFF_UP)


@pytest.mark.parametrize("scope", [0, 254])
def test_a_new_address_is_packed_as_pyroute2_encodes_it(scope: int) -> None:
    how, at = NLM_F_CREATE | NLM_F_REPLACE, {"index": INDEX}
    attrs = [("IFA_ADDRESS", "10.64.0.1"), ("IFA_LOCAL", "10.64.0.1")]
    fixed = {**at, "family": AF_INET, "prefixlen": 26, "scope": scope}
    expected = by_pyroute2(ifaddrmsg(), RTM_NEWADDR, how, attrs, **fixed)
    assert new_address(INDEX, ip_interface("10.64.0.1/26"), scope) == expected
    fixed = {**at, "family": AF_INET6, "prefixlen": 128, "flags": IFA_F_NODAD}
    expected = by_pyroute2(ifaddrmsg(), RTM_NEWADDR, how, [("IFA_ADDRESS", "fd00::1")], **fixed)
    assert new_address(INDEX, ip_interface("fd00::1/128"), scope) == expected


@given(routes())
def test_a_route_reads_back(route: Route) -> None:
    (message,) = messages(put(route, NoInterfaces()).message)
    assert as_route(decode(message.body), NoInterfaces()) == route


@given(st.binary(max_size=200))
def test_broken_bytes_end_nothing(given_bytes: bytes) -> None:
    assert isinstance(attributes(given_bytes, 0), dict)
    assert len(list(messages(given_bytes))) <= len(given_bytes) // HEADER.size


def test_attributes_are_padded_and_flagged() -> None:
    body = struct.pack("=HH3sx", 7, 3, b"eth") + struct.pack("=HH4s", 8, 0x8000 | 12, b"data")
    assert attributes(b"head" + body, 4) == {3: b"eth", 12: b"data"}


def test_an_error_says_its_name_and_the_kernels_words() -> None:
    assert str(KernelError(errno.EEXIST, "it is there")) == "EEXIST: it is there"
    assert str(KernelError(errno.ENODEV)) == "ENODEV: No such device"
    assert KernelError(errno.ENODEV).errno == errno.ENODEV


@pytest.mark.parametrize(
    ("refusals", "expected"),
    [
        ((), Outcome.DONE),
        ((None, None), Outcome.DONE),
        ((None, errno.EINVAL), Outcome.REJECTED),
        ((errno.ENODEV, None), Outcome.RETRY),
        ((errno.ENODEV, errno.EINVAL), Outcome.RETRY),
        ((errno.ENOBUFS,), Outcome.RETRY),
        ((errno.ENETDOWN,), Outcome.RETRY),
        ((errno.ENETUNREACH,), Outcome.REJECTED),
    ],
)
def test_refusals_together_have_one_outcome(
    refusals: tuple[int | None, ...], expected: Outcome, caplog: pytest.LogCaptureFixture
) -> None:
    requests = [Request(f"number {number}", b"") for number in range(len(refusals))]
    answers = [None if code is None else KernelError(code) for code in refusals]
    assert outcome(requests, answers) is expected
    for number, code in enumerate(refusals):
        assert (f"number {number} why={errno.errorcode.get(code or 0)}" in caplog.text) is (code is not None)


def test_worst_of_nothing_is_done() -> None:
    assert worst([]) is Outcome.DONE
    assert worst([Outcome.DONE, Outcome.REJECTED, Outcome.RETRY]) is Outcome.RETRY
