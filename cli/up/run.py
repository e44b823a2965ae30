"""What `polder up` starts, in which order, and what it says: etcd, controller, node, agent, speaker.

Each is ready before the next starts, so that what is printed last is true: the next command works.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from cli.failure import Failure
from cli.link import Link, ServerLink, SocketLink
from cli.options import DEFAULT_URL
from cli.program import argv
from cli.rest import Json, call, place
from cli.session import Session
from cli.text import shown
from cli.up.child import Program
from cli.up.data import Data
from cli.up.etcd import embedded
from cli.up.host import node_name, ovsdb_socket, register, why_no_agent
from cli.up.listen import Listen, found_free
from cli.up.supervisor import Supervisor

DEFAULT_RUN_DIR = Path("/run/polder")
ETCD_S = 30.0
CONTROLLER_S = 30.0
AGENT_S = 15.0
"""How long each may take until it is ready."""
HELD = (
    "this etcd is new, or a backup: nothing is assigned until it has what nodes hold from before. What no "
    "pool has the address of is taken down by `polder restore finish`: to keep it, create its pool first"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for."""

    listen: Listen
    agent: bool
    etcd: Sequence[str]
    """Arguments that name the etcd to use; none to start one."""
    etcd_port: int
    node: str | None
    asn: int | None
    run_dir: Path


class AllInOne:
    """All of Polder on one host."""

    def __init__(self, supervisor: Supervisor, data: Data, options: Options) -> None:
        self._supervisor = supervisor
        self._data = data
        self._options = options
        self._listen = found_free(options.listen, "--listen ADDRESS:PORT")
        self._session = Session("json", ServerLink(self._listen.server))

    def start(self) -> None:
        """Start all, and print what runs and what to type next. Blocking.

        Raises:
            Failure: etcd or the controller does not get ready.
            Stopped: see `Signals.wait`.
        """
        etcd = self._options.etcd or [f"--etcd={self._start_etcd()}"]
        self._start_controller(etcd)
        node = self._start_agent(etcd)
        self._print_next_steps(node)

    def _start_etcd(self) -> str:
        etcd = embedded(self._data, self._options.etcd_port)
        child = self._supervisor.start(etcd.program, vital=True)
        self._supervisor.await_ready(child, etcd.missing, ETCD_S)
        _print("etcd", f"{etcd.url}  pid {child.pid}, data in {self._data.etcd}")
        return etcd.url

    def _start_controller(self, etcd: Sequence[str]) -> None:
        child = self._supervisor.start(self._program("controller", [f"--listen={self._listen}", *etcd]))
        self._supervisor.await_ready(child, lambda: missing(self._session.link), CONTROLLER_S)
        _print("controller", f"{self._listen.server.url}  pid {child.pid}")

    def _start_agent(self, etcd: Sequence[str]) -> str | None:
        """Start agent and speaker where they may run. Returns the node's name; None when it may not be."""
        ovsdb = ovsdb_socket()
        why = why_no_agent(ovsdb) if self._options.agent else "--no-agent"
        if why:
            _print("agent", f"not started: {why}")
            return None
        node = node_name(self._options.node)
        if remark := register(self._session, node, self._options.asn):
            _print("node", remark)
        common = [f"--node={node}", f"--run-dir={self._options.run_dir}", *etcd]
        agent = self._supervisor.start(self._program("agent", [*common, f"--ovsdb=unix:{ovsdb}"]))
        speaker = self._supervisor.start(self._program("speaker", common))
        try:
            self._supervisor.await_ready(agent, lambda: self._agent_missing(node), AGENT_S)
            _print("agent", f"node {node}  pid {agent.pid}, socket {self._socket}")
        except Failure as fault:
            # The rest is of use without it, and the supervisor goes on trying.
            _print("agent", f"node {node}  pid {agent.pid}, not ready: {fault}")
        _print("speaker", f"node {node}  pid {speaker.pid}")
        return node

    def _program(self, name: str, arguments: Sequence[str]) -> Program:
        return Program(name, argv(name, arguments), self._data.log(name))

    def _agent_missing(self, node: str) -> str:
        """What the agent lacks; nothing where it has said what it holds, and waits until somebody acts."""
        lacks = missing(SocketLink(self._socket))
        return "" if lacks and node in self._restore().get("heard", ()) else lacks

    def _held(self) -> bool:
        """Whether nothing is assigned until what nodes hold is known."""
        return self._restore().get("restoring") is True

    def _restore(self) -> Json:
        return self._session.item("GET", place("restore"))

    @property
    def _socket(self) -> Path:
        return self._options.run_dir / "agent.sock"

    def _print_next_steps(self, node: str | None) -> None:
        """Print the commands to type next, that fit what there is."""
        pools = [item.get("name") for item in self._session.listing(place("pools"))["items"]]
        what = f"pools: {shown(pools)}" if pools else "no pool yet"
        held = self._held()
        if held:
            _print("waits", HELD)
        click.echo(f"polder: ready, {what}. Ctrl-C stops. Next, in another terminal:")
        for step in self._next_steps(node, bool(pools), held):
            click.echo(f"    {step}")

    def _next_steps(self, node: str | None, has_pool: bool, held: bool) -> list[str]:
        nodes = self._session.page(place("nodes"), limit=1)["items"]
        where = node or (nodes[0].get("name") if nodes else "node-1")
        at = self._listen.server.url
        socket = "" if self._options.run_dir == DEFAULT_RUN_DIR else f" --socket {self._socket}"
        steps = {
            f"export POLDER_SERVER={at}": at != DEFAULT_URL,
            "polder restore status": held,
            "polder pool create default --cidr 10.64.0.0/16": not has_pool,
            "polder node create node-1 --asn 64511": not nodes,
            "polder restore finish": held,
            f"polder endpoint create web-1 --node {where}": True,
            "ip netns add web-1": node is not None,
            f"polder attach web-1 --netns web-1{socket}": node is not None,
        }
        return [step for step, wanted in steps.items() if wanted]


def missing(link: Link) -> str:
    """What is not ready of the program that answers there; empty when all is. Blocking."""
    try:
        answer = call(link, "GET", "/readyz")
    except Failure as fault:
        return str(fault)
    if answer.ok:
        return ""
    items = answer.body.get("not_ready") if isinstance(answer.body, dict) else None
    return f"it answers {answer.status}: {shown(items)}"


def _print(name: str, what: str) -> None:
    click.echo(f"polder: {name:<10}  {what}")
