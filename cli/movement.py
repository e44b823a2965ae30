"""How far the move of an endpoint is, reported until its former node has let go."""

from __future__ import annotations

import time

import click

from cli.failure import Failure
from cli.rest import Json, call, place
from cli.session import Session

DEFAULT_S = 30
MAX_OVERLAP_S = 3600
POLL_S = 0.1

STAGES = {
    "waiting": "{target} waits for it to be attached; {source} goes on",
    "attached": "{target} has it and prepares to deliver it; {source} goes on",
    "ready": "{target} delivers it and does not announce it yet; {source} goes on",
    "announced": "{target} announces it; {source} is about to go",
    "presumed": "{target} delivers it; {source} is about to go",
}


LATE_S = 30.0
"""How much longer than asked for it may take: a controller that takes the duty over needs some seconds."""


def follow(session: Session, name: str, overlap_s: float) -> Json:
    """Report each stage of a move until it is over; the endpoint as it is then. Blocking.

    An error in between is not an answer.

    Raises:
        Failure: it is not over long after `overlap_s`, and goes on by itself; or it is, as the former node
            waited for so long, and the new one does not deliver the endpoint.
    """
    told, began = "", time.monotonic()
    while not (answer := call(session.link, "GET", f"{place('endpoints', name)}/move")).absent:
        if answer.ok and isinstance(answer.body, dict):
            stage = STAGES.get(answer.body["stage"], "{stage}").format(**answer.body)
            if stage != told:
                click.echo(f"endpoint/{name}: {stage}", err=True)
            told = stage
        if time.monotonic() - began > overlap_s + LATE_S:
            advice = "see whether a controller is up; the move goes on without this command"
            raise Failure(
                f"endpoint {name}: the move is not over after {overlap_s + LATE_S:g} s", advice=advice
            )
        time.sleep(POLL_S)
    lasted = f"{time.monotonic() - began:.1f} s"
    moved = session.item("GET", place("endpoints", name))
    if told and overlap_s and not moved.get("ready"):
        why = f"{moved.get('node')} does not deliver it, and its former node went after {lasted}"
        raise Failure(f"endpoint {name}: {why}", advice=f"attach it there: polder attach {name}")
    if told:
        click.echo(f"endpoint/{name}: moved after {lasted}", err=True)
    return moved
