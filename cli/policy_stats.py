"""`polder policy stats`: what each rule of a policy has matched, on all nodes."""

from __future__ import annotations

import click

from cli.example import examples
from cli.noun import Noun, name_argument
from cli.output import Column, Item, field, print_table
from cli.policy_rule import TOWARDS, rule_text
from cli.rest import Json
from cli.session import Session, takes_session
from cli.text import printable

COLUMNS = (
    field("direction"),
    Column("RULE", lambda item: item.get("text")),
    field("packets"),
    field("bytes"),
)


def add_stats(group: click.Group, noun: Noun) -> None:
    """Add `stats` to the group."""

    @group.command(
        short_help="Show what each rule has matched, or would have.",
        epilog=examples("polder policy stats web-in", "polder policy stats web-in -o json"),
    )
    @name_argument(noun)
    @takes_session
    def stats(session: Session, name: str) -> None:
        """Show what each rule of a policy has matched, on all nodes.

        Counted are packets of the side that opened a connection. A staged policy drops nothing: its rules
        show what they would decide. Nodes count since the flows of a rule were made; a packet that several
        neighbouring rules of one action match counts for any one of them.
        """
        session.refuse_names()
        found = session.item("GET", f"{noun.path(name)}/stats", advice=noun.missing())
        if not session.for_people:
            session.print_item(found)
            return
        policy = session.item("GET", noun.path(name), advice=noun.missing())
        print_table([_row(each, policy) for each in found["rules"]], COLUMNS)
        click.echo(printable(_summary(found)))
        for each in found["silent"]:
            click.echo(printable(f"node {each['node']} is not counted: {each['why']}"), err=True)


def _row(counted: Json, policy: Json) -> Item:
    direction, place = counted["direction"], counted["rule"]
    rules = policy.get(direction) or []
    text = rule_text(rules[place - 1], TOWARDS[direction]) if place <= len(rules) else counted["action"]
    return {**counted, "text": text}


def _summary(found: Json) -> str:
    counted = f"counted by {len(found['nodes'])} nodes with endpoints that it selects"
    staged = "; it is staged: nothing was decided by it" if found["mode"] == "staged" else ""
    return f"policy {found['policy']}: {counted}{staged}"
