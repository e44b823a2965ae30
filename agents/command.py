"""What the programs of a node have in common as commands: arguments, signals, and one line for a refusal."""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from agents import options_file
from store.client import Store
from store.errors import PermissionDenied
from store.model.value import Name
from store.options import OptionError, add_arguments, open_store

DEFAULT_RUN_DIR = Path("/run/polder")
USAGE_ERROR = 2
GARBAGE_AFTER = 50_000
"""Objects that are made before those of them that refer to each other in rings are looked for."""
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
LOG_TIME = "%Y-%m-%dT%H:%M:%S%z"


class Refusal(Exception):
    """The program cannot start as it was told to; the message is one line that says what to do."""


class NodeProgram(Protocol):
    """A program that runs until it is stopped."""

    def start(self) -> None:
        """Start every part. Raises `Refusal` or `PermissionError` before anything was touched."""
        ...

    def run(self) -> None:
        """Work until `stop`. Blocking."""
        ...

    def stop(self) -> None:
        """End `run`. From a signal handler or any thread."""
        ...


def arguments(name: str, description: str, run_dir: str, epilog: str = "") -> argparse.ArgumentParser:
    """The arguments that every program of a node takes; `run_dir` says what it keeps there.

    The help ends with examples and the `epilog`.
    """
    examples = (
        f"polder {name} --config=/etc/polder/node.conf",
        f"polder {name} --node node-1 --etcd http://127.0.0.1:2379",
    )
    made = argparse.ArgumentParser(
        prog=f"polder {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n  ".join(("examples:", *examples)) + f"\n{epilog}",
    )
    options_file.add_argument(made)
    made.add_argument("--node", required=True, help="the name this node is registered under")
    made.add_argument("--run-dir", type=Path, default=DEFAULT_RUN_DIR, help=f"{run_dir} (%(default)s)")
    made.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    add_arguments(made)
    return made


def node_name(args: argparse.Namespace) -> str:
    """The node's name as given. Raises `Refusal`."""
    try:
        return str(TypeAdapter(Name).validate_python(args.node))
    except ValidationError:
        why = f"--node {args.node[:64]!r} is not a name: lower-case letters, digits, dots and hyphens"
        raise Refusal(why) from None


def run(name: str, args: argparse.Namespace, make: Callable[[Store], NodeProgram]) -> int:
    """Make the program and run it until SIGTERM or SIGINT. Returns the exit status; a refusal is 2."""
    logging.basicConfig(level=args.log_level, format=LOG_FORMAT, datefmt=LOG_TIME)
    try:
        store = open_store(args)
        program = make(store)
        _start(program)
    except (OptionError, Refusal) as fault:
        return refuse(name, str(fault))
    except PermissionError as fault:
        return refuse(name, f"no right to use {fault.filename}: run as root, or choose another --run-dir")
    if args.etcd_cert is not None:
        _follow_certificates([args.etcd_cert, args.etcd_ca] if args.etcd_ca else [args.etcd_cert])
    _stop_on_signals(program)
    spare_garbage()
    program.run()
    store.close()
    return 0


def _follow_certificates(paths: Sequence[Path]) -> None:
    """Have the log say when the certificates end, if that is near."""
    from pki.ends import Ends  # a node without certificates needs none of it

    Ends(paths).start()


def spare_garbage() -> None:
    """Look for garbage seldom, and not among what is there already.

    Tens of thousands of flows or prefixes stay in use: a look among all of them takes half a second.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_AFTER)


def refuse(name: str, why: str) -> int:
    """Say why the program does not start. Returns the exit status."""
    print(f"polder {name}: {why}", file=sys.stderr)  # noqa: T201
    return USAGE_ERROR


def _stop_on_signals(program: NodeProgram) -> None:
    """SIGTERM and SIGINT stop the program, in a thread of their own.

    A handler in Python runs in the main thread between any two of its steps, also between "shall I stop?"
    and the wait that `stop` has to end, and not at all while that thread is about to block. The byte that
    the interpreter's own handler writes reaches the thread in any case.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    wanted = (signal.SIGTERM, signal.SIGINT)
    for number in wanted:
        signal.signal(number, lambda *_: None)

    def stop() -> None:
        while not set(os.read(reading, 4096)).intersection(wanted):
            pass  # a signal that somebody else handles
        program.stop()

    threading.Thread(target=stop, name="stop", daemon=True).start()


def _start(program: NodeProgram) -> None:
    """Start; whichever thread dies from now on, the first may do so before the last was started."""
    former, threading.excepthook = threading.excepthook, _die
    try:
        program.start()
    except BaseException:
        threading.excepthook = former
        raise


def _die(crash: threading.ExceptHookArgs) -> None:
    """A thread that ends by an unknown exception takes the program with it: the supervisor starts it anew."""
    if isinstance(crash.exc_value, PermissionDenied):
        next_step = "was this node removed? make it join: polder node join-token, polder agent join"
        print(f"polder: {crash.exc_value}; next: {next_step}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)
    traceback.print_exception(crash.exc_type, crash.exc_value, crash.exc_traceback)
    os._exit(1)
