"""Hypothesis strategies for every stored value."""

from __future__ import annotations

from datetime import UTC
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from hypothesis import strategies as st

from store.model import (
    Action,
    Address,
    AddressFamily,
    AddressSet,
    AddressState,
    Advertise,
    Advertised,
    Alive,
    Amiss,
    Announces,
    Answered,
    Attachment,
    Backend,
    Block,
    Check,
    CheckKind,
    Cluster,
    Difference,
    DifferenceKind,
    Displaced,
    Drain,
    Drained,
    DrainStage,
    Endpoint,
    EndpointKind,
    EndpointState,
    Event,
    Group,
    Health,
    HeldEndpoint,
    Holding,
    Imported,
    ImportedPath,
    IPAddress,
    Join,
    Lost,
    Membership,
    Mode,
    Move,
    Node,
    NodePolicy,
    NodeRule,
    OnLink,
    Peer,
    PeerMatch,
    Pending,
    PendingState,
    Policy,
    Pool,
    PortMatch,
    Program,
    Qos,
    Question,
    Ready,
    Restore,
    Role,
    Rule,
    Secret,
    Segment,
    Service,
    Session,
    SessionState,
    Severity,
    Telling,
    Tenant,
    Token,
    Told,
    Uplink,
    Usage,
    Value,
    Verified,
    Withdrawing,
)
from tests.support import explained

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
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
counts = st.none() | st.integers(0, 2**31 - 1)
secrets = st.builds(Secret, sha256=hashes, expires=st.none() | times)
communities = st.builds("{}:{}".format, st.integers(0, 65535), st.integers(0, 65535))
clusters = st.integers(1, 2**64 - 1).map("{:x}".format)
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
        reserved=draw(st.just(()) | st.just((cidr,))),
        disabled=draw(st.booleans()),
        priority=draw(st.integers(0, 1000)),
        tenant=draw(st.none() | names),
        node_selector=draw(labels),
        borrow=draw(st.booleans()),
        communities=draw(st.lists(communities, max_size=3).map(tuple)),
    )


qos = st.builds(
    Qos,
    egress_rate_kbps=st.integers(2000, 10**8),
    egress_burst_kbit=st.none() | st.integers(1000, 10**6),
    ingress_packets_per_s=st.none() | st.integers(10, 10**8),
    guaranteed_kbps=st.none() | st.integers(100, 2000),
    priority=st.integers(0, 7),
    dscp=st.none() | st.integers(0, 63),
)


@st.composite
def endpoints(draw: st.DrawFn) -> Endpoint:
    """Endpoints of one family, or of both."""
    held = draw(st.lists(addresses, **several, unique_by=lambda address: address.version))
    return Endpoint(
        id=draw(identifiers),
        uid=draw(hashes)[:32],
        node=draw(names),
        tenant=draw(st.none() | names),
        pools=tuple(draw(names) for _ in held),
        addresses=tuple(held),
        mac=draw(macs),
        mtu_bytes=draw(st.none() | mtus),
        labels=draw(labels),
        state=draw(st.sampled_from(EndpointState)),
        qos=draw(st.none() | qos),
        kind=draw(st.sampled_from(EndpointKind)),
        membership=draw(st.none() | memberships(len(held))),
    )


uplinks = st.from_regex(r"[a-z]{2}[0-9]{1,3}", fullmatch=True)
segments = st.builds(Segment, vlan=st.integers(1, 4094), uplink=uplinks)


def memberships(count: int) -> st.SearchStrategy[Membership]:
    """How an endpoint of so many addresses is on a segment."""
    return st.builds(
        Membership,
        segment=segments,
        networks=st.lists(networks, min_size=count, max_size=count).map(tuple),
        gateways=st.lists(addresses, max_size=2).map(tuple),
    )


@st.composite
def checks(draw: st.DrawFn) -> Check:
    """Checks whose numbers fit together."""
    kind = draw(st.sampled_from(CheckKind))
    return Check(
        kind=kind,
        port=draw(st.integers(1, 65535)),
        path=draw(st.none() | st.just("/ready")) if kind is CheckKind.HTTP else None,
        interval_s=draw(st.integers(60, 300)),
        timeout_s=draw(st.integers(1, 60)),
        healthy_after=draw(st.integers(1, 10)),
        unhealthy_after=draw(st.integers(1, 10)),
    )


