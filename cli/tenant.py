"""`polder tenant`: whose endpoints are counted and kept apart, and how many addresses each may hold."""

from __future__ import annotations

import click

from cli.change import add_create, add_set
from cli.group import Group
from cli.noun import Noun, add_delete, add_get, add_list
from cli.output import field
from cli.segment import SegmentType
from cli.setting import Labelling, Setting

SETTINGS = (
    Setting("max_ipv4", "NUMBER", "How many IPv4 addresses it may hold.", click.INT, default="no limit"),
    Setting("max_ipv6", "NUMBER", "How many IPv6 addresses it may hold.", click.INT, default="no limit"),
    Setting(
        "default",
        "",
        "What becomes of connections that no rule of a policy is for.",
        click.Choice(["allow", "deny"]),
        default="allow",
    ),
    Setting(
        "segment",
        "VLAN@UPLINK",
        "The VLAN of the nodes' uplink that its endpoints are on by layer 2, such as 120@eth1.",
        SegmentType(),
    ),
    Labelling(),
)

TENANT = Noun(
    "tenant",
    "tenants",
    "name",
    (
        field("name"),
        field("used_ipv4", "USED IPV4"),
        field("max_ipv4", "MAX IPV4"),
        field("used_ipv6", "USED IPV6"),
        field("max_ipv6", "MAX IPV6"),
        field("default"),
        field("segment", wide=True),
        field("labels"),
    ),
    document=("name", *(each.field for each in SETTINGS)),
    labelled=True,
    used_by="polder endpoint list --tenant NAME; polder pool list --tenant NAME; "
    "polder policy list --tenant NAME; polder token list",
    example="shop",
    foreseen=True,
    bounded=False,
)


@click.group(cls=Group)
def command() -> None:
    """Whose endpoints are counted, with quotas."""


add_create(
    command,
    TENANT,
    SETTINGS,
    "Create a tenant.",
    "polder tenant create lab",
    "polder tenant create bank --max-ipv4 1000 --max-ipv6 1000 --label team=payments",
    "polder tenant create disks --segment 120@eth1",
)
add_set(
    command,
    TENANT,
    SETTINGS,
    """Change a tenant's quotas, default, segment or labels.

    What is not given stays; an empty value ("") takes a quota or the segment out. A quota is never less than
    what the tenant holds. Pools and endpoints that are there stay on the segment that they were made on.""",
    "polder tenant set shop --max-ipv4 2000",
    'polder tenant set shop --max-ipv4 ""',
    "polder tenant set shop --default deny --dry-run",
)
add_get(command, TENANT)
add_list(command, TENANT)
add_delete(command, TENANT)
