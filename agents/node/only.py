"""One agent for one network namespace: there is one bridge, one routing table, and one owner of them.

A second one, with a run directory and a port of its own, would remove what the first has made. The claim
is an abstract unix socket: such names belong to the network namespace, and end with their process.
"""

from __future__ import annotations

import errno
import socket

from agents.command import Refusal

NAME = "\0polder-agent"


class AlreadyRunning(Refusal):
    """Another agent has the network namespace."""


def claim() -> socket.socket:
    """Claim the calling thread's network namespace until the socket is closed. Raises `AlreadyRunning`."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        held.bind(NAME)
    except OSError as fault:
        held.close()
        if fault.errno != errno.EADDRINUSE:
            raise
        raise AlreadyRunning("another agent runs in this network namespace: stop it first") from fault
    return held
