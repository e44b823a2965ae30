"""`polder address` and `polder block`: who has which part of a pool. Read only."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.noun import Noun, add_get, add_list
from cli.output import Column, Form, field
from cli.selection import OF_NODE, OF_POOL
from cli.times import lasted

ADDRESS = Noun(
    "address",
    "addresses",
    "address",
    (
        field("address"),
        Column(
            "STATE",
            lambda item: item.get("state"),
            lambda text: {"assigned": "green", "cooldown": "yellow"}.get(text, ""),
        ),
        field("pool"),
        field("endpoint"),
        field("node"),
        field("tenant"),
        Column("FOR", lambda item: lasted(item.get("since"), datetime.now(UTC))),
        field("by", wide=True),
        field("request", wide=True),
    ),
    example="10.64.0.1",
)

BLOCK = Form("block", "blocks", "cidr", (field("cidr"), field("pool"), field("node")))


@click.group()
def command() -> None:
    """Addresses of pools, and who has them."""


add_get(command, ADDRESS)


@click.group()
def block() -> None:
    """Parts of pools that nodes have claimed."""


add_list(block, BLOCK, OF_POOL, OF_NODE)
