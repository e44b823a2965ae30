"""Hypothesis strategies for every stored value."""

from __future__ import annotations

from datetime import UTC
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from hypothesis import strategies as st

from store.model import (
    Address,
    AddressState,
    Advertise,
    Advertised,
    Alive,
    Attachment,
    Block,
    Displaced,
    Endpoint,
    EndpointState,
    Node,
    Peer,
    Pool,
    Program,
    Ready,
    Session,
    SessionState,
    Value,
)

names = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?", fullmatch=True)
identifiers = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?", fullmatch=True)
label_values = st.from_regex(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", fullmatch=True)
labels = st.dictionaries(identifiers, label_values, max_size=3)
addresses = st.one_of(
    st.integers(0x0A000000, 0x0AFFFFFF).map(ip_address),
    st.integers(0x20010DB8 << 96, (0x20010DB9 << 96) - 1).map(ip_address),
)
networks = st.builds(
    lambda address, bits: ip_network((address, address.max_prefixlen - bits), strict=False),
    addresses,
    st.integers(0, 20),
)
asns = st.sampled_from([1, 64501, 64512, 4200000000])
macs = st.integers(0, 2**40 - 1).map(lambda n: "02:" + ":".join(f"{octet:02x}" for octet in n.to_bytes(5)))
mtus = st.integers(1280, 9216)
times = st.datetimes(timezones=st.just(UTC))
texts = st.text(max_size=40)
several = {"min_size": 1, "max_size": 2}


@st.composite
def pools(draw: st.DrawFn) -> Pool:
    """Pools whose blocks fit them."""
    cidr: IPv4Network | IPv6Network = draw(networks)
    lowest = max(cidr.prefixlen, cidr.max_prefixlen - 12)
    return Pool(
        name=draw(names),
        cidr=cidr,
        block_prefixlen=draw(st.integers(lowest, cidr.max_prefixlen)),
        advertise=draw(st.sampled_from(Advertise)),
        cooldown_s=draw(st.integers(0, 86400)),
    )


@st.composite
def peers(draw: st.DrawFn) -> Peer:
    """Peers whose two addresses are of one family."""
    address = draw(addresses)
    local = draw(st.none() | addresses.filter(lambda other: other.version == address.version))
    return Peer(
        name=draw(names),
        address=address,
        asn=draw(asns),
        node=draw(st.none() | names),
        local_address=local,
        hold_time_s=draw(st.just(0) | st.integers(3, 65535)),
        graceful_restart_s=draw(st.integers(0, 4095)),
    )


VALUES: dict[type[Value], st.SearchStrategy[Value]] = {
    Pool: pools(),
    Peer: peers(),
    Node: st.builds(
        Node,
        name=names,
        asn=asns,
        router_id=st.none() | st.ip_addresses(v=4),
        mtu_bytes=mtus,
        labels=labels,
    ),
    Endpoint: st.builds(
        Endpoint,
        id=identifiers,
        node=names,
        pool=names,
        addresses=st.lists(addresses, **several).map(tuple),
        mac=macs,
        mtu_bytes=mtus,
        labels=labels,
        state=st.sampled_from(EndpointState),
    ),
    Block: st.builds(Block, cidr=networks, pool=names, node=names),
    Address: st.builds(
        Address,
        address=addresses,
        pool=names,
        endpoint=identifiers,
        node=names,
        state=st.sampled_from(AddressState),
        since=times,
    ),
    Displaced: st.builds(Displaced, address=addresses, endpoint=identifiers, node=names),
    Attachment: st.builds(
        Attachment,
        endpoint=identifiers,
        node=names,
        addresses=st.lists(addresses, **several).map(tuple),
        netns=identifiers.map(lambda name: f"/run/netns/{name}"),
        ifname=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}", fullmatch=True),
        boot_id=texts,
    ),
    Ready: st.builds(Ready, prefix=networks, node=names, boot_id=texts),
    Advertised: st.builds(Advertised, prefix=networks, node=names, peers=st.lists(names).map(tuple)),
    Session: st.builds(
        Session,
        node=names,
        peer=names,
        address=addresses,
        asn=asns,
        state=st.sampled_from(SessionState),
        since=times,
        reason=texts,
        advertised=st.integers(0, 10**6),
    ),
    Alive: st.builds(Alive, node=names, program=st.sampled_from(Program), boot_id=texts, started=times),
}
