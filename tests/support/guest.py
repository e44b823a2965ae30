"""A virtual machine, as far as its node can see: a tap of the node, and a kernel behind it.

The kernel is that of a namespace, with a tap of its own; a process, the hypervisor, carries frames between
the two. When it ends, the node's tap goes with it, as QEMU's does.
"""

from __future__ import annotations

import sys
from types import TracebackType

from lab.host import Host
from lab.recording import Recording
from lab.wait import wait_until

IFNAME = "ens3"

HYPERVISOR = """
import ctypes, fcntl, os, selectors, struct, sys

def tap(netns, name):
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{netns}") as namespace:
        if libc.setns(namespace.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), "setns")
    made = os.open("/dev/net/tun", os.O_RDWR)
    # TUNSETIFF, IFF_TAP and IFF_NO_PI
    fcntl.ioctl(made, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x1002))
    return made

node, name, guest, ifname = sys.argv[1:]
outside, inside = tap(node, name), tap(guest, ifname)
print("running", flush=True)
with selectors.DefaultSelector() as selector:
    for source, sink in ((outside, inside), (inside, outside)):
        selector.register(source, selectors.EVENT_READ, sink)
    while True:
        for key, _ in selector.select():
            frame = os.read(key.fd, 65536)
            try:
                os.write(key.data, frame)
            except OSError:
                pass  # the other side is down
"""


class Guest:
    """A machine that has a tap on `node`. `kernel` is its inside."""

    def __init__(self, node: Host, kernel: Host, tap: str) -> None:
        self.node = node
        self.kernel = kernel
        self.tap = tap
        self._hypervisor: Recording | None = None

    def start(self) -> None:
        """Boot: both taps are there."""
        self._hypervisor = self.node.record(
            sys.executable, "-c", HYPERVISOR, self.node.netns, self.tap, self.kernel.netns, IFNAME
        )
        wait_until(lambda: self.tap in self.node.links(), 10.0, f"tap {self.tap}")
        wait_until(lambda: IFNAME in self.kernel.links(), 10.0, f"{IFNAME} of the guest")

    def stop(self) -> None:
        """Power off: both taps are gone. Idempotent."""
        hypervisor, self._hypervisor = self._hypervisor, None
        if hypervisor is not None:
            hypervisor.stop()
            wait_until(lambda: self.tap not in self.node.links(), 10.0, f"tap {self.tap} to be gone")

    def configure(self, mac: str, addresses: list[str], mtu_bytes: int) -> None:
        """What the person who installs it does, as docs/attach.md says."""
        configure(self.kernel, IFNAME, mac, addresses, mtu_bytes)

    def __enter__(self) -> Guest:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def configure(host: Host, ifname: str, mac: str | None, addresses: list[str], mtu_bytes: int) -> None:
    """A machine that configures itself: static addresses, and the gateway on-link."""
    lines = [f"link set {ifname} address {mac}"] if mac else []
    lines.append(f"link set {ifname} mtu {mtu_bytes} up")
    for address in addresses:
        six = ":" in address
        gateway = "fe80::1" if six else "169.254.1.1"
        family = "-6" if six else "-4"
        lines.append(f"address add {address} dev {ifname}" + (" nodad" if six else ""))
        lines.append(f"{family} route replace default via {gateway} dev {ifname} onlink")
    for line in lines:
        host.run("ip", *line.split())
