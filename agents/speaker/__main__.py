"""`polder speaker`: the BGP program of a node.

feed -> knowledge -> loop -> one speaker for each peer -> its ExaBGP -> the ToR
                      ^  `-> reports -> store
                      `-- what a session says

SIGTERM ends this program only. The ExaBGP processes go on announcing, so that an upgrade or a crash moves no
packet (`KillMode=process` under systemd). `--retire` is what ends them.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import traceback
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from agents.speaker.program import AlreadyRunning, Settings, SpeakerProgram, retire_all
from store.model.value import Name
from store.options import OptionError, add_arguments, open_store

DEFAULT_RUN_DIR = Path("/run/polder")


def parser() -> argparse.ArgumentParser:
    """The program's arguments."""
    made = argparse.ArgumentParser(prog="polder speaker", description="Announce this node's prefixes by BGP.")
    made.add_argument("--node", required=True, help="the name this node is registered under")
    made.add_argument(
        "--run-dir", type=Path, default=DEFAULT_RUN_DIR, help="where the state of each peer is (%(default)s)"
    )
    made.add_argument(
        "--retire", action="store_true", help="withdraw everything, end every session of this node, and exit"
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
        settings = Settings(node, args.run_dir.absolute())
        if args.retire:
            retire_all(settings)
            return 0
        store = open_store(args)
        program = SpeakerProgram(settings, store)
        program.start()
    except ValidationError:
        return _fail(f"--node {args.node!r} is not a name: lower-case letters, digits, dots and hyphens")
    except (OptionError, AlreadyRunning) as fault:
        return _fail(str(fault))
    except PermissionError as fault:
        return _fail(f"no right to use {fault.filename}: run as root, or choose another --run-dir")
    threading.excepthook = _die
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: program.stop())
    program.run()
    store.close()
    return 0


def _die(crash: threading.ExceptHookArgs) -> None:
    """A thread that ends by an unknown exception takes the program with it: the supervisor starts it anew."""
    traceback.print_exception(crash.exc_type, crash.exc_value, crash.exc_traceback)
    os._exit(1)


def _fail(message: str) -> int:
    print(f"polder speaker: {message}", file=sys.stderr)  # noqa: T201
    return 2


if __name__ == "__main__":
    sys.exit(main())
