"""`polder up`: everything on one host, in the right order, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import click

from cli.example import examples
from cli.up.data import default_path, held
from cli.up.listen import parse_listen
from cli.up.run import DEFAULT_RUN_DIR, AllInOne, Options
from cli.up.signals import Signals, Stopped
from cli.up.supervisor import Supervisor


@click.command(
    epilog=examples(
        "polder up",
        "polder up --no-agent --data-dir ./data --listen 127.0.0.1:8081",
        "polder up --node rack-7 --asn 64517 --etcd https://10.0.0.1:2379 --etcd-ca ca.pem",
    )
)
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
@click.option("--etcd-insecure", is_flag=True, help="With --etcd: allow plain http to other hosts.")
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
    **etcd: str | bool | None,
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
            AllInOne(supervisor, data, options).start()
            supervisor.run()
        except Stopped:
            click.echo(f"polder: stopping; the data stays in {data.path}")


def _etcd_arguments(given: Mapping[str, str | bool | None]) -> list[str]:
    """As the programs take them: `etcd_ca` is `--etcd-ca`, with its value if it is no flag."""
    named = {f"--{name.replace('_', '-')}": value for name, value in given.items() if value}
    if named and "--etcd" not in named:
        raise click.UsageError(f"{next(iter(named))} goes with --etcd URL")
    return [name if value is True else f"{name}={value}" for name, value in named.items()]
