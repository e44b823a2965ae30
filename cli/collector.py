"""`--export ipfix,192.0.2.9,4739,1000`: a collector of sampled packets, as the API takes it."""

from __future__ import annotations

from typing import Any

import click

SHAPE = (
    "ipfix or sflow, an address, then perhaps a port and one packet in how many: ipfix,192.0.2.9,4739,1000"
)


class Collector(click.ParamType[dict[str, Any]]):
    """Reads it; the server checks the values."""

    name = "collector"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        """The fields. Fails when it has another shape."""
        if isinstance(value, dict):
            return value
        protocol, *rest = str(value).split(",")
        if protocol not in {"ipfix", "sflow"} or not 1 <= len(rest) <= 3 or not all(rest):
            self.fail(f"{value!r} is not {SHAPE}", param, ctx)
        collector, *numbers = rest
        if not all(each.isascii() and each.isdecimal() for each in numbers):
            self.fail(f"{value!r} is not {SHAPE}", param, ctx)
        names = ("port", "sampling")
        return {
            "protocol": protocol,
            "collector": collector,
            **{name: int(number) for name, number in zip(names, numbers, strict=False)},
        }
