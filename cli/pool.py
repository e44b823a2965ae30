"""`polder pool`: ranges that addresses are assigned from."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from cli.change import add_create, add_set
from cli.example import examples
from cli.group import Group
from cli.noun import Noun, add_delete, add_get, add_list, name_argument
from cli.output import field
from cli.segment import SegmentType
from cli.selection import OF_TENANT
from cli.session import Session, takes_session
from cli.setting import Labelling, Setting, Several, Switch
from cli.text import printable

SETTINGS = (
    Setting("cidr", "CIDR", "The range, such as 10.64.0.0/16. It can only grow.", required=True),
    Setting(
        "block_prefixlen",
        "LENGTH",
        "The size of the blocks that nodes claim.",
        click.INT,
        default="26, for IPv6 122",
        fixed=True,
    ),
    Setting(
        "advertise",
        "",
        "What is announced: one prefix per block, each address, one for the pool, or nothing.",
        click.Choice(["block", "host", "summary", "none"]),
        default="block",
    ),
    Setting(
        "cooldown_s",
        "SECONDS",
        "How long an address that is released from now on is not assigned again.",
        click.INT,
        default="60",
    ),
    Several("reserved", "--reserved", "RANGE", "A range or an address that is never assigned"),
    Switch("disabled", "--disabled/--enabled", "Whether to assign nothing new; what is assigned stays."),
    Setting(
        "priority",
        "NUMBER",
        "Of the pools that a request could mean, the highest is used first; 0 to 1000.",
        click.INT,
        default="100",
    ),
    Setting(
        "tenant", "NAME", "Only this tenant's endpoints get addresses.", default="everybody's", of="tenants"
    ),
    Labelling("node_selector", "node-selector", "Only nodes with this label get addresses"),
    Switch(
        "borrow", "--borrow/--no-borrow", "Whether a node may take single addresses of other nodes' blocks."
    ),
    Setting(
        "segment",
        "VLAN@UPLINK",
        "The VLAN of the nodes' uplink that its endpoints are on by layer 2, such as 120@eth1.",
        SegmentType(),
        default="its tenant's",
        fixed=True,
    ),
    Setting("gateway", "ADDRESS", "The segment's router.", fixed=True),
    Several("communities", "--community", "COMMUNITY", "A BGP community, sent with the pool's prefixes"),
)

POOL = Noun(
    "pool",
    "pools",
    "name",
    (
        field("name"),
        field("cidr"),
        field("block_prefixlen", "BLOCK"),
        field("advertise"),
        field("tenant"),
        field("disabled"),
        field("priority", wide=True),
        field("cooldown_s", "COOLDOWN S", wide=True),
        field("reserved", wide=True),
        field("node_selector", "NODE SELECTOR", wide=True),
        field("borrow", wide=True),
        field("communities", wide=True),
        field("segment", wide=True),
        field("gateway", wide=True),
    ),
    document=("name", *(each.field for each in SETTINGS)),
    used_by="polder address list --pool NAME -o wide",
    example="default",
    foreseen=True,
)


@click.group(cls=Group)
def command() -> None:
    """Ranges that addresses are assigned from."""


add_create(
    command,
    POOL,
    SETTINGS,
    "Create a pool.",
    "polder pool create site --cidr 10.70.0.0/16",
    "polder pool create racks --cidr 10.71.0.0/16 --reserved 10.71.0.0/28 --node-selector rack=7",
    "polder pool create rack-8 --cidr 10.72.0.0/20 --node-selector rack=8 --advertise summary",
    "polder pool create disks --cidr 10.73.0.0/24 --segment 120@eth1 --gateway 10.73.0.1",
    "polder pool create site6 --cidr 2001:db8:7::/64 --advertise host --community 64500:100",
)
add_set(
    command,
    POOL,
    SETTINGS,
    """Change a pool.

    What is not given stays; an empty value ("") goes back to the default. What is assigned stays assigned,
    whatever is reserved or disabled. For another block size make another pool.""",
    "polder pool set default --cooldown-s 300",
    "polder pool set default --reserved 10.64.0.0/28 --reserved 10.64.7.9",
    "polder pool set default --disabled",
    "polder pool set default --advertise host --dry-run",
    "polder pool set default6 --cidr 2001:db8::/60",
    'polder pool set default --cooldown-s "" --enabled',
)


@command.command(epilog=examples("polder pool show default", "polder pool show default -o json"))
@name_argument(POOL)
@takes_session
def show(session: Session, name: str) -> None:
    """Draw a pool's blocks by node, and forecast its exhaustion."""
    from cli.usage import lines

    session.refuse_names()
    usage = session.item("GET", f"{POOL.path(name)}/usage", advice=POOL.missing())
    if session.output in {"json", "yaml"}:
        session.print_item(usage)
        return
    pool = session.item("GET", POOL.path(name), advice=POOL.missing())
    click.echo("\n".join(lines(pool, usage, datetime.now(UTC))))


@command.command(epilog=examples("polder pool plan default", "polder pool plan default -o json"))
@name_argument(POOL)
@takes_session
def plan(session: Session, name: str) -> None:
    """List the commands that would make a pool less fragmented.

    Nothing is done. A move keeps the address; an endpoint that is made anew gets another one.
    """
    session.refuse_names()
    found = session.item("GET", f"{POOL.path(name)}/plan", advice=POOL.missing())
    if not session.for_people:
        session.print_item(found)
        return
    for move in found["moves"]:
        click.echo(printable(move["command"]))
    for block in found["sparse"]:
        click.echo(printable(f"# {block['block']} of node {block['node']} would go back:"))
        for line in block["commands"]:
            click.echo(printable(line))
    click.echo(printable(f"# {found['summary']}"))


add_get(command, POOL)
add_list(command, POOL, OF_TENANT)
add_delete(command, POOL)
