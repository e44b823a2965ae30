"""Addresses to listen on: parsed, found free before anything is started, and as a URL to reach them by."""

from __future__ import annotations

import errno
import socket
import time
from dataclasses import dataclass
from ipaddress import ip_address

from cli.failure import Exit, Failure
from cli.server import Server

EXAMPLE = "give an address and a port, such as 127.0.0.1:8080 or [::1]:8080"
LINGER_S = 1.0
"""How long the program of an earlier run that was killed may take to let go of its port."""


@dataclass(frozen=True, slots=True)
class Listen:
    """An address and a port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def server(self) -> Server:
        """How a program on this host reaches it."""
        return Server("http", self.host, self.port)


def parse_listen(text: str) -> Listen:
    """Parse `ADDRESS:PORT` of the loopback interface; port 0 means a free one.

    Raises:
        Failure: usage; also for an address that other hosts can reach, where TLS and tokens are needed.
    """
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    try:
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError(text)
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise Failure(f"--listen {text} is not ADDRESS:PORT", code=Exit.USAGE, advice=EXAMPLE) from None
    if not address.is_loopback:
        raise Failure(
            f"--listen {text} can be reached from other hosts, and `polder up` has no TLS and no tokens",
            code=Exit.USAGE,
            advice="listen on 127.0.0.1, or run `polder controller` with --tls-cert, --tls-key, --token-file",
        )
    return Listen(str(address), int(port))


def found_free(wanted: Listen, option: str) -> Listen:
    """The same, with a free port in place of 0. Blocking: up to `LINGER_S`.

    Raises:
        Failure: it cannot be had; another is chosen with `option`.
    """
    deadline = time.monotonic() + LINGER_S
    while True:
        try:
            return _bound(wanted)
        except OSError as fault:
            if fault.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise _refused(wanted, option, fault) from None
        time.sleep(0.05)


def _bound(wanted: Listen) -> Listen:
    family = socket.AF_INET6 if ":" in wanted.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((wanted.host, wanted.port))
        return Listen(wanted.host, int(probe.getsockname()[1]))


def _refused(wanted: Listen, option: str, fault: OSError) -> Failure:
    why = {
        errno.EADDRINUSE: "is in use by another program",
        errno.EACCES: "needs more rights than this user has",
        errno.EADDRNOTAVAIL: "is on no interface of this host",
    }.get(fault.errno or 0, f"cannot be listened on: {fault.strerror}")
    return Failure(f"{wanted} {why}", advice=f"choose another with {option}")
