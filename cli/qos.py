"""Quality of service of an endpoint as options: `--egress-rate 100M`, `--dscp 46`."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from cli.setting import INSIDE, Option, OrEmpty

_KILO = {"k": 1, "m": 1000, "g": 1000_000}
_RATE = re.compile(r"(\d{1,9})([kmg])(bit)?", re.IGNORECASE)


class Kilobits(click.ParamType[int]):
    """Bits with their unit, 1000 to the step: `512k`, `100M`, `10G`."""

    name = "bits"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """How many kilobits it is. Ends the command with a usage error."""
        if isinstance(value, int):
            return value
        match = _RATE.fullmatch(str(value))
        if match is None:
            self.fail(f"{value!r} is no number of bits; give it with its unit: 512k, 100M, 10G", param, ctx)
        return int(match[1]) * _KILO[match[2].lower()]


@dataclass(frozen=True, slots=True)
class Limit:
    """One field of `qos` as an option of `create` and of `set`."""

    name: str
    inner: str
    metavar: str
    text: str
    kind: click.ParamType[Any] = click.INT

    @property
    def field(self) -> str:
        """The field, and the one that it is inside of."""
        return f"qos{INSIDE}{self.inner}"

    def to_create(self) -> Option:
        """The option of `create`."""
        return self._option(self.kind)

    def to_set(self) -> Option:
        """The option of `set`; an empty value takes it out."""
        return self._option(OrEmpty(self.kind))

    def _option(self, kind: click.ParamType[Any]) -> Option:
        return click.option(f"--{self.name}", self.field, metavar=self.metavar, type=kind, help=self.text)


BITS = Kilobits()
LIMITS = (
    Limit("egress-rate", "egress_rate_kbps", "RATE", "What it may send in a second: 512k, 100M, 10G.", BITS),
    Limit("egress-burst", "egress_burst_kbit", "BITS", "What of that may come at once.", BITS),
    Limit("ingress-rate", "ingress_rate_kbps", "RATE", "What it may get in a second.", BITS),
    Limit("ingress-burst", "ingress_burst_kbit", "BITS", "What of that may come at once.", BITS),
    Limit("egress-packets", "egress_packets_per_s", "N", "How many packets it may send in a second."),
    Limit("ingress-packets", "ingress_packets_per_s", "N", "How many it may get in a second."),
    Limit(
        "egress-connections", "egress_connections_per_s", "N", "How many connections it may open in a second."
    ),
    Limit(
        "ingress-connections", "ingress_connections_per_s", "N", "How many may be opened to it in a second."
    ),
    Limit(
        "guaranteed", "guaranteed_kbps", "RATE", "What it gets of each uplink, however busy that is.", BITS
    ),
    Limit("priority", "priority", "0..7", "Who gets the rest of an uplink first; 7 before all others."),
    Limit("dscp", "dscp", "0..63", "The DSCP of every packet that it sends; kept as it is when not given."),
)


def limited(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options of `create`."""
    for limit in reversed(LIMITS):
        function = limit.to_create()(function)
    return function


def parse_uplink(given: str) -> dict[str, Any]:
    """`eth0=10G` as the API takes it. Ends the command with a usage error."""
    ifname, equals, rate = given.partition("=")
    if not equals or not ifname:
        raise click.BadParameter(f"{given!r} is not IFNAME=RATE, such as eth0=10G")
    mbps, rest = divmod(BITS.convert(rate, None, None), 1000)
    if rest:
        raise click.BadParameter(f"{rate!r} is not a whole number of megabits")
    return {"ifname": ifname, "rate_mbps": mbps}
