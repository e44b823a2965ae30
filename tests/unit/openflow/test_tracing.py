"""What Open vSwitch 3.1 wrote of a packet is read as steps, and its matches as those of our flows."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from openflow.cookie import Purpose, encode
from openflow.flow import LOCAL, Flow, MatchValue, match_of
from openflow.syntax import Packet, flow_of, match_from
from openflow.tracing import Step, Traced, traced

COOKIE = encode(Purpose.ACCEPT, 1)
TEXT = f"""Flow: tcp,in_port=1,vlan_tci=0x0000,dl_src=02:00:00:00:00:07,nw_src=10.64.0.7,tp_dst=80

bridge("polder0")
-----------------
 0. ip,in_port=1,dl_src=02:00:00:00:00:07,nw_src=10.64.0.7, priority 100, cookie {COOKIE:#x}
    goto_table:1
 1. ip, priority 50, cookie {COOKIE:#x}
    ct(table=2,zone=7)
    drop
     -> A clone of the packet is forked to recirculate. The forked pipeline will be resumed at table 2.
     -> Sets the packet to an untracked state, and clears all the conntrack fields.

Final flow: unchanged
Megaflow: recirc_id=0,eth,ip,in_port=1,dl_src=02:00:00:00:00:07,nw_src=10.64.0.7,nw_frag=no
Datapath actions: ct(zone=7),recirc(0x1)

===============================================================================
recirc(0x1) - resume conntrack with default ct_state=trk|new (use --ct-next to customize)
===============================================================================

Flow: recirc_id=0x1,ct_state=new|trk,ct_zone=7,eth,tcp,in_port=1,tp_src=0,tp_dst=80,tcp_flags=0

bridge("polder0")
-----------------
    thaw
        Resuming from table 2
 2. ct_state=+new+trk,tcp,tp_dst=80, priority 60
    set_field:02:00:00:00:00:01->eth_src
    LOCAL

Final flow: recirc_id=0x1,ct_state=new|trk
Datapath actions: set(eth(src=02:00:00:00:00:01)),1
"""
DROPPED = """Flow: tcp,in_port=1

bridge("polder0")
-----------------
 0. No match.
    drop
 1. priority 0, cookie 0x504c445201000001
    drop
 2. in_port=9, priority 3
    output:9
     >> skipping output to input port
    output:9 >> skipping output to input port
"""


def test_steps_before_and_behind_conntrack_are_one_way() -> None:
    assert traced(TEXT) == Traced(
        (
            Step(0, "ip,in_port=1,dl_src=02:00:00:00:00:07,nw_src=10.64.0.7", 100, COOKIE, ("goto_table:1",)),
            Step(1, "ip", 50, COOKIE, ("ct(table=2,zone=7)", "drop")),
            Step(
                2,
                "ct_state=+new+trk,tcp,tp_dst=80",
                60,
                0,
                ("set_field:02:00:00:00:00:01->eth_src", "LOCAL"),
            ),
        ),
        (LOCAL,),
    )


def test_a_table_without_a_match_and_a_flow_that_matches_all() -> None:
    missed, everything, _ = traced(DROPPED).steps
    assert (missed.priority, missed.match, missed.actions) == (None, "", ("drop",))
    assert (everything.priority, everything.match) == (0, "")


def test_what_makes_no_sense_is_no_step() -> None:
    assert traced("bridge is unknown\n") == Traced((), ())


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("in_port=LOCAL", {"in_port": LOCAL}),
        (
            "arp,arp_spa=10.64.0.7,arp_op=1",
            {"eth_type": 0x0806, "arp_spa": ip_address("10.64.0.7"), "arp_op": 1},
        ),
        ("ip,nw_dst=224.0.0.0/4", {"eth_type": 0x0800, "ipv4_dst": ip_network("224.0.0.0/4")}),
        (
            "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00",
            {"eth_dst": "01:00:00:00:00:00/01:00:00:00:00:00"},
        ),
        ("vlan_tci=0x1000/0x1000", {"vlan_vid": "0x1000/0x1000"}),
        (
            "icmp6,icmp_type=135,nd_target=fe80::1",
            {"eth_type": 0x86DD, "ip_proto": 58, "icmpv6_type": 135, "ipv6_nd_target": ip_address("fe80::1")},
        ),
        ("udp,tp_src=67", {"eth_type": 0x0800, "ip_proto": 17, "udp_src": 67}),
        ("tcp6,tp_dst=0x50/0xfff0", {"eth_type": 0x86DD, "ip_proto": 6, "tcp_dst": "0x50/0xfff0"}),
        ("ct_state=-trk,ip", {"ct_state": "0x0/0x20", "eth_type": 0x0800}),
        ("ct_state=+est+rpl+trk", {"ct_state": "0x2a/0x2a"}),
        (
            "ct_state=+new+trk,tcp,reg4=0,tcp_flags=-syn",
            {"ct_state": "0x21/0x21", "eth_type": 0x0800, "ip_proto": 6, "reg4": 0, "tcp_flags": "0x0/0x2"},
        ),
        ("reg0=0x7", {"reg0": 7}),
        ("ip,nw_ttl=1", {"eth_type": 0x0800, "nw_ttl": 1}),
        ("conj_id=4242,ip", {"conj_id": 4242, "eth_type": 0x0800}),
    ],
)
def test_a_match_reads_as_that_of_our_flows(text: str, fields: dict[str, MatchValue]) -> None:
    assert match_from(text) == match_of(fields)
    assert Flow(0, 1, match_from(text)).key == Flow(0, 1, match_of(fields)).key


def test_a_packet_is_written_as_the_switch_takes_it() -> None:
    tcp = Packet(ip_address("10.64.0.7"), ip_address("10.64.1.1"), "tcp", 80, 40000)
    assert flow_of(tcp, in_port=7, eth_src="02:00:00:00:00:07", eth_dst="02:00:00:00:00:01") == (
        "tcp,in_port=7,dl_src=02:00:00:00:00:07,dl_dst=02:00:00:00:00:01,"
        "nw_src=10.64.0.7,nw_dst=10.64.1.1,nw_ttl=64,tp_src=40000,tp_dst=80,tcp_flags=syn"
    )
    echo = Packet(ip_address("fd00::7"), ip_address("fd00::9"), "icmp", 0, 0)
    tagged = flow_of(tcp, in_port=7, eth_src="02:00:00:00:00:07", eth_dst="02:00:00:00:00:01", vlan=120)
    assert tagged.endswith(",dl_vlan=120")
    assert flow_of(echo, in_port=LOCAL, eth_src="02:00:00:00:00:07", eth_dst="02:00:00:00:00:01") == (
        "icmp6,in_port=LOCAL,dl_src=02:00:00:00:00:07,dl_dst=02:00:00:00:00:01,"
        "ipv6_src=fd00::7,ipv6_dst=fd00::9,nw_ttl=64,icmp_type=128,icmp_code=0"
    )
