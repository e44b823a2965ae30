"""Commands of ovs-vswitchd by its control socket: what `ovs-appctl` does, without a program or a shell.

JSON-RPC 1.0 on a unix socket (ovs-appctl(8), RFC 7047 §4): a request, then a result or an error.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from openflow.errors import Disconnected, SwitchError

TIMEOUT_S = 3.0
MOST_BYTES = 1 << 20


def command(run_dir: Path, method: str, *parameters: str) -> str:
    """What ovs-vswitchd answers to a command. Blocking, some seconds at most.

    Args:
        run_dir: the run directory of Open vSwitch.
        method: the command's name, such as `ofproto/trace`.
        parameters: its arguments, each one word.

    Raises:
        Disconnected: it does not run, or does not answer.
        SwitchError: it refuses; the message is its own.
    """
    request = json.dumps({"id": 0, "method": method, "params": list(parameters)}).encode()
    answer = _asked(run_dir, request)
    if answer.get("error") is not None:
        raise SwitchError(str(answer["error"]).strip())
    return str(answer.get("result", ""))


def _asked(run_dir: Path, request: bytes) -> dict[str, Any]:
    why = "there is no control socket"
    for path in _sockets(run_dir):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                stream.settimeout(TIMEOUT_S)
                stream.connect(str(path))
                stream.sendall(request)
                return _answer(stream)
        except ConnectionRefusedError as fault:
            why = str(fault)  # what a daemon left that was killed
        except OSError as fault:
            raise Disconnected(f"ovs-vswitchd does not answer at {path}: {fault}") from fault
    raise Disconnected(f"ovs-vswitchd cannot be asked in {run_dir}: {why}")


def _sockets(run_dir: Path) -> list[Path]:
    """The control sockets, the newest first: each start of the daemon has a name of its own."""
    return sorted(run_dir.glob("*vswitchd*.ctl"), key=lambda path: path.lstat().st_mtime, reverse=True)


def _answer(stream: socket.socket) -> dict[str, Any]:
    data = bytearray()
    while piece := stream.recv(1 << 16):
        data += piece
        if len(data) > MOST_BYTES:
            raise SwitchError(f"the answer has more than {MOST_BYTES} bytes")
        try:
            found = json.loads(data)
        except ValueError:
            continue  # not all of it yet
        if not isinstance(found, dict):
            raise SwitchError("the answer is not an object")
        return found
    raise Disconnected("ovs-vswitchd ended the connection")
