"""A program that speaks BGP and does nothing else, to be killed: `speak.py DIRECTORY PREFIX...`.

Prints `settled` when the peer holds the prefixes and the session is up.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from bgp.exabgp.driver import ExaBgpSpeaker
from bgp.fsm import State
from tests.support.cable import PEER, wanted


def main(directory: str, *prefixes: str) -> None:
    """Announce until killed."""
    changed = threading.Event()
    speaker = ExaBgpSpeaker(PEER, Path(directory), changed.set)
    wish = wanted(*prefixes)
    speaker.replace(wish)
    speaker.start()
    while True:
        changed.wait()
        changed.clear()
        report = speaker.report()
        if report is not None and report.state is State.ESTABLISHED and speaker.advertised() == set(wish):
            print("settled", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