@st.composite
def tokens(draw: st.DrawFn) -> Token:
    """Tokens whose role says whose they are."""
    role = draw(st.sampled_from(Role))
    return Token(
        name=draw(names),
        role=role,
        tenant=draw(names) if role is Role.TENANT else None,
        node=draw(names) if role is Role.NODE else None,
        secrets=draw(st.lists(secrets, **several).map(tuple)),
        created=draw(times),
    )


@st.composite
def peers(draw: st.DrawFn) -> Peer:
    """Peers whose two addresses are of one family."""
    address = draw(addresses)
    local = draw(st.none() | addresses.filter(lambda other: other.version == address.version))
    hold_time_s = draw(st.just(0) | st.integers(3, 65535))
    node = draw(st.none() | names)
    gtsm = draw(st.booleans())
    numbers = st.none() | st.integers(0, 2**32 - 1)
    families = draw(st.lists(st.sampled_from(AddressFamily), unique=True).map(tuple))
    carried = {each.version for each in families} or {address.version}
    return Peer(
        name=draw(names),
        address=address,
        asn=draw(asns),
        node=node,
        node_selector=draw(labels) if node is None else {},
        announces=draw(st.sampled_from(Announces)),
        local_asn=draw(st.none() | asns),
        local_address=local,
        hold_time_s=hold_time_s,
        keepalive_s=draw(st.none() | st.integers(1, hold_time_s // 3)) if hold_time_s else None,
        graceful_restart_s=draw(st.integers(0, 4095)),
        password_secret=draw(st.none() | names),
        gtsm=gtsm,
        multihop_ttl=None if gtsm else draw(st.none() | st.integers(2, 255)),
        passive=draw(st.booleans()),
        families=families,
        communities=draw(st.lists(communities, **several, unique=True).map(tuple)),
        med=draw(numbers),
        local_pref=draw(numbers),
        as_path_prepend=draw(st.integers(0, 10)),
        max_prefixes=draw(st.integers(1, 1_000_000)),
        imports=draw(
            st.lists(
                st.just("default-route")
                | networks.filter(lambda one: one.prefixlen > 0 and one.version in carried).map(str),
                max_size=2,
                unique=True,
            ).map(tuple)
        ),
    )


@st.composite
def next_hops(draw: st.DrawFn) -> tuple[IPAddress, ...]:
    """At most one address of each family."""
    return tuple({each.version: each for each in draw(st.lists(addresses, max_size=2))}.values())


set_ids = hashes.map(lambda text: text[:16])
port_matches = st.one_of(
    st.builds(
        lambda protocol, first, more: PortMatch(
            protocol=protocol, port=first, end_port=first and more and min(65535, first + more)
        ),
        st.sampled_from(["tcp", "udp", "sctp"]),
        st.none() | st.integers(1, 65535),
        st.none() | st.integers(1, 100),
    ),
    st.builds(PortMatch, protocol=st.integers(0, 255)),
    st.builds(
        PortMatch, protocol=st.sampled_from(["icmp", "icmpv6"]), icmp_type=st.none() | st.integers(0, 255)
    ),
)
peer_matches = st.one_of(
    st.builds(PeerMatch, cidr=networks),
    st.builds(PeerMatch, selector=labels, tenant=st.none() | names),
    st.builds(PeerMatch, tenant=names),
)
rules = st.builds(
    Rule,
    action=st.sampled_from(Action),
    log=st.booleans(),
    peers=st.lists(peer_matches, max_size=3, unique_by=repr).map(tuple),
    ports=st.lists(port_matches.filter(lambda port: port.version is None), max_size=3, unique_by=repr).map(
        tuple
    ),
)
node_rules = st.builds(
    NodeRule,
    name=st.none() | names,
    action=st.sampled_from(Action),
    log=st.booleans(),
    sets=st.lists(set_ids, max_size=2).map(tuple),
    cidrs=st.lists(networks, max_size=2).map(tuple),
    ports=st.lists(port_matches, max_size=2).map(tuple),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Policies with a rule or more."""
    tenant = draw(st.none() | names)
    directions = draw(st.sampled_from(["ingress", "egress", "both"]))
    made = {
        each: tuple(draw(st.lists(rules, min_size=1, max_size=2)))
        for each in ("ingress", "egress")
        if directions in {each, "both"}
    }
    return Policy(
        name=draw(names),
        tenant=tenant,
        selector=draw(labels),
        order=draw(st.integers(0, 1000) if tenant is None else st.integers(100, 900)),
        mode=draw(st.sampled_from(Mode)),
        **made,
    )


VALUES: dict[type[Value], st.SearchStrategy[Value]] = {
    Pool: pools(),
    Peer: peers(),
    Node: st.builds(
        Node,
        name=names,
        asn=asns,
        router_id=st.none() | st.ip_addresses(v=4),
        mtu_bytes=st.none() | mtus,
        labels=labels,
        reclaim_after_s=st.just(0) | st.integers(60, 31_536_000),
        next_hops=next_hops(),
        edge=st.booleans(),
        export=explained.exports,
        uplinks=st.lists(
            st.builds(Uplink, ifname=st.sampled_from(["eth0", "up1"]), rate_mbps=st.integers(1, 800_000)),
            max_size=2,
            unique_by=lambda uplink: uplink.ifname,
        ).map(tuple),
    )
    | st.builds(Node, name=names, asn=asns, next_hops=next_hops().filter(bool), direct=names),
    OnLink: st.builds(
        OnLink,
        node=names,
        next_hops=next_hops().filter(bool),
        blocks=st.lists(networks, max_size=2).map(tuple),
        displaced=st.lists(
            st.builds(Displaced, address=addresses, endpoint=identifiers, node=names), max_size=2
        ).map(tuple),
    ),
    Service: st.builds(
        Service,
        name=names,
        pool=names,
        address=addresses,
        tenant=st.none() | names,
        selector=st.dictionaries(identifiers, label_values, min_size=1, max_size=3),
        check=st.none() | checks(),
        communities=st.lists(communities, max_size=3).map(tuple),
    ),
    Withdrawing: st.builds(Withdrawing, pool=names, address=addresses),
    Health: st.builds(
        Health,
        service=names,
        node=names,
        boot_id=texts,
        backends=st.lists(
            st.builds(Backend, endpoint=identifiers, healthy=st.booleans(), why=texts), max_size=3
        ).map(tuple),
    ),
    Question: explained.questions,
    Answered: explained.answers,
    Drain: st.builds(
        Drain,
        noun=st.sampled_from(Drained),
        name=names,
        stage=st.sampled_from(DrainStage),
        since=times,
        wait_s=st.integers(0, 3600),
        until=st.none() | times,
        by=texts,
    ),
    Endpoint: endpoints(),
    Move: st.builds(Move, endpoint=endpoints(), target=names, since=times, overlap_s=st.integers(1, 3600)),
    Token: tokens(),
    Tenant: st.builds(
        Tenant,
        name=names,
        max_ipv4=counts,
        max_ipv6=counts,
        default=st.sampled_from(Action),
        labels=labels,
        segment=st.none() | segments,
    ),
    Policy: policies(),
    NodePolicy: st.builds(
        NodePolicy,
        policy=names,
        tenant=st.none() | names,
        selector=labels,
        order=st.integers(0, 1000),
        mode=st.sampled_from(Mode),
        ingress=st.lists(node_rules, max_size=2).map(tuple),
        egress=st.lists(node_rules, max_size=2).map(tuple),
    ),
    Group: st.builds(Group, tenant=st.none() | names, default=st.sampled_from(Action), members=set_ids),
    Telling: st.just(Telling()),
    Told: st.builds(Told, endpoint=identifiers, uid=hashes.map(lambda text: text[:32])),
    AddressSet: st.builds(
        AddressSet,
        set=set_ids,
        shard=st.integers(0, 99),
        addresses=st.lists(addresses, max_size=3).map(tuple),
    ),
    Pending: st.builds(
        Pending,
        id=hashes.map(lambda text: text[:32]),
        endpoints=st.lists(st.tuples(identifiers, hashes.map(lambda text: text[:32])), max_size=3).map(tuple),
        deadline=times,
        state=st.sampled_from(PendingState),
    ),
    Usage: st.builds(Usage, tenant=names, ipv4=st.integers(0, 2**31 - 1), ipv6=st.integers(0, 2**31 - 1)),
    Join: st.builds(Join, name=names, sha256=hashes, expires=times),
    Event: st.builds(
        Event,
        id=st.builds("{:016d}-{:08x}".format, st.integers(0, 10**16 - 1), st.integers(0, 2**32 - 1)),
        at=times,
        severity=st.sampled_from(Severity),
        reason=st.just("pool-full"),
        noun=texts,
        name=texts,
        detail=texts,
        node=st.none() | names,
        tenant=st.none() | names,
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
        tenant=st.none() | names,
        by=texts,
        request=texts,
        left=st.lists(names, max_size=2).map(tuple),
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
    Imported: st.builds(
        Imported,
        prefix=networks,
        node=names,
        paths=st.lists(
            st.builds(
                ImportedPath,
                peer=names,
                next_hop=addresses,
                as_path=st.lists(st.integers(0, 2**32 - 1), max_size=3).map(tuple),
                med=st.none() | st.integers(0, 2**32 - 1),
                local_pref=st.none() | st.integers(0, 2**32 - 1),
                stale=st.booleans(),
                used=st.booleans(),
            ),
            max_size=2,
        ).map(tuple),
        reason=texts,
    ),
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
        guarded=st.integers(0, 10**6),
        guarded_why=texts,
        guarded_since=st.none() | times,
        local_address=st.none() | addresses,
    ),
    Verified: st.builds(
        Verified,
        node=names,
        peer=names,
        router=addresses,
        controller=texts,
        since=times,
        accepted=st.integers(0, 10**6),
        missing=st.integers(0, 10**6),
        unexpected=st.integers(0, 10**6),
        differences=st.lists(
            st.builds(
                Difference, kind=st.sampled_from(DifferenceKind), prefix=networks, cause=texts, since=times
            ),
            max_size=2,
        ).map(tuple),
        unreadable=texts,
    ),
    Lost: st.builds(Lost, node=names, since=times),
    Cluster: st.builds(
        Cluster,
        id=clusters,
        nonce=hashes.map(lambda text: text[:16]),
        heard=st.lists(names, max_size=2).map(tuple),
    ),
    Holding: st.builds(
        Holding,
        node=names,
        waits_for=texts,
        believes=texts,
        boot_id=texts,
        endpoints=st.lists(
            st.builds(
                HeldEndpoint,
                endpoint=identifiers,
                uid=hashes.map(lambda text: text[:32]),
                tenant=st.none() | names,
                labels=labels,
                mac=macs,
                addresses=st.lists(addresses, **several).map(tuple),
                netns=texts,
                ifname=texts,
                mtu_bytes=mtus,
                qos=st.none() | qos,
            ),
            max_size=2,
        ).map(tuple),
    ),
    Restore: st.builds(
        Restore,
        cluster=clusters,
        at=times,
        heard=st.lists(names, max_size=2).map(tuple),
        unheard=st.lists(names, max_size=2).map(tuple),
        confirmed=st.integers(0, 10**6),
        adopted=st.lists(texts, max_size=2).map(tuple),
        ended=st.lists(texts, max_size=2).map(tuple),
        refused=st.lists(texts, max_size=2).map(tuple),
        idle=st.integers(0, 10**6),
    ),
    Alive: st.builds(
        Alive,
        node=names,
        program=st.sampled_from(Program),
        boot_id=texts,
        started=times,
        waits_for=texts,
        amiss=st.none()
        | st.lists(
            st.builds(
                Amiss,
                reason=st.sampled_from(["uplink-mtu", "x"]),
                uplink=st.sampled_from(["eth0", "up1"]),
                detail=texts,
            ),
            max_size=2,
        ).map(tuple),
    ),
}
