"""`polder pool`: ranges that addresses are assigned from."""

from __future__ import annotations

import click

from cli.change import OrEmpty, add_set
from cli.noun import Noun, add_delete, add_get, add_list, name_argument
from cli.output import field
from cli.session import Session, takes_session

POOL = Noun(
    "pool",
    "pools",
    "name",
    (
        field("name"),
        field("cidr"),
        field("block_prefixlen", "BLOCK"),
        field("advertise"),
        field("cooldown_s", "COOLDOWN S"),
    ),
    used_by="polder endpoint list",
)


@click.group()
def command() -> None:
    """Ranges that addresses are assigned from."""


@command.command()
@name_argument(POOL)
@click.option("--cidr", metavar="CIDR", required=True, help="The range, such as 10.64.0.0/16.")
@click.option(
    "--block-prefixlen",
    metavar="LENGTH",
    type=int,
    help="The size of the blocks that nodes claim.  [default: 26, for IPv6 122]",
)
@click.option(
    "--advertise",
    type=click.Choice(["block", "host"]),
    help="What is announced: one prefix per block, or each address.  [default: block]",
)
@click.option(
    "--cooldown-s",
    metavar="SECONDS",
    type=int,
    help="How long a released address is not assigned again.  [default: 60]",
)
@takes_session
def create(
    session: Session,
    name: str,
    cidr: str,
    block_prefixlen: int | None,
    advertise: str | None,
    cooldown_s: int | None,
) -> None:
    """Create a pool."""
    body = {
        "name": name,
        "cidr": cidr,
        "block_prefixlen": block_prefixlen,
        "advertise": advertise,
        "cooldown_s": cooldown_s,
    }
    POOL.create(session, body)


add_set(
    command,
    POOL,
    click.option(
        "--advertise",
        type=OrEmpty(click.Choice(["block", "host"])),
        help="What is announced: one prefix per block, or each address.",
    ),
    click.option(
        "--cooldown-s",
        metavar="SECONDS",
        type=OrEmpty(click.INT),
        help="How long an address that is released from now on is not assigned again.",
    ),
    text="""Change what a pool announces, or its cooldown.

    What is not given stays; an empty value ("") goes back to the default. A range or a block size does not
    change: make another pool.""",
)

add_get(command, POOL)
add_list(command, POOL)
add_delete(command, POOL)
