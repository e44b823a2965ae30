"""`polder event`: what happened in the last hours: nodes were lost, pools full, addresses reclaimed."""

from __future__ import annotations

import click

from cli.group import Group
from cli.noun import add_list
from cli.output import Column, Form, age, field
from cli.selection import OF_NODE, OF_TENANT, Filter

SEVERITIES = ("info", "warning", "alarm")

EVENT = Form(
    "event",
    "events",
    "id",
    (
        age("AGO", "at"),
        Column(
            "SEVERITY",
            lambda item: item.get("severity"),
            lambda text: {"warning": "yellow", "alarm": "red"}.get(text, ""),
        ),
        field("reason"),
        Column("ABOUT", lambda item: f"{item.get('noun')}/{item.get('name')}"),
        field("detail"),
        field("node", wide=True),
        field("tenant", wide=True),
        field("at", wide=True),
        field("id", "ID", wide=True),
    ),
)


@click.group(cls=Group)
def command() -> None:
    """What happened in the last hours."""


add_list(
    command,
    EVENT,
    OF_NODE,
    OF_TENANT,
    Filter("severity", "Only those that matter so much.", "alarm", choices=SEVERITIES),
    Filter(
        "noun", "Only those about such things: pool, node, uplink, peer, endpoint, address, session.", "pool"
    ),
    Filter("name", "Only those about the thing of this name.", "default"),
    Filter("reason", "Only those of this kind.", "node-lost"),
    Filter("max_age_s", "Only those of the last so many seconds; not with --watch.", "3600"),
    text="Show what happened, oldest first.",
)
