"""`polder context`: the Polders that the config file knows, and which of them commands speak to."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import click
from click.shell_completion import CompletionItem

from cli.config import Context, config_path, load, save
from cli.example import examples
from cli.failure import Exit, Failure
from cli.group import Group
from cli.name import Named
from cli.options import chosen_output, output_option
from cli.output import Column, Form, field
from cli.printer import Printer
from cli.server import check_token, parse_servers

MAX_TOKEN_BYTES = 4096

CONTEXT = Form(
    "context",
    "contexts",
    "name",
    (
        field("name"),
        Column("CURRENT", lambda item: "yes" if item["current"] else None),
        field("servers"),
        field("ca", "CA"),
        field("token"),
    ),
)


def _names(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    try:
        contexts = load(config_path(os.environ)).contexts
    except Failure:
        return []
    return [CompletionItem(name) for name in contexts if name.startswith(typed)]


class ContextName(Named):
    """The name of a context: one that is there may have a slash, such as one that was written by hand."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name alone. Ends the command with a usage error when it is none."""
        if "/" in value and value in load(config_path(os.environ)).contexts:
            return str(value)
        return super().convert(value, param, ctx)


name_argument = click.argument("name", type=ContextName("context"), shell_complete=_names)


@click.group(cls=Group)
def command() -> None:
    """Servers with a token, by name, in the config file.

    The file is $POLDER_CONFIG, or polder/config.yaml in $XDG_CONFIG_HOME (~/.config).
    """


@command.command("list", epilog=examples("polder context list", "polder context list -o json"))
@output_option
@click.pass_context
def list_(click_context: click.Context, output: str | None) -> None:
    """Show all contexts. Tokens are not shown, only whether there is one."""
    config = load(config_path(os.environ))
    items = [
        {
            "name": name,
            "current": name == config.current,
            "servers": list(each.servers),
            "ca": each.ca or None,
            "token": bool(each.token),
        }
        for name, each in config.contexts.items()
    ]
    Printer(chosen_output(click_context, output)).print_list({"items": items}, CONTEXT)


@command.command(epilog=examples("polder context use lab"))
@name_argument
def use(name: str) -> None:
    """Make a context the current one."""
    path = config_path(os.environ)
    config = load(path)
    config.context(name)
    save(path, replace(config, current=name))
    click.echo(f"context {name} is the current one")


@command.command(
    "set",
    short_help="Make or change a context.",
    epilog=examples(
        "polder context set site --server https://c1.example.net:8443,https://c2.example.net:8443",
        "cat token.txt | polder context set site --ca /etc/polder/ca.pem --token-file -",
        "polder context set lab --server http://127.0.0.1:8080",
    ),
)
@name_argument
@click.option("--server", metavar="URL[,URL]", help="The controller, or several to try.")
@click.option("--ca", metavar="FILE", help='Trust the certificates of this file (PEM); "" takes it out.')
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.File("rb"),
    help="Take the token from this file, - is standard input; never from an argument, which others can read.",
)
@click.option("--no-token", is_flag=True, help="Take the token out.")
def set_(name: str, server: str | None, ca: str | None, token_file: BinaryIO | None, no_token: bool) -> None:
    """Make or change a context; what is not given stays. The first one becomes the current one."""
    path = config_path(os.environ)
    config = load(path)
    before = config.contexts.get(name)
    if before is None and not server:
        raise click.UsageError(f"there is no context {name!r} yet: give --server URL")
    if no_token and token_file:
        raise click.UsageError("--no-token and --token-file do not go together")
    made = _changed(before or Context(()), server, ca)
    if no_token:
        made = replace(made, token="")
    if token_file:
        made = replace(made, token=_token(token_file))
    for each in parse_servers(",".join(made.servers)):
        if made.token:
            check_token(each, made.token, f"the token of context {name}")
    config = config.with_context(name, made)
    save(path, config)
    click.echo(f"context {name} set" + (", the current one" if config.current == name else ""))


@command.command(epilog=examples("polder context delete lab"))
@name_argument
def delete(name: str) -> None:
    """Delete a context."""
    path = config_path(os.environ)
    config = load(path)
    config.context(name)
    save(path, config.without(name))
    click.echo(f"context {name} deleted")


def _changed(before: Context, server: str | None, ca: str | None) -> Context:
    after = before
    if server:
        after = replace(after, servers=tuple(each.url for each in parse_servers(server)))
        # A token that was given for other servers is not for these.
        after = after if before.servers in {(), after.servers} else replace(after, token="")
    if ca is not None:
        after = replace(after, ca=str(Path(ca).absolute()) if ca else "")
    return after


def _token(file: BinaryIO) -> str:
    raw = file.read(MAX_TOKEN_BYTES + 1)
    token = raw.decode("ascii", "replace").strip()
    if not token or len(raw) > MAX_TOKEN_BYTES:
        raise Failure(
            f"the file holds no token: it is empty or larger than {MAX_TOKEN_BYTES} bytes", code=Exit.USAGE
        )
    return token
