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
import sys
from collections.abc import Callable
from pathlib import Path

from agents import command, options_file
from agents.speaker.program import Settings, SpeakerProgram, retire_all
from agents.speaker.secrets import DEFAULT_DIRECTORY


def parser() -> argparse.ArgumentParser:
    """The program's arguments."""
    made = command.arguments(
        "speaker",
        "Announce this node's prefixes by BGP.",
        "where each peer's state is",
        "  polder speaker --config=/etc/polder/node.conf --retire --graceful-s 60",
    )
    made.add_argument(
        "--retire", action="store_true", help="withdraw everything, end every session of this node, and exit"
    )
    made.add_argument(
        "--graceful-s",
        metavar="SECONDS",
        type=int,
        default=0,
        help="with --retire: for so long routes carry GRACEFUL_SHUTDOWN first (%(default)s)",
    )
    made.add_argument(
        "--secrets-dir",
        type=Path,
        default=DEFAULT_DIRECTORY,
        help="where the passwords of sessions are, each in a file named for its secret (%(default)s)",
    )
    return made


def main(argv: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT, or retire. Returns the exit status; a usage error is 2."""
    args = options_file.parse(parser(), argv, of_others=options_file.AGENT_ONLY)

    def settings() -> Settings:
        return Settings(command.node_name(args), args.run_dir.absolute(), args.secrets_dir.absolute())

    if args.retire:
        return _retire(args, settings)
    return command.run("speaker", args, lambda store: SpeakerProgram(settings(), store))


def _retire(args: argparse.Namespace, settings: Callable[[], Settings]) -> int:
    logging.basicConfig(level=args.log_level, format=command.LOG_FORMAT, datefmt=command.LOG_TIME)
    try:
        retire_all(settings(), graceful_s=max(args.graceful_s, 0))
    except command.Refusal as fault:
        return command.refuse("speaker", str(fault))
    return 0


if __name__ == "__main__":
    sys.exit(main())
