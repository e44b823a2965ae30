"""This host as a node: its name, whether an agent may run on it, and its entry in the API."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from cli.failure import Exit, Failure
from cli.problem import failure
from cli.rest import call, place
from cli.session import Session
from cli.text import shown

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
DEFAULT_ASN = 64512


def ovsdb_socket() -> Path:
    """Where Open vSwitch's database listens, found as its own tools do."""
    return Path(os.environ.get("OVS_RUNDIR") or "/var/run/openvswitch") / "db.sock"


def why_no_agent(ovsdb: Path) -> str:
    """Why an agent cannot run here, and what would help; empty when it can."""
    if os.geteuid() != 0:
        return "it needs root; run `polder up` as root"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(ovsdb))
        except OSError as fault:
            return (
                f"Open vSwitch does not answer at {ovsdb} ({fault.strerror}); "
                "apt-get install openvswitch-switch, systemctl start openvswitch-switch"
            )
    return ""


def node_name(given: str | None) -> str:
    """The name to register under: as given, or the host's. Raises `Failure` (usage) when it is no name."""
    name = given or socket.gethostname().split(".")[0].lower()
    if not NAME.fullmatch(name):
        raise Failure(
            f"{name} is not a name for a node: lower-case letters, digits, dots and hyphens, at most 63",
            code=Exit.USAGE,
            advice="choose one with --node NAME",
        )
    return name


def register(session: Session, name: str, asn: int | None) -> str:
    """Create the node if it is absent, so that its agent can work. Returns a remark for people, or nothing.

    A node that exists is left as it is: its AS number may be in use.
    """
    answer = call(session.link, "GET", place("nodes", name))
    if answer.status == 404:
        session.item("POST", place("nodes"), {"name": name, "asn": asn or DEFAULT_ASN})
        return ""
    if not answer.ok or not isinstance(answer.body, dict):
        raise failure(answer.status, answer.body)
    if asn not in (None, answer.body.get("asn")):
        return (
            f"{name} exists with asn {shown(answer.body.get('asn'))}, which is kept; --asn {asn} is not used"
        )
    return ""
