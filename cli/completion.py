"""Completion: the scripts for the shells, and the names of what the server holds.

A shell asks while a person waits: the server gets a second, and silence is an answer too.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import click
from click.shell_completion import BashComplete, CompletionItem, FishComplete, ZshComplete

from cli.example import examples
from cli.failure import Failure
from cli.rest import call, place

PATIENCE_S = 1.0
MOST = 1000

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_of(plural: str, key: str = "name") -> Completer:
    """Completes the names of that noun, those that begin as what is typed."""

    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in _names(context, plural, key) if name.startswith(typed)]

    return complete


def _names(context: click.Context, plural: str, key: str) -> list[str]:
    from cli.options import given
    from cli.target import Given, target

    here = {name: context.params.get(name) for name in ("server", "ca", "context")}
    try:
        link = target(Given(**given(context, **here)), os.environ).link(PATIENCE_S)
        answer = call(link, "GET", place(plural), query={"limit": MOST})
    except Failure:
        return []
    items = answer.body.get("items") if answer.ok and isinstance(answer.body, dict) else None
    named = [each.get(key) for each in items or [] if isinstance(each, dict)]
    return [name for name in named if isinstance(name, str) and name.isprintable()]


CLASSES = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
VARIABLE = "_POLDER_COMPLETE"


@click.command(
    epilog=examples("polder completion bash", "polder completion zsh", "polder completion fish")
    + """

\b
In ~/.bashrc:                      eval "$(polder completion bash)"
In ~/.zshrc:                       eval "$(polder completion zsh)"
In ~/.config/fish/config.fish:     polder completion fish | source"""
)
@click.argument("shell", type=click.Choice(list(CLASSES)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the script that completes commands and names in a shell.

    Names of pools, nodes, peers and endpoints are asked of the server; when it does not answer within a
    second there are none.
    """
    click.echo(CLASSES[shell](context.find_root().command, {}, "polder", VARIABLE).source())
