"""A name as an argument: as it is, or with what it is of in front, as `-o name` prints it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import click


class Named(click.ParamType[str]):
    """The name of one `singular`: `default`, or `pool/default`. It is not empty and has no other slash."""

    name = "name"

    def __init__(self, singular: str) -> None:
        self.singular = singular

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name alone. Ends the command with a usage error when it is none."""
        name = str(value).removeprefix(f"{self.singular}/")
        if not name:
            self.fail("is empty", param, ctx)
        if "/" in name:
            self.fail(f"{name!r} is no name: expected NAME or {self.singular}/NAME", param, ctx)
        try:
            name.encode()
        except UnicodeEncodeError:
            self.fail(f"{name!r} is not UTF-8", param, ctx)
        return name


class AddressName(Named):
    """An address, likewise."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The address as it is written. Ends the command with a usage error when it is none."""
        address = str(value).removeprefix(f"{self.singular}/")
        if not _is_address(address):
            self.fail(f"{address!r} is no address; expected one such as 10.64.0.1", param, ctx)
        return address


def _is_address(text: str) -> bool:
    """Whether it is an address without a zone (RFC 4007), which would be a node's own."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text
