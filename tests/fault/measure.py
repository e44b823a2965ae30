"""How long the faults of a BGP session last: the figures of docs/routers.md. As root, on an idle machine.

    python -m tests.fault.measure

Each fault hits a session with usual timing, a hold time of 9 s and 2,000 prefixes, with FRR and with BIRD.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from lab.lab import Lab
from lab.topology import Software
from lab.wait import wait_until
from tests.fault.test_bgp_faults import exabgp_gets, link_cut, session_cleared, tor_killed, tor_stopped
from tests.support.cable import Cable, hosts, one_cable, wanted

HOLD_TIME_S = 9
BACK_S = 60.0
MANY = hosts(2000)
AWAY_S = 30.0


@contextmanager
def tor_away(cable: Cable) -> Iterator[None]:
    """For so long that many tries to connect fail."""
    cable.tor.stop()
    time.sleep(AWAY_S)
    yield
    cable.tor.start()


FAULTS: dict[str, Callable[[Cable], AbstractContextManager[None]]] = {
    "router killed and started": tor_killed,
    "session cleared": session_cleared,
    "link cut in silence": link_cut(HOLD_TIME_S),
    "router stopped and started": tor_stopped,
    f"router stopped for {AWAY_S:g} s": tor_away,
    "ExaBGP killed": exabgp_gets(signal.SIGKILL),
    "ExaBGP paused": exabgp_gets(signal.SIGSTOP),
}


def measure(cable: Cable, fault: Callable[[Cable], AbstractContextManager[None]]) -> str:
    """What one fault did, in words."""
    speaker = cable.speaker(hold_time_s=HOLD_TIME_S)
    speaker.replace(wanted(*MANY))
    cable.up(speaker)
    cable.routes_are(*MANY, poll_s=0.1)
    cable.heard_again(MANY[-1])
    first = state_since(cable)
    monitor = cable.tor.host.monitor_routes()
    began = time.monotonic()
    with fault(cable):
        pass
    over = time.monotonic()
    wait_until(lambda: state_since(cable) not in {first, None}, BACK_S, "another session")
    cable.routes_are(*MANY, poll_s=0.05, within_s=BACK_S)
    cable.heard_again(MANY[-1], BACK_S)
    back_s = time.monotonic() - over
    gone = [change for change in monitor.stop() if change.deleted]
    cable.retire()
    return f"lasts {over - began:.1f} s, all heard again {back_s:.1f} s later, {len(gone)} routes withdrawn"


def state_since(cable: Cable) -> object:
    """Since when the session that is up is up; None when it is down."""
    [(speaker, _)] = cable.speakers
    report = speaker.report()
    return report.since if report is not None and report.state == "ESTABLISHED" else None


def main() -> None:
    """Print a line for each fault and each router."""
    for software in Software:
        with ExitStack() as stack:
            lab = stack.enter_context(
                Lab(f"meas{os.getpid()}", with_polder=False, topology=one_cable(software))
            )
            base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for name, fault in FAULTS.items():
                cable = Cable(lab, base)
                stack.callback(cable.retire)
                sys.stdout.write(f"{software:5} {name:26} {measure(cable, fault)}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
