"""Becomes ExaBGP: `python -m bgp.exabgp.launcher CONFIG`. The only module that imports exabgp.

Before that it takes the lock that says a process runs for this peer, and writes down who it is. It does
both itself: the program that started it may have been killed in between.
"""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path
from typing import Any

from bgp.exabgp import rundir
from bgp.exabgp.config import keepalive_s

STEPS_PER_LOOP = 5000
"""Routes that one turn of the reactor takes from a command; ExaBGP's own 50 takes twice as long for many."""

CONNECT_RETRY_MAX_S = 5
"""Longest pause between two tries to connect; ExaBGP's own grows to a minute, long after a ToR is back."""

SETTINGS = {
    "exabgp.api.chunk": "200",
    "exabgp.api.cli": "false",
    "exabgp.api.show-routes-format": "v2",
    "exabgp.daemon.umask": "0077",
    "exabgp.log.destination": "stderr",
    "exabgp.log.level": "WARNING",
    "exabgp.log.short": "false",
    "exabgp.tcp.attempts": "0",
}


def main(arguments: list[str]) -> int:
    """Run ExaBGP with one configuration; does not return while it runs."""
    if len(arguments) != 1:
        print("usage: python -m bgp.exabgp.launcher CONFIG", file=sys.stderr)  # noqa: T201
        return 2
    config = Path(arguments[0]).resolve()
    lock = rundir.lock(config.parent)
    if lock is None:
        print(f"another process speaks for {config.parent}", file=sys.stderr)  # noqa: T201
        return 1
    rundir.record(config.parent, config.read_text())
    os.environ.update(
        SETTINGS,
        EXABGP_ENVFILE=str(rundir.RunDir(config.parent).environment),
        **{"exabgp.daemon.user": pwd.getpwuid(os.geteuid()).pw_name},
    )
    return run(config)


def run(config: Path) -> int:
    """Import ExaBGP, which reads its settings from the environment, set what has no setting, and run it."""
    from exabgp.application.main import main as exabgp
    from exabgp.bgp.message.open.holdtime import HoldTime
    from exabgp.reactor.asynchronous import ASYNC
    from exabgp.reactor.delay import Delay

    grow = Delay.increase

    def increase(delay: Any) -> None:
        grow(delay)
        delay._next = min(delay._next, CONNECT_RETRY_MAX_S)

    wanted_s = keepalive_s(config.read_text())
    if wanted_s is not None:
        third = HoldTime.keepalive
        # RFC 4271 §4.2: the hold time that was agreed on may be shorter than ours
        HoldTime.keepalive = lambda agreed: min(third(agreed), wanted_s)
    ASYNC.LIMIT = STEPS_PER_LOOP
    Delay.increase = increase
    sys.argv = ["exabgp", "server", str(config)]
    return int(exabgp() or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
