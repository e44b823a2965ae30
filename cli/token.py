"""`polder token`: who may use the API. A secret is printed once, alone on standard output."""

from __future__ import annotations

import click

from cli.example import examples
from cli.group import Group
from cli.noun import Noun, add_delete, add_get, add_list, name_argument
from cli.output import field
from cli.rest import Json, place, present
from cli.session import Session, takes_session
from cli.setting import Setting

ROLES = ("admin", "network", "platform", "tenant", "node", "read-only")

SETTINGS = (
    Setting("role", "", "What its bearer may do.", click.Choice(ROLES), required=True),
    Setting("tenant", "NAME", "With role tenant: the tenant whose things it sees.", of="tenants"),
    Setting("node", "NAME", "With role node: the node whose things it sees.", of="nodes"),
    Setting("ttl_s", "SECONDS", "For how long a secret is good.", click.INT, default="for ever"),
)

TOKEN = Noun(
    "token",
    "tokens",
    "name",
    (
        field("name"),
        field("role"),
        field("tenant"),
        field("node"),
        field("expires"),
        field("overlap_until", "OVERLAP UNTIL"),
        field("created", wide=True),
        field("ttl_s", "TTL S", wide=True),
    ),
    used_by="polder token list",
    example="ci",
)


@click.group(cls=Group)
def command() -> None:
    """Who may use the API, and as what."""


def _create(session: Session, /, name: str, **fields: object) -> None:
    advice = {409: f"give it a new secret: polder token rotate {name}"}
    # Not sent again when an answer is lost: the name is taken then, and the secret was in that answer.
    body = {"name": name, **present(fields)}
    _print_secret(session, session.item("POST", place("tokens"), body, advice=advice, repeatable=False))


def _add_create() -> None:
    function = takes_session(_create)
    for setting in reversed(SETTINGS):
        function = setting.to_create()(function)
    command.command(
        "create",
        short_help="Create a token and print its secret.",
        help="""Create a token and print its secret.

        Nothing else goes to standard output, and it is not shown again: keep it for POLDER_TOKEN. With
        -o name it is not shown at all.""",
        epilog=examples(
            "polder token create ci --role platform --ttl-s 2592000",
            "polder token create shop --role tenant --tenant shop",
        ),
    )(name_argument(TOKEN)(function))


_add_create()


@command.command(
    epilog=examples("polder token rotate ci", "polder token rotate ci --overlap-s 0"),
)
@name_argument(TOKEN)
@click.option(
    "--overlap-s",
    metavar="SECONDS",
    type=int,
    help="For how long the secrets it has stay good; 0 for one that leaked.  [default: 3600]",
)
@click.option(
    "--ttl-s", metavar="SECONDS", type=int, help="For how long the new one is good.  [default: as before]"
)
@takes_session
def rotate(session: Session, name: str, overlap_s: int | None, ttl_s: int | None) -> None:
    """Give a token a new secret and print it.

    The secrets it has stay good for a while, so that nobody is locked out. When the answer was lost: again.
    """
    body = present({"overlap_s": overlap_s, "ttl_s": ttl_s})
    path = f"{TOKEN.path(name)}:rotate"
    _print_secret(session, session.item("POST", path, body, advice=TOKEN.missing(), repeatable=False))


add_get(command, TOKEN)
add_list(command, TOKEN)
add_delete(command, TOKEN)


def _print_secret(session: Session, item: Json) -> None:
    if session.for_people:
        click.echo(item.get("token"))
    else:
        session.print_item(item, TOKEN)
