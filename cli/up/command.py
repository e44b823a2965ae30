import click


@click.command()
def command() -> None:
    """Run everything on this host: etcd, a controller, and where it may, an agent and a speaker."""
