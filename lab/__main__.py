"""A lab of routers and nodes in network namespaces: build it, remove it, or show Polder in one of its own."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import time
from types import FrameType

from lab import standing, teardown, tools
from lab.claim import Claim, known_labs
from lab.errors import LabError
from lab.lab import DEFAULT_NAME, Lab


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    made = argparse.ArgumentParser(prog="python -m lab", description=__doc__)
    verbs = made.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="build a lab and leave it standing")
    up.add_argument("--bare", action="store_true", help="hosts, routers and switches only, no Polder")
    down = verbs.add_parser("down", help="remove a lab, and whatever crashed runs left")
    for verb in (up, down):
        verb.add_argument("--name", default=DEFAULT_NAME, help="which lab (%(default)s)")
    verbs.add_parser("status", help="say which labs there are")
    verbs.add_parser("demo", help="show the main job in a lab of its own", add_help=False)
    return made


def main(argv: list[str] | None = None) -> int:
    """Run one verb. Returns the exit status: 0 done, 1 not done, 130 interrupted."""
    args, rest = parser().parse_known_args(argv)
    if rest and args.verb != "demo":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return _run(args, rest)
    except LabError as fault:
        print(f"lab: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; what was made is removed", file=sys.stderr)
        return 130


def _run(args: argparse.Namespace, rest: list[str]) -> int:
    match args.verb:
        case "up":
            _up(args.name, with_polder=not args.bare)
        case "down":
            _down(args.name)
        case "status":
            print("\n".join(standing.status()))
        case "demo":
            return int(importlib.import_module("lab.demo").main(rest))
    return 0


def _up(name: str, *, with_polder: bool) -> None:
    begun = time.monotonic()
    lab = Lab(name, with_polder=with_polder, say=lambda line: print(f"lab: {line}", flush=True))
    lab.up()
    try:
        lines = standing.how_to_enter(lab, with_polder=with_polder)
        lab.leave_standing()
    except BaseException:
        lab.down()
        raise
    print(f"lab: ready in {time.monotonic() - begun:.1f} s")
    print("\n".join(lines))


def _down(name: str) -> None:
    tools.require_root()
    if name in known_labs():
        teardown.remove(Claim(name))
        print(f"lab: {name} is removed")
    else:
        print(f"lab: there is no lab {name}")
    for swept in teardown.sweep():
        print(f"lab: {swept}, left by a crashed run, is removed")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
