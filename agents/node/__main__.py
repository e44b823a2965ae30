"""`polder agent`: the dataplane program of a node.

feed -> knowledge -+
socket API -> wants +-> loop -> dataplane pass -> links, switch, routes -> reports -> store
kernel, OVSDB, OpenFlow events -+
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agents.node.agent import Agent, Settings
from agents.node.api import SocketInUse
from openflow.errors import SwitchError
from store.model.value import Name
from store.options import OptionError, add_arguments, open_store

DEFAULT_RUN_DIR = Path("/run/polder")
DEFAULT_OVSDB = "unix:/var/run/openvswitch/db.sock"
DEFAULT_OPENFLOW_PORT = 6653


def parser() -> argparse.ArgumentParser:
    """The program's arguments."""
    made = argparse.ArgumentParser(prog="polder agent", description="Program this node's routes and flows.")
    made.add_argument("--node", required=True, help="the name this node is registered under")
    made.add_argument(
        "--run-dir", type=Path, default=DEFAULT_RUN_DIR, help="where agent.sock is (%(default)s)"
    )
    made.add_argument("--ovsdb", default=DEFAULT_OVSDB, help="the OVSDB socket (%(default)s)")
    made.add_argument(
        "--openflow-port",
        type=int,
        default=DEFAULT_OPENFLOW_PORT,
        help="TCP port on 127.0.0.1 that the bridge connects to (%(default)s)",
    )
    made.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    add_arguments(made)
    return made


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT. Returns the exit status; a usage error is 2."""
    args = parser().parse_args(argv)
    logging.basicConfig(level=args.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        node = TypeAdapter(Name).validate_python(args.node)
        settings = Settings(node, args.run_dir, args.ovsdb, args.openflow_port)
        agent = Agent(settings, open_store(args))
        agent.start()
    except ValidationError:
        return _fail(f"--node {args.node!r} is not a name: lower-case letters, digits, dots and hyphens")
    except (OptionError, SocketInUse, SwitchError) as fault:
        return _fail(str(fault))
    except PermissionError as fault:
        return _fail(f"no right to use {fault.filename}: run as root, or choose another --run-dir")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stop())
    agent.run()
    return 0


def _fail(message: str) -> int:
    print(f"polder agent: {message}", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
