"""A program that supervises: what `polder up` does, with shell scripts for children.

It is run as a process of its own, because a supervisor forks and takes over signals, which suits a program
of one thread and not a test runner. Its arguments are a directory and children in JSON, each
`[name, script, vital]`; a script makes the file `name` in the directory when it is ready.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from cli.failure import Failure
from cli.up import supervisor as supervision
from cli.up.child import Child, Program
from cli.up.signals import Signals, Stopped
from cli.up.supervisor import Supervisor

READY_S = 5.0


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - its one output


def start(under: Supervisor, directory: Path, name: str, script: str, vital: bool) -> Child:
    program = Program(name, ["/bin/sh", "-c", f"cd {directory}; {script}"], directory / f"{name}.log")
    child = under.start(program, vital=vital)
    ready = directory / name
    under.await_ready(child, lambda: "" if ready.exists() else "it made no file", READY_S)
    return child


def main(directory: Path, children: list[tuple[str, str, bool]]) -> int:
    supervision.PAUSES_S, supervision.TELL_S = (0.0,), 0.2
    with Signals() as signals:
        under = Supervisor(signals, say)
        try:
            for name, script, vital in children:
                start(under, directory, name, script, vital)
            say("all are ready")
            under.run()
        except Stopped:
            say("stopping")
            return 0
        except Failure as fault:
            say("\n".join(fault.lines()))
            return 1
        finally:
            under.stop()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
