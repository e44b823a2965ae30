"""`polder agent`: the dataplane program of a node.

feed -> knowledge ---------------.
socket API -> wants -------------+-> loop -> one pass -> links, switch, routes -> reports -> store
kernel, OVSDB, OpenFlow events --'
"""

from __future__ import annotations

import argparse
import sys

from agents import command, options_file
from agents.node.agent import Agent, Settings
from agents.node.explain.exposition import loopback
from store.client import Store

DEFAULT_OVSDB = "unix:/var/run/openvswitch/db.sock"


def parser() -> argparse.ArgumentParser:
    """The program's arguments."""
    made = command.arguments(
        "agent",
        "Program this node's routes and flows.",
        "where agent.sock is",
        "\npolder agent join TOKEN makes this host a node, polder agent renew renews its certificate.",
    )
    made.add_argument("--ovsdb", type=_unix, default=DEFAULT_OVSDB, help="the OVSDB socket (%(default)s)")
    made.add_argument(
        "--metrics-listen",
        metavar="127.0.0.1:PORT",
        help="serve /metrics there too, beside agent.sock; on loopback only",
    )
    return made


def _unix(text: str) -> str:
    if not text.startswith("unix:/"):
        raise argparse.ArgumentTypeError(f"{text!r} is not unix:/PATH, the socket of this host's OVSDB")
    return text


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status; a usage error is 2."""
    args = options_file.parse(parser(), argv, of_others=options_file.SPEAKER_ONLY)

    def make(store: Store) -> Agent:
        listen = loopback(args.metrics_listen) if args.metrics_listen else None
        settings = Settings(command.node_name(args), args.run_dir, args.ovsdb, listen)
        return Agent(settings, store)

    return command.run("agent", args, make)


if __name__ == "__main__":
    sys.exit(main())
