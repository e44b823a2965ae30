"""BMP as FRR 8.4.4 sent it, byte for byte, and as other routers may."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from bgp.bmp.framing import MAX_BYTES, Frame, Framer
from bgp.bmp.message import (
    Ignored,
    Initiation,
    Message,
    Monitored,
    PeerDown,
    PeerUp,
    Rib,
    RouteMonitoring,
    Termination,
    parse,
)
from bgp.bmp.update import Update
from bgp.bmp.update import parse as parse_update
from bgp.bmp.wire import Malformed
from bgp.peer import Family
from tests.support import bmp

NODE = Monitored(bytes(9), bmp.NODE)
NODE6 = Monitored(bytes(9), bmp.NODE6)

FRR_PEER = "00{flags}0000000000000000000000000000000000000000" + "0a0900010000fbff0a0900016b0ae7ef000bb25c"
FRR_PEER6 = "00{flags}0000000000000000fd0900000000000000000000000000010000fbff0a0900016b0ae429000bb25c"
MARKER = "ff" * 16


def frames(data: bytes) -> list[Frame]:
    return list(Framer().take(data))


def only(data: bytes) -> Message:
    (frame,) = frames(data)
    return parse(frame)


def frr(text: str) -> Message:
    return only(bytes.fromhex(text.format(flags="00")))


def monitored(data: bytes) -> RouteMonitoring:
    message = only(data)
    assert isinstance(message, RouteMonitoring)
    return message


def test_frr_names_itself() -> None:
    said = frr("0300000020040001000f4652526f7574696e6720382e342e3400020003746f72")
    assert said == Initiation(name="tor", description="FRRouting 8.4.4")


def test_frr_says_that_a_session_is_up() -> None:
    opens = (MARKER + "001301") * 2 + "000000046e6f6465"
    ipv4 = "0300000072" + "03" + FRR_PEER + "0000000000000000000000000a09000000b3afb9" + opens
    assert frr(ipv4) == PeerUp(NODE, ip_address("10.9.0.0"))
    ipv6 = "03000000e603" + FRR_PEER6.format(flags="80") + "fd09000000000000000000000000000000b38db3"
    opened = MARKER + "005f0104fbf500b40a09ff014202060104000200010202800002020200020246000206410400"
    opened += "00fbf50202060002064504000201010207490503746f720002044002c0780209470700020180000000"
    opened += (
        MARKER + "00430104fbff005a0a090001260206010400020001020641040000fbff0208400680780002018002020200"
    )
    opened += "0202460002020600"
    assert frr(ipv6 + opened) == PeerUp(NODE6, ip_address("fd09::"))


def test_frr_says_that_a_session_is_down() -> None:
    assert frr("030000003302" + FRR_PEER + "020000") == PeerDown(NODE, "the router closed it")


def test_frr_tells_of_an_ipv4_prefix() -> None:
    attributes = "00350200000019400101005002000a02020000fbf50000fbff4003040a0900011a0a400040"
    message = monitored(
        bytes.fromhex("030000006500" + FRR_PEER.format(flags="40") + MARKER + attributes),
    )
    assert (message.peer, message.rib) == (NODE, Rib.IN_POST_POLICY)
    assert parse_update(message.update) == Update(announced=(ip_network("10.64.0.64/26"),))


def test_frr_tells_of_an_ipv6_prefix() -> None:
    attributes = "0053020000003c400101005002000a02020000fbf50000fbff900e002600020110fd09000000000000"
    attributes += "0000000000000001007a20010db8006400000000000000000000"
    message = monitored(
        bytes.fromhex("030000008300" + FRR_PEER6.format(flags="c0") + MARKER + attributes),
    )
    assert (message.peer, message.rib) == (NODE6, Rib.IN_POST_POLICY)
    assert parse_update(message.update) == Update(announced=(ip_network("2001:db8:64::/122"),))


def test_frr_tells_that_a_prefix_is_gone_and_that_all_was_told() -> None:
    gone = "030000004c00" + FRR_PEER.format(flags="40") + MARKER + "001c0200051a0a4000400000"
    assert parse_update(monitored(bytes.fromhex(gone)).update) == Update(
        withdrawn=(ip_network("10.64.0.64/26"),)
    )
    ended = "030000004700" + FRR_PEER.format(flags="40") + MARKER + "00170200000000"
    assert parse_update(monitored(bytes.fromhex(ended)).update) == Update(end_of_rib=Family.IPV4_UNICAST)


@pytest.mark.parametrize(
    ("kind", "flags", "rib"),
    [
        (0, 0x00, Rib.IN_PRE_POLICY),
        (0, 0x20, Rib.IN_PRE_POLICY),
        (0, 0x40, Rib.IN_POST_POLICY),
        (1, 0x40, Rib.IN_POST_POLICY),
        (0, 0x10, Rib.OTHER),
        (0, 0x50, Rib.OTHER),
        (3, 0x00, Rib.OTHER),
    ],
)
def test_which_table(kind: int, flags: int, rib: Rib) -> None:
    assert monitored(bmp.monitoring(bmp.update(), flags=flags, kind=kind)).rib is rib


def test_the_same_address_in_two_vrfs_is_two_sessions() -> None:
    first, second = (only(bmp.peer_up(instance=number)) for number in (1, 2))
    assert isinstance(first, PeerUp)
    assert isinstance(second, PeerUp)
    assert first.peer != second.peer


def notification(code: int, subcode: int) -> bytes:
    return bmp.bgp(3, bytes([code, subcode]))


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            b"\1" + notification(6, 1),
            "the router sent NOTIFICATION: Cease, Maximum Number of Prefixes Reached (6/1)",
        ),
        (b"\3" + notification(4, 0), "the router received NOTIFICATION: Hold Timer Expired (4/0)"),
        (b"\3" + notification(4, 0)[:-1], "the router received NOTIFICATION: cut short"),
        (b"\4", "the connection was closed from afar"),
        (b"\5", "the router monitors it no longer"),
        (b"\x63", "reason 99"),
        (b"", "reason 0"),
    ],
)
def test_why_a_session_is_down(reason: bytes, words: str) -> None:
    assert only(bmp.peer_down(reason=reason)) == PeerDown(NODE, words)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bmp.termination(1), Termination("unspecified")),
        (bmp.termination(77), Termination("reason 77")),
        (bmp.message(5, b""), Termination("no reason given")),
        (bmp.message(4, b""), Initiation("", "")),
        (bmp.message(1, b"statistics"), Ignored(1)),
        (bmp.message(6, b"mirrored"), Ignored(6)),
        (bmp.message(200, b"what is to come"), Ignored(200)),
        (bmp.message(3, bmp.peer_header(bmp.NODE, kind=3)), Ignored(3)),
    ],
)
def test_other_messages(data: bytes, message: Message) -> None:
    assert only(data) == message


def test_what_a_router_says_of_itself_is_cut() -> None:
    said = only(bmp.initiation(name="x" * 5000))
    assert isinstance(said, Initiation)
    assert len(said.name) == 200


@pytest.mark.parametrize(
    "data",
    [
        bmp.message(3, bmp.peer_header(bmp.NODE) + bytes(15)),
        bmp.message(0, bytes(41)),
        bmp.message(2, b""),
        bmp.message(4, b"\x00\x01\x00\x09short"),
        bmp.message(5, b"\x00"),
    ],
)
def test_a_message_that_is_cut_short_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="are announced where"):
        only(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x02" + bmp.initiation()[1:], "version 2"),
        (b"GET / HTTP/1.1\r\n", "version 71"),
        (b"\x03\x00\x00\x00\x05\x04", "a message of 5 bytes"),
        (b"\x03" + (MAX_BYTES + 1).to_bytes(4, "big") + b"\x04", "262145 bytes"),
    ],
)
def test_what_is_no_message_is_malformed_and_what_came_before_is_not_lost(data: bytes, why: str) -> None:
    coming = Framer().take(bmp.initiation() + bmp.peer_up() + data)
    assert [next(coming).kind, next(coming).kind] == [4, 3]
    with pytest.raises(Malformed, match=why):
        next(coming)


def test_ipv4_and_ipv6_in_one_update() -> None:
    announced = tuple(map(ip_network, ("10.64.0.0/26", "10.64.1.7/32", "0.0.0.0/0", "2001:db8::/122")))
    withdrawn = tuple(map(ip_network, ("10.65.0.0/17", "::/0", "2001:db8::7/128")))
    read = parse_update(bmp.update(announced, withdrawn))
    assert (set(read.announced), set(read.withdrawn)) == (set(announced), set(withdrawn))
    assert read.end_of_rib is None


def test_end_of_rib() -> None:
    assert parse_update(bmp.end_of_rib(4)) == Update(end_of_rib=Family.IPV4_UNICAST)
    assert parse_update(bmp.end_of_rib(6)) == Update(end_of_rib=Family.IPV6_UNICAST)


def test_bits_behind_the_length_do_not_count() -> None:
    # RFC 4271 §4.3
    read = parse_update(bmp.bgp(2, bytes(4) + b"\x0c\x0a\xff"))
    assert read.announced == (ip_network("10.240.0.0/12"),)


def test_other_families_are_left_out() -> None:
    vpn = b"\x00\x01\x80" + b"\x00" + b"\x00" + b"whatever"
    attribute = b"\x80\x0e" + bytes([len(vpn)]) + vpn
    read = parse_update(bmp.bgp(2, bytes(2) + len(attribute).to_bytes(2, "big") + attribute))
    assert read == Update()


GOOD = bmp.update([ip_network("10.64.0.0/26")])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x00" + GOOD[1:], "no marker"),
        (GOOD + b"\x00", "in an UPDATE of"),
        (GOOD[:18] + b"\x01" + GOOD[19:], "type 1"),
        (bmp.bgp(2, bytes(4) + b"\x21\x0a\x00\x00\x00\x00"), "a prefix of 33 bits"),
        (bmp.bgp(2, bytes(4) + b"\x20\x0a\x00"), "4 bytes are announced where 2 are left"),
        (bmp.bgp(2, b"\x00\x09"), "9 bytes are announced where 0 are left"),
        (bmp.bgp(2, bytes(2) + b"\x00\x04\x80\x0e\x05\x00"), "5 bytes are announced"),
    ],
)
def test_an_update_that_cannot_be_read(data: bytes, why: str) -> None:
    with pytest.raises(Malformed, match=why):
        parse_update(data)
