"""An endpoint's link and its gateway, looked at from both ends."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from agents.delta import Delta
from agents.kernel.interface import find_interface
from agents.kernel.links import IfnameTaken, Links, LinkSpec
from agents.kernel.message import messages
from agents.kernel.neighbours import NeighbourDriver
from agents.kernel.netlink import BUFFER_BYTES, KernelError, Netlink, open_socket
from agents.kernel.netns import Netns, NetnsGone, entered
from agents.kernel.routes import RouteDriver
from intent.names import BRIDGE, GATEWAY_MAC, GATEWAYS
from intent.neighbours import Neighbour
from intent.routes import Route
from store.model import host_prefix
from tests.contract.kernel.conftest import Place, WholeLinks, poll

pytestmark = pytest.mark.needs("root", "ip", "nsenter", "ping")

HOST_IFNAME = "pl0123456789ab"
MAC = "02:00:00:00:00:05"
V4, V6 = ip_address("10.64.0.5"), ip_address("fd64::5")


@pytest.fixture
def spec(endpoint: Place) -> LinkSpec:
    return LinkSpec(HOST_IFNAME, endpoint.path, "eth0", MAC, (V4, V6), GATEWAYS, 1450)


def quiet(*places: Place) -> None:
    """Wait for what the kernel does by itself after a link is up: its link-local address settles."""
    for place in places:
        poll(lambda at=place: "tentative" not in at.run("ip -6 addr"), "addresses settled")


@contextmanager
def silence(*places: Place) -> Iterator[None]:
    """Nothing at all is written meanwhile: no group of rtnetlink hears anything."""
    quiet(*places)
    sockets: list[tuple[Place, socket.socket]] = []
    for place in places:
        with Netns(place.path) as netns, entered(netns):
            sockets.append((place, open_socket(range(1, 32))))
    yield
    for place, opened in sockets:
        with opened:
            opened.setblocking(False)
            try:
                heard = [one.type for one in messages(opened.recv(BUFFER_BYTES))]
            except BlockingIOError:
                heard = []
        assert heard == [], f"{place.name} heard messages of these types"


def mac_of(ifname: str) -> str:
    with Netlink() as netlink:
        found = find_interface(netlink, ifname)
    assert found is not None
    return found.mac


def test_the_endpoint_reaches_the_host_and_is_reached(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec
) -> None:
    links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS)
    links.ensure_endpoint_link(spec)
    host.run(f"ip link set {HOST_IFNAME} master {BRIDGE}")
    poll(lambda: "state UP" in host.run(f"ip link show {BRIDGE}"), "the bridge has learnt of the carrier")
    routes = {route.key: route for route in (Route(host_prefix(one), oif=BRIDGE) for one in spec.addresses)}
    RouteDriver().apply(Delta(routes, {}))
    neighbours = {one.key: one for one in (Neighbour(BRIDGE, address, MAC) for address in spec.addresses)}
    NeighbourDriver().apply(Delta(neighbours, {}))
    for target in ("169.254.1.1", "fe80::1%eth0", "192.0.2.1", "2001:db8::1"):
        endpoint.run(f"ping -c 1 -W 3 {target}")
    for target in spec.addresses:
        host.run(f"ping -c 1 -W 3 {target}")


def test_both_ends_are_as_asked_for(host: Place, endpoint: Place, links: Links, spec: LinkSpec) -> None:
    links.ensure_endpoint_link(spec)
    assert links.owned_links() == {HOST_IFNAME: True}
    outside = host.run(f"ip addr show {HOST_IFNAME}")
    assert "mtu 1450" in outside
    assert "inet" not in outside
    inside = endpoint.run("ip addr show eth0")
    for word in ("mtu 1450", MAC, "inet 10.64.0.5/32", "inet6 fd64::5/128"):
        assert word in inside
    assert "LOOPBACK,UP" in endpoint.run("ip link show lo")
    assert endpoint.run("sysctl -n net.ipv6.conf.eth0.accept_ra").strip() == "0"
    assert "via 169.254.1.1 dev eth0" in endpoint.run("ip route get 192.0.2.1")
    assert "via fe80::1 dev eth0" in endpoint.run("ip -6 route get 2001:db8::1")


def test_once_more_writes_nothing(host: Place, endpoint: Place, links: Links, spec: LinkSpec) -> None:
    links.ensure_endpoint_link(spec)
    with silence(host, endpoint):
        links.ensure_endpoint_link(spec)
        WholeLinks().ensure_endpoint_link(spec)


@pytest.mark.parametrize(
    "damage",
    [
        "ip link set eth0 down",
        "ip link set lo down",
        "ip addr del 10.64.0.5/32 dev eth0",
        "ip addr del fd64::5/128 dev eth0",
        "ip route del default",
        "ip -6 route del default",
        "ip link set eth0 mtu 1300",
        "ip link set eth0 address 02:00:00:00:00:66",
        "sysctl -w net.ipv6.conf.eth0.accept_ra=1",
        "sysctl -w net.ipv6.conf.eth0.disable_ipv6=1",
    ],
)
def test_what_lacks_is_completed(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec, damage: str
) -> None:
    links.ensure_endpoint_link(spec)
    index = socket.if_nametoindex(HOST_IFNAME)
    endpoint.run(damage)
    links.ensure_endpoint_link(spec)
    test_both_ends_are_as_asked_for(host, endpoint, links, spec)
    assert socket.if_nametoindex(HOST_IFNAME) == index


def test_a_half_made_pair_is_completed(host: Place, endpoint: Place, links: Links, spec: LinkSpec) -> None:
    host.run(f"ip link add {HOST_IFNAME} type veth peer name eth0 netns {endpoint.name}")
    links.ensure_endpoint_link(spec)
    test_both_ends_are_as_asked_for(host, endpoint, links, spec)


def test_a_link_to_a_former_namespace_is_made_anew(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec, make_place: Callable[[], Place]
) -> None:
    links.ensure_endpoint_link(spec)
    other = make_place()
    links.ensure_endpoint_link(replace(spec, netns=other.path))
    assert "eth0" not in endpoint.run("ip link")
    test_both_ends_are_as_asked_for(host, other, links, replace(spec, netns=other.path))


def test_an_interface_like_the_former_one_is_not_taken_for_it(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec, make_place: Callable[[], Place]
) -> None:
    links.ensure_endpoint_link(spec)
    other = make_place()
    other.run("ip link add eth0 type bridge")
    assert other.run("cat /proc/net/dev").count("eth0") == 1
    with silence(other), pytest.raises(IfnameTaken):
        links.ensure_endpoint_link(replace(spec, netns=other.path))
    assert links.owned_links() == {}


def test_the_host_itself_answers_nothing_at_its_end(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec
) -> None:
    links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS)
    links.ensure_endpoint_link(spec)
    for command in ("ping -c 1 -W 0.1 169.254.1.1", "ping -c 1 -W 0.1 fe80::1%eth0"):
        with pytest.raises(AssertionError):
            endpoint.run(command)
    learned = endpoint.run("ip neigh show nud reachable nud stale nud delay nud probe")
    assert "lladdr" not in learned, "the host's end answered"
    endpoint.run(f"ip neigh replace 169.254.1.1 lladdr {mac_of(HOST_IFNAME)} nud permanent dev eth0")
    with pytest.raises(AssertionError):
        endpoint.run("ping -c 1 -W 0.1 192.0.2.2")
    assert "192.0.2.2" not in host.run("ip neigh"), "it was forwarded to the uplink"


def test_a_link_with_another_name_inside_is_made_anew(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec
) -> None:
    links.ensure_endpoint_link(replace(spec, ifname="net1"))
    links.ensure_endpoint_link(spec)
    assert "net1" not in endpoint.run("ip link")


def test_a_name_that_is_taken_inside(host: Place, endpoint: Place, links: Links, spec: LinkSpec) -> None:
    endpoint.run("ip link add eth0 type bridge")
    with silence(endpoint), pytest.raises(IfnameTaken, match="eth0 is taken in"):
        links.ensure_endpoint_link(spec)
    assert links.owned_links() == {}


def test_a_name_that_is_taken_on_the_host(host: Place, links: Links, spec: LinkSpec) -> None:
    host.run(f"ip link add {HOST_IFNAME} type bridge")
    with silence(host):
        for refused in (lambda: links.ensure_endpoint_link(spec), lambda: links.remove_link(HOST_IFNAME)):
            with pytest.raises(IfnameTaken, match="taken in the host"):
                refused()
    assert links.owned_links() == {}


def test_a_foreign_default_route_is_left_alone(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec
) -> None:
    for command in ("link add net1 type bridge", "link set net1 up", "route add default dev net1"):
        endpoint.run(f"ip {command}")
    links.ensure_endpoint_link(spec)
    assert "default dev net1" in endpoint.run("ip route")
    assert "dev net1" in endpoint.run("ip route get 192.0.2.1")
    assert "dev eth0" in endpoint.run(f"ip route get 192.0.2.1 from {V4}")


def test_each_of_several_interfaces_answers_by_itself(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec
) -> None:
    other4, other6, service = ip_address("10.65.0.5"), ip_address("fd65::5"), ip_address("10.64.255.1")
    second = replace(
        spec, host_ifname="pl0000000000bb", ifname="eth1", mac="02:00:00:00:00:06", addresses=(other4, other6)
    )

    def leaves_by(source: object, target: str) -> str:
        return endpoint.run(f"ip route get {target} from {source}").split(" dev ")[1].split()[0]

    links.ensure_endpoint_link(spec)
    links.ensure_endpoint_link(second)
    with silence(host, endpoint):
        links.ensure_endpoint_link(second)
        links.ensure_endpoint_link(spec)
    for target, sources in (("192.0.2.1", (V4, other4)), ("2001:db8::1", (V6, other6))):
        assert [leaves_by(source, target) for source in sources] == ["eth0", "eth1"]
        assert "dev eth0" in endpoint.run(f"ip route get {target}")
    with Netns(endpoint.path) as netns:
        inode = netns.inode
    links.hold_addresses(endpoint.path, inode, "eth1", [service], [])
    assert leaves_by(service, "192.0.2.1") == "eth1"
    links.hold_addresses(endpoint.path, inode, "eth1", [], [service])
    assert str(service) not in endpoint.run("ip rule")

    # The first goes, and what is left takes its place; a third sweeps what the kernel keeps of the second.
    links.remove_link(spec.host_ifname)
    poll(lambda: "dev eth1" in endpoint.run("ip route get 192.0.2.1"), "eth1 to take over")
    assert "dev eth1" in endpoint.run("ip -6 route get 2001:db8::1")
    links.ensure_endpoint_link(spec)
    links.remove_link(second.host_ifname)
    poll(lambda: "eth1" not in endpoint.run("ip link"), "eth1 to be gone")
    assert str(other4) in endpoint.run("ip rule")
    third = replace(second, ifname="eth2", addresses=(ip_address("10.66.0.5"), ip_address("fd66::5")))
    links.ensure_endpoint_link(third)
    assert str(other4) not in endpoint.run("ip rule")
    assert leaves_by("10.66.0.5", "192.0.2.1") == "eth2"


def test_only_one_family(host: Place, endpoint: Place, links: Links, spec: LinkSpec) -> None:
    links.ensure_endpoint_link(replace(spec, addresses=(V6,), gateways=GATEWAYS[1:]))
    assert endpoint.run("ip -4 addr show eth0") == ""
    assert "via fe80::1" in endpoint.run("ip -6 route get 2001:db8::1")


def test_a_vanished_namespace_takes_the_link_along(
    host: Place, endpoint: Place, links: Links, spec: LinkSpec
) -> None:
    links.ensure_endpoint_link(spec)
    host.run(f"ip netns del {endpoint.name}")
    poll(lambda: not links.owned_links(), "the host's end is gone")
    links.remove_link(HOST_IFNAME)
    with pytest.raises(NetnsGone, match=endpoint.name):
        links.ensure_endpoint_link(spec)
    assert links.owned_links() == {}


@pytest.mark.usefixtures("host")
def test_a_namespace_that_is_gone_holds_no_interface() -> None:
    with Netlink() as netlink:
        assert find_interface(netlink, 1, nsid=4711) is None


def test_what_is_no_endpoints_namespace(host: Place, links: Links, spec: LinkSpec, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (str(file), "/proc/self/ns/uts", host.path):
        with pytest.raises(NetnsGone):
            links.ensure_endpoint_link(replace(spec, netns=path))
    assert links.owned_links() == {}


def test_remove_is_idempotent(host: Place, endpoint: Place, links: Links, spec: LinkSpec) -> None:
    links.remove_link(HOST_IFNAME)
    links.ensure_endpoint_link(spec)
    links.remove_link(HOST_IFNAME)
    links.remove_link(HOST_IFNAME)
    assert links.owned_links() == {}
    assert "eth0" not in endpoint.run("ip link")


def test_the_gateway_is_set_up_once(host: Place, links: Links) -> None:
    assert links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS)
    shown = host.run(f"ip addr show {BRIDGE}")
    for word in (GATEWAY_MAC, "inet 169.254.1.1/32 scope link", "inet6 fe80::1/64"):
        assert word in shown
    assert host.run("sysctl -n net.ipv4.ip_forward net.ipv6.conf.all.forwarding").split() == ["1", "1"]
    poll(lambda: "tentative" not in host.run("ip -6 addr"), "addresses settled")
    with silence(host):
        assert links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS) == ()


@pytest.mark.parametrize(
    ("damage", "repair"),
    [
        ("sysctl -w net.ipv4.ip_forward=0", "net/ipv4/ip_forward"),
        (f"sysctl -w net.ipv4.conf.{BRIDGE}.rp_filter=1", f"net/ipv4/conf/{BRIDGE}/rp_filter"),
        (f"ip addr del 169.254.1.1/32 dev {BRIDGE}", f"addresses of {BRIDGE}"),
        (f"ip addr del fe80::1/64 dev {BRIDGE}", f"addresses of {BRIDGE}"),
        (f"ip link set {BRIDGE} address 02:00:00:00:00:66", f"{BRIDGE} up with MAC {GATEWAY_MAC}"),
    ],
)
def test_the_gateway_is_repaired(host: Place, links: Links, damage: str, repair: str) -> None:
    links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS)
    host.run(damage)
    assert links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS) == (repair,)
    assert links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS) == ()


def test_a_gateway_without_its_bridge(host: Place, links: Links) -> None:
    host.run(f"ip link del {BRIDGE}")
    with pytest.raises(KernelError, match=BRIDGE) as caught:
        links.setup_gateway(BRIDGE, GATEWAY_MAC, GATEWAYS)
    assert caught.value.errno == errno.ENODEV


def test_the_uplinks_and_their_mtu(host: Place, links: Links) -> None:
    assert links.uplinks() == {}
    host.run("ip link set up0 mtu 1400")
    host.run(f"ip route add default nexthop dev {BRIDGE} nexthop via 192.0.2.2")
    assert links.uplinks() == {BRIDGE: 1500, "up0": 1400}
    assert ip_network("0.0.0.0/0") not in {key.destination for key in RouteDriver().read()}


def test_an_endpoint_holds_the_addresses_of_services_on_its_loopback(
    endpoint: Place, links: Links, spec: LinkSpec
) -> None:
    links.ensure_endpoint_link(spec)
    with Netns(spec.netns) as netns:
        number = netns.inode
    own = endpoint.run("ip -o addr show dev lo")
    wanted = [ip_address("10.64.255.1"), ip_address("fd64::ffff")]
    links.hold_addresses(spec.netns, number, "eth0", wanted, [])
    for address, length in zip(wanted, (32, 128), strict=True):
        assert f"{address}/{length}" in endpoint.run("ip -o addr show dev lo")
    with silence(endpoint):
        links.hold_addresses(spec.netns, number, "eth0", wanted, [ip_address("10.64.255.9")])
    assert "src 10.64.0.5" in endpoint.run("ip -4 route get 192.0.2.9"), "it is no source by itself"
    assert "src fd64::5" in endpoint.run("ip -6 route get 2001:db8::9")
    links.hold_addresses(spec.netns, number, "eth0", [], wanted)
    assert endpoint.run("ip -o addr show dev lo") == own


def test_another_namespace_at_the_path_is_left_alone(endpoint: Place, links: Links, spec: LinkSpec) -> None:
    with pytest.raises(NetnsGone, match="another one"):
        links.hold_addresses(spec.netns, "7", "eth0", [ip_address("10.64.255.1")], [])
    assert "10.64.255.1" not in endpoint.run("ip addr")
