"""The first thing that an endpoint sends once its link is up arrives, however much the kernel has to do."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from agents.kernel.links import Links, LinkSpec
from agents.kernel.netns import Netns, entered
from intent.names import GATEWAYS
from store.model import IPAddress
from tests.contract.kernel.conftest import DEADLINE_S, Place

pytestmark = pytest.mark.needs("root", "ip", "nsenter")

HOST_IFNAME = "pl0123456789ab"
MAC = "02:00:00:00:00:05"
ETHERTYPE = 0x88B5
"""For experiments (IEEE 802)."""
FRAME = b"\xff" * 6 + bytes.fromhex(MAC.replace(":", "")) + ETHERTYPE.to_bytes(2, "big") + bytes(46)

ROUNDS = 60
"""While others changed links, 14 of 100 first packets were lost before `raise_link` waited."""
OTHERS = 3
MAKE = "ip link add a type veth peer name b && ip link set a up && ip link set b up"
CHANGING = f"while {MAKE}; do ip link del a; done"


@pytest.fixture
def busy(make_place: Callable[[], Place]) -> Iterator[None]:
    """Others that change links of their own namespaces all the time: they hold the lock of rtnetlink."""
    places = [make_place() for _ in range(OTHERS)]
    running = [
        subprocess.Popen(["nsenter", f"--net={place.path}", "sh", "-c", CHANGING], stderr=subprocess.DEVNULL)
        for place in places
    ]
    yield
    for one in running:
        one.kill()
        one.wait()


def opened(ifname: str, ethertype: int) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((ifname, ethertype))
    made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # that the link is down is known
    made.settimeout(DEADLINE_S)
    return made


@pytest.mark.usefixtures("host", "busy")
def test_the_first_packet_arrives(endpoint: Place) -> None:
    addresses: tuple[IPAddress, ...] = ()
    spec = LinkSpec(HOST_IFNAME, endpoint.path, "eth0", MAC, addresses, GATEWAYS, 1500)
    links = Links()
    for _ in range(ROUNDS):
        links.ensure_endpoint_link(spec)
        with Netns(endpoint.path) as netns, entered(netns):
            sender = opened("eth0", 0)
        with sender, opened(HOST_IFNAME, ETHERTYPE) as receiver:
            links.raise_link(HOST_IFNAME)
            sender.send(FRAME)
            assert receiver.recv(len(FRAME)) == FRAME
        links.remove_link(HOST_IFNAME)
    links.close()
