"""Addresses to listen on, as options give them."""

from __future__ import annotations

from ipaddress import ip_address

from store.options import OptionError


def where(listen_on: str, option: str = "--listen") -> tuple[str, int]:
    """Host and port of an option. Raises `OptionError`."""
    host, colon, port = listen_on.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise OptionError(f"{option}: expected HOST:PORT such as 127.0.0.1:8080, not {listen_on!r}")
    return host.strip("[]") or "0.0.0.0", int(port)


def is_loopback(host: str) -> bool:
    """Whether only this host can reach what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
