"""`python -m bench.load`: HTTP clients that cost little, so that they measure the server and not themselves.

One thread and one `epoll` serve all connections; a request is ready-made bytes, and of an answer only the
status and the length are looked at. Reads one JSON object from standard input and writes one to standard
output; see `run`.
"""

from __future__ import annotations

import json
import math
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any

HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Job:
    """What to send: each client takes the next request in turn, over a connection that it keeps.

    Args:
        port: on loopback.
        requests: method, path and JSON body of each.
        clients: how many there are.
        seconds: for so long, the requests again and again; None sends each once.
        expect: the status that every answer must have.
    """

    port: int
    requests: tuple[tuple[str, str, str], ...]
    clients: int
    seconds: float | None = None
    expect: int = 201


@dataclass(frozen=True, slots=True)
class Outcome:
    """How long each request took, in the order in which they ended; and how long all of them together."""

    milliseconds: tuple[float, ...]
    seconds: float

    @property
    def rate(self) -> float:
        """Requests per second."""
        return len(self.milliseconds) / self.seconds


class _Client:
    """One connection, and the request in flight on it."""

    def __init__(self, port: int, expect: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._status = f"HTTP/1.1 {expect} ".encode()
        self._began = 0.0
        self._got = b""

    def send(self, request: bytes) -> None:
        self._got = b""
        self._began = time.perf_counter()
        self.socket.sendall(request)

    def receive(self) -> float | None:
        """The milliseconds that the request took, once the answer is whole."""
        self._got += self.socket.recv(1 << 20)
        head, end, body = self._got.partition(HEAD_END)
        if not end or len(body) < _length(head):
            return None
        if not head.startswith(self._status):
            raise SystemExit(f"bench.load: {self._got[:600].decode(errors='replace')}")
        return (time.perf_counter() - self._began) * 1000


def _length(head: bytes) -> int:
    lower = head.lower()
    if b"content-length:" not in lower:  # 204 has none
        return 0
    begin = lower.index(b"content-length:") + len(b"content-length:")
    return int(lower[begin:].split(b"\r\n", 1)[0])


def load(job: Job) -> Outcome:
    """Do a job in a process of its own. Blocking."""
    argv = [sys.executable, "-m", "bench.load"]
    done = subprocess.run(argv, input=json.dumps(asdict(job)), stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return Outcome(tuple(told["milliseconds"]), told["seconds"])


def run(job: Job) -> Outcome:
    """Send for so many seconds, then wait for what is in flight."""
    following = _requests(job)
    clients = [_Client(job.port, job.expect) for _ in range(job.clients)]
    samples: list[float] = []
    began = time.perf_counter()
    until = began + job.seconds if job.seconds else math.inf
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.send(next(following))
        while selector.get_map():
            for key, _ in selector.select():
                took = key.data.receive()
                if took is None:
                    continue
                samples.append(took)
                if time.perf_counter() < until and (request := next(following, None)):
                    key.data.send(request)
                else:
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
    return Outcome(tuple(samples), time.perf_counter() - began)


def threads_rate(call: Callable[[int, int], object], threads: int, seconds: float) -> float:
    """Calls per second by threads of this process; each is told its thread and how many that has made."""
    counts = [0] * threads
    until = time.perf_counter() + seconds

    def run(thread: int) -> None:
        while time.perf_counter() < until:
            call(thread, counts[thread])
            counts[thread] += 1

    began = time.perf_counter()
    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - began)


def _requests(job: Job) -> Iterator[bytes]:
    made = [
        f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
        for method, path, body in job.requests
    ]
    return cycle(made) if job.seconds else iter(made)


if __name__ == "__main__":
    print(json.dumps(asdict(run(Job(**json.load(sys.stdin))))))
