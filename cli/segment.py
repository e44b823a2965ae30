"""A segment as one word: `120@eth1`, the VLAN and the uplink that carries it."""

from __future__ import annotations

import click

from cli.rest import Json


class SegmentType(click.ParamType[Json]):
    """`VLAN@UPLINK`."""

    name = "segment"

    def convert(self, value: str | Json, param: click.Parameter | None, ctx: click.Context | None) -> Json:
        """The segment as the API takes it. Ends the command with a usage error when it is none."""
        if isinstance(value, dict):
            return value
        vlan, at, uplink = value.partition("@")
        if not (vlan.isascii() and vlan.isdigit() and at and uplink):
            self.fail(f"{value!r} is not a VLAN and its uplink; expected such as 120@eth1", param, ctx)
        return {"vlan": int(vlan), "uplink": uplink}
