"""A workload with several interfaces: an endpoint for each, made in one request, all or none."""

from __future__ import annotations

import re

import click

from cli.rest import Json, place, present
from cli.session import Session

_SHAPE = re.compile(r"(?P<ifname>[A-Za-z0-9_][A-Za-z0-9_.-]{0,14})=(?P<pools>[^,=]+(,[^,=]+)?)")

Interfaces = dict[str, list[str]]
"""The pools of each interface, at most one of each family."""


class InterfaceType(click.ParamType[tuple[str, list[str]]]):
    """`eth1=POOL`, or `eth1=POOL,POOL` for an address of each family."""

    name = "interface"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, list[str]]:
        """Name and pools. Ends the command with a usage error when it is neither."""
        match = _SHAPE.fullmatch(value)
        if match is None:
            self.fail(
                f"{value!r} is not an interface and its pools; expected one such as eth1=storage", param, ctx
            )
        return match["ifname"], match["pools"].split(",")


def create(session: Session, common: Json, interfaces: Interfaces) -> Json:
    """Create an endpoint for each interface and return them as a list.

    The first has the id of the workload, each other one that and its interface's name: `web-1.eth1`.
    """
    given = present(common)
    name = given["id"]
    items = [
        {**given, "id": name if number == 0 else f"{name}.{ifname}", "pools": pools}
        for number, (ifname, pools) in enumerate(interfaces.items())
    ]
    body: Json = {"items": items, "atomic": True}
    answer = session.item("POST", f"{place('endpoints')}:batch", body, repeatable=True)
    return {"items": [each["endpoint"] for each in answer["items"]]}
