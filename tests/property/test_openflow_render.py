"""A flow survives the wire: what is parsed from its bytes is the flow."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import given
from hypothesis import strategies as st
from os_ken.ofproto import ofproto_parser
from os_ken.ofproto import ofproto_v1_4 as ofp

from openflow.cookie import OWNER, OWNER_MASK
from openflow.encoding import encode
from openflow.flow import (
    Action,
    ChoosePort,
    Commit,
    Conjunction,
    DecTtl,
    Flow,
    GotoTable,
    MatchValue,
    Measure,
    Move,
    Output,
    PopVlan,
    PushVlan,
    SetField,
    Track,
    Unlook,
    Visit,
)
from openflow.ordering import Delete, Put
from openflow.pipeline import EndpointPort, base_flows, endpoint_flows
from openflow.render import PROTOCOL
from openflow.tables import CAME_BY
from tests.support.by_os_ken import flow_of

MACS = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))
PORTS = st.integers(1, 0xFEFF) | st.just(0xFFFFFFFE)
NETWORKS4 = st.builds(
    lambda bits, length: IPv4Network((bits, length), strict=False),
    st.integers(0, 2**32 - 1),
    st.integers(1, 32),
)
NETWORKS6 = st.builds(
    lambda bits, length: IPv6Network((bits, length), strict=False),
    st.integers(0, 2**128 - 1),
    st.integers(1, 128),
)
IPV4 = st.ip_addresses(v=4) | NETWORKS4
IPV6 = st.ip_addresses(v=6) | NETWORKS6


def masked(width: int) -> st.SearchStrategy[str]:
    """A number of so many bits under a mask that covers some of them, but not all."""
    return st.builds(
        lambda number, mask: f"{number & mask:#x}/{mask:#x}",
        st.integers(0, 2**width - 1),
        st.integers(1, 2**width - 2),
    )


COMMON: dict[str, st.SearchStrategy[MatchValue]] = {
    "in_port": PORTS,
    "eth_src": MACS,
    "eth_dst": MACS | st.just("01:00:00:00:00:00/01:00:00:00:00:00"),
    "reg0": st.integers(0, 2**32 - 1),
    "vlan_vid": st.integers(0x1000, 0x1FFF) | masked(13),
}
KINDS: dict[int, dict[str, st.SearchStrategy[MatchValue]]] = {
    0x0800: {
        "ipv4_src": IPV4,
        "ipv4_dst": IPV4,
        "nw_ttl": st.integers(0, 255),
        "ip_proto": st.just(6),
        "ct_state": masked(8),
        "conj_id": st.integers(1, 2**32 - 1),
    },
    0x0806: {"arp_op": st.integers(1, 2), "arp_sha": MACS, "arp_spa": IPV4, "arp_tpa": IPV4},
    0x86DD: {"ipv6_src": IPV6, "ipv6_dst": IPV6, "nw_ttl": st.integers(0, 255)},
}


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Any flow that our vocabulary can say."""
    eth_type = draw(st.sampled_from(sorted(KINDS)))
    optional = {**COMMON, **KINDS[eth_type]}
    match = draw(st.fixed_dictionaries({}, optional=optional)) | {"eth_type": eth_type}
    if match.get("ip_proto") == 6:
        match["tcp_dst"] = draw(st.integers(1, 65535) | masked(16))
    table_id = draw(st.integers(0, 10))
    action: st.SearchStrategy[Action] = st.one_of(
        st.builds(Output, PORTS),
        st.builds(SetField, st.just("eth_src"), MACS),
        st.builds(SetField, st.just("reg0"), st.integers(0, 2**32 - 1)),
        st.builds(SetField, st.just(CAME_BY), st.integers(0, 2**16 - 1)),
        st.builds(SetField, st.just("ip_dscp"), st.integers(0, 63)),
        st.builds(Visit, st.integers(table_id + 1, 253)),
        st.builds(Commit, st.integers(0, 65535)),
        st.builds(Conjunction, st.integers(1, 2**32 - 1), st.integers(1, 3), st.just(3)),
        st.just(DecTtl()),
        st.just(PushVlan()),
        st.just(PopVlan()),
        st.just(Unlook()),
        st.builds(Move, st.just("tcp_src"), st.sampled_from(["reg12", "tcp_dst"]), st.integers(1, 16)),
        st.builds(ChoosePort, st.lists(st.integers(1, 0xFEFF), min_size=1, max_size=9).map(tuple)),
    )
    onward = st.one_of(
        st.builds(GotoTable, st.integers(table_id + 1, 253)),
        st.builds(Track, st.integers(0, 65535), st.integers(table_id, 253)),
    )
    goto = draw(st.lists(onward, max_size=1))
    measure = draw(st.lists(st.builds(Measure, st.integers(1, 0xFFFF0000)), max_size=1))
    actions = (*measure, *draw(st.lists(action, max_size=4)), *goto)
    return Flow(
        table_id,
        draw(st.integers(0, 65535)),
        tuple(match.items()),
        actions,
        draw(st.integers(0, 2**64 - 1)),
    )


def through_the_wire(change: Put | Delete) -> object:
    data = encode(change, 1)
    return ofproto_parser.msg(PROTOCOL, ofp.OFP_VERSION, ofp.OFPT_FLOW_MOD, len(data), 1, data)


@given(flows())
def test_render_and_parse_are_inverse(flow: Flow) -> None:
    assert flow_of(through_the_wire(Put(flow))) == flow


@given(flows())
def test_a_deletion_names_the_flow_and_spares_what_is_not_ours(flow: Flow) -> None:
    parsed = through_the_wire(Delete(flow))
    assert flow_of(parsed).key == flow.key
    assert parsed.command == ofp.OFPFC_DELETE_STRICT
    assert (parsed.cookie, parsed.cookie_mask) == (OWNER, OWNER_MASK)


def test_every_flow_of_the_pipeline_survives() -> None:
    port = EndpointPort("web", 7, "02:00:00:00:00:07", (IPv4Address("10.64.0.7"), IPv6Address("fd00::7")))
    mac = "02:50:4c:44:52:01"
    for flow in (*base_flows(mac), *endpoint_flows(port, mac)):
        assert flow_of(through_the_wire(Put(flow))) == flow
