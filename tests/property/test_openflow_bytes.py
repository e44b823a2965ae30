"""What is written and read by hand is what os-ken writes and reads, byte for byte."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_v1_4_parser as parser

from openflow.decoding import BODY_AT, Decoder
from openflow.encoding import bundle_of, encode
from openflow.errors import SwitchError
from openflow.flow import Flow
from openflow.ordering import Change, Delete, Put
from openflow.render import PROTOCOL
from tests.property.test_openflow_render import flows
from tests.support.by_os_ken import flow_mod, flow_of

MATCH_AT = 48
"""Where the match is in a flow mod: the header, then the fixed part."""


def by_os_ken(message: object, xid: int) -> bytes:
    message.set_xid(xid)
    message.serialize()
    return bytes(message.buf)


@given(flows(), st.integers(1, 2**31))
def test_a_change_is_written_as_os_ken_writes_it(flow: Flow, xid: int) -> None:
    for change in (Put(flow), Delete(flow)):
        assert encode(change, xid) == by_os_ken(flow_mod(change), xid)


@given(st.lists(flows().map(Put), max_size=3))
def test_a_bundle_is_filled_as_os_ken_fills_it(changes: list[Change]) -> None:
    inside = [parser.OFPBundleAddMsg(PROTOCOL, 7, 3, flow_mod(change), []) for change in changes]
    assert list(bundle_of(changes, 7, 3, 40)) == [by_os_ken(each, 40 + at) for at, each in enumerate(inside)]


def stats(flow: Flow, packets: int, octets: int) -> bytes:
    """A flow as a switch tells it (OpenFlow 1.4.1 §7.3.5.2): its flow mod with another fixed part."""
    rest = encode(Put(flow), 0)[MATCH_AT:]
    fixed = (flow.table_id, 9, 9, flow.priority, 0, 0, 0, 0, flow.cookie, packets, octets)
    return struct.pack("!HBxIIHHHHHxxQQQ", 48 + len(rest), *fixed) + rest


def reply(*told: bytes) -> bytes:
    return bytes(BODY_AT) + b"".join(told)


@given(st.lists(flows(), max_size=4, unique_by=lambda flow: flow.key))
def test_a_dump_is_read_as_os_ken_reads_it(many: list[Flow]) -> None:
    told = [stats(flow, 5, 600) for flow in many]
    decoder = Decoder()
    found = decoder.read([reply(*told[:2]), reply(*told[2:])])
    assert [counted.flow for counted in found] == many
    assert [counted.flow for counted in found] == [
        flow_of(parser.OFPFlowStats.parser(each, 0)) for each in told
    ]
    assert {(counted.packets, counted.bytes) for counted in found} <= {(5, 600)}
    again = decoder.read([reply(*(stats(flow, 6, 700) for flow in many))])
    assert all(now.flow is before.flow for now, before in zip(again, found, strict=True))


@given(flows(), st.data())
def test_an_answer_that_is_cut_off_is_an_error(flow: Flow, data: st.DataObject) -> None:
    told = stats(flow, 0, 0)
    length = data.draw(st.integers(1, len(told) - 1))
    with pytest.raises(SwitchError):
        Decoder().read([reply(told[:length])])
