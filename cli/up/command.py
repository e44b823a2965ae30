"""`polder up`: everything on one host, in the right order, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from cli.failure import Failure
from cli.program import argv
from cli.rest import ServerLink, call, place
from cli.server import DEFAULT_URL
from cli.session import Session
from cli.text import shown
from cli.up.child import Program
from cli.up.data import Data, default_path, held
from cli.up.etcd import embedded
from cli.up.host import node_name, ovsdb_socket, register, why_no_agent
from cli.up.listen import Listen, found_free, parse_listen
from cli.up.signals import Signals, Stopped
from cli.up.supervisor import Supervisor

DEFAULT_RUN_DIR = Path("/run/polder")
ETCD_S = 30.0
CONTROLLER_S = 30.0
"""How long each may take until it is ready."""


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


@click.command()
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the data is kept.  [default: /var/lib/polder, or ~/.local/state/polder without root]",
)
@click.option(
    "--listen",
    metavar="ADDRESS:PORT",
    default="127.0.0.1:8080",
    show_default=True,
    help="Where the REST API is; port 0 is a free one.",
)
@click.option("--no-agent", is_flag=True, help="Start neither an agent nor a speaker.")
@click.option("--etcd", metavar="URL[,URL]", help="Use this etcd, and start none.")
@click.option("--etcd-ca", metavar="FILE", help="With --etcd: the CA of its certificates.")
@click.option("--etcd-cert", metavar="FILE", help="With --etcd: the certificate to show to it.")
@click.option("--etcd-key", metavar="FILE", help="With --etcd: the key of that certificate.")
@click.option(
    "--etcd-port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="PORT",
    help="The port of the etcd that is started.  [default: a free one]",
)
@click.option("--node", metavar="NAME", help="This host as a node.  [default: the host's name]")
@click.option("--asn", type=int, help="The AS number of a node that is not there yet.  [default: 64512]")
@click.option(
    "--run-dir",
    type=click.Path(path_type=Path),
    default=DEFAULT_RUN_DIR,
    show_default=True,
    metavar="DIR",
    help="Where the agent's socket is.",
)
def command(
    data_dir: Path | None,
    listen: str,
    no_agent: bool,
    etcd_port: int,
    node: str | None,
    asn: int | None,
    run_dir: Path,
    **etcd: str | None,
) -> None:
    """Run everything on this host.

    Starts an etcd, a controller and, where it may, this host's agent and speaker. Ctrl-C stops them; the data
    stays. What is forwarded and announced then goes on being so.
    """
    access = _etcd_arguments(etcd)
    options = Options(parse_listen(listen), not no_agent, access, etcd_port, node, asn, run_dir)
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        data = stack.enter_context(held(data_dir or default_path()))
        supervisor = Supervisor(signals, lambda line: click.echo(f"polder: {line}", err=True))
        stack.callback(supervisor.stop)
        try:
            _start(supervisor, data, options)
            supervisor.run()
        except Stopped:
            click.echo(f"polder: stopping; the data stays in {data.path}")


def _etcd_arguments(given: Mapping[str, str | None]) -> list[str]:
    """As the programs take them: `etcd_ca` is `--etcd-ca`."""
    named = {name: value for name, value in given.items() if value is not None}
    if named and "etcd" not in named:
        raise click.UsageError("--etcd-ca, --etcd-cert and --etcd-key go with --etcd")
    return [f"--{name.replace('_', '-')}={value}" for name, value in named.items()]


def _start(supervisor: Supervisor, data: Data, options: Options) -> None:
    listen = found_free(options.listen, "--listen ADDRESS:PORT")
    etcd = options.etcd or [f"--etcd={_start_etcd(supervisor, data, options.etcd_port)}"]
    session = Session(ServerLink(listen.server), "json")
    program = Program(
        "controller",
        argv("controller", [f"--listen={listen}", *etcd]),
        data.log("controller"),
    )
    controller = supervisor.start(program)
    supervisor.await_ready(controller, lambda: _not_ready(session), CONTROLLER_S)
    _running("controller", f"{listen.server.url}  pid {controller.pid}")
    node = _start_agent(supervisor, data, options, session, etcd)
    _next_steps(session, listen, options, node)


def _start_etcd(supervisor: Supervisor, data: Data, port: int) -> str:
    etcd = embedded(data, port)
    child = supervisor.start(etcd.program, vital=True)
    supervisor.await_ready(child, etcd.missing, ETCD_S)
    _running("etcd", f"{etcd.url}  pid {child.pid}, data in {data.etcd}")
    return etcd.url


def _start_agent(
    supervisor: Supervisor, data: Data, options: Options, session: Session, etcd: Sequence[str]
) -> str | None:
    """Start agent and speaker where they may run. Returns the node's name; None when it may not be."""
    ovsdb = ovsdb_socket()
    why = why_no_agent(ovsdb) if options.agent else "--no-agent"
    if why:
        _running("agent", f"not started: {why}")
        return None
    node = node_name(options.node)
    if remark := register(session, node, options.asn):
        _running("node", remark)
    common = [f"--node={node}", f"--run-dir={options.run_dir}", *etcd]
    for name, extra in (("agent", [f"--ovsdb=unix:{ovsdb}"]), ("speaker", [])):
        child = supervisor.start(Program(name, argv(name, common + extra), data.log(name)))
        _running(name, f"node {node}  pid {child.pid}")
    return node


def _not_ready(session: Session) -> str:
    try:
        answer = call(session.link, "GET", "/readyz")
    except Failure as fault:
        return str(fault)
    return "" if answer.ok else f"{answer.status} {answer.body}"


def _running(name: str, what: str) -> None:
    click.echo(f"polder: {name:<10}  {what}")


def _next_steps(session: Session, listen: Listen, options: Options, node: str | None) -> None:
    """Print the commands to type next, that fit what there is."""
    pools = [item.get("name") for item in session.listing(place("pools"))["items"]]
    nodes = session.page(place("nodes"), limit=1)["items"]
    steps = [] if listen.server.url == DEFAULT_URL else [f"export POLDER_SERVER={listen.server.url}"]
    if not pools:
        steps.append("polder pool create default --cidr 10.64.0.0/16")
    if not nodes:
        steps.append("polder node create node-1 --asn 64511")
    where = node or (nodes[0].get("name") if nodes else "node-1")
    steps.append(f"polder endpoint create web-1 --node {where}")
    if node:
        socket = "" if options.run_dir == DEFAULT_RUN_DIR else f" --socket {options.run_dir / 'agent.sock'}"
        steps += ["ip netns add web-1", f"polder attach web-1 --netns web-1{socket}"]
    what = f"pools: {shown(pools)}" if pools else "no pool yet"
    click.echo(f"polder: ready, {what}. Ctrl-C stops. Next, in another terminal:")
    click.echo("".join(f"    {step}\n" for step in steps), nl=False)
