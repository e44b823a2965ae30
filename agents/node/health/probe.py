"""One check of one endpoint: a connection, or an HTTP answer (RFC 9110, RFC 9112)."""

from __future__ import annotations

import asyncio
import os
import re
from asyncio import StreamReader, StreamWriter

from store.model import Check, CheckKind, IPAddress

LINE_LIMIT = 4096
"""Bytes of a status line."""

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)[ \r\n]")


async def probe(check: Check, address: IPAddress, source: str | None = None) -> str:
    """Check an endpoint at its own address: why it failed, nothing when it passed.

    Args:
        check: how.
        address: the endpoint's.
        source: the node's address that asks, with its zone where it has one; None leaves it to the kernel.
    """
    what = f"{check.kind.value} {check.port}"
    try:
        async with asyncio.timeout(check.timeout_s):
            fault = await _ask(check, address, source)
    except TimeoutError:
        fault = f"no answer in {check.timeout_s} s"
    except OSError as error:
        fault = os.strerror(error.errno).lower() if error.errno else str(error)
    return f"{what}: {fault}" if fault else ""


async def _ask(check: Check, address: IPAddress, source: str | None) -> str:
    local = (source, 0) if source else None
    reader, writer = await asyncio.open_connection(
        str(address), check.port, limit=LINE_LIMIT, local_addr=local
    )
    try:
        return "" if check.kind is CheckKind.TCP else await _get(check, address, reader, writer)
    finally:
        writer.transport.abort()


async def _get(check: Check, address: IPAddress, reader: StreamReader, writer: StreamWriter) -> str:
    host = f"[{address}]" if address.version == 6 else str(address)
    head = (
        f"GET {check.path or '/'} HTTP/1.1",
        f"Host: {host}:{check.port}",
        "User-Agent: polder",
        "Accept: */*",
        "Connection: close",
    )
    writer.write("\r\n".join([*head, "", ""]).encode("ascii"))
    await writer.drain()
    try:
        line = await reader.readline()
    except ValueError:  # longer than the limit
        line = b""
    status = _STATUS.match(line)
    if status is None:
        return "the answer is not HTTP"
    return "" if status[1] < b"400" and status[1] >= b"200" else f"status {status[1].decode()}"
