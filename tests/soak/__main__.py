"""`python -m tests.soak`: random life in a lab, as root; the lab is removed at the end."""

from __future__ import annotations

import argparse
import random
import sys
import time

from lab.lab import Lab
from tests.soak.life import Life, Wrong


def main() -> int:
    """Live for a while. Returns the exit status: 0 when nothing is wrong."""
    options = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    options.add_argument("--seconds", type=float, default=300.0, help="how long (%(default)s)")
    options.add_argument("--seed", type=int, default=random.randrange(1 << 16), help="of all dice")
    args = options.parse_args()
    print(f"seed {args.seed}", flush=True)
    with Lab(f"soak{args.seed}") as lab:
        life, done, until = Life(lab, args.seed), 0, time.monotonic() + args.seconds
        try:
            while time.monotonic() < until:
                if did := life.step():
                    done += 1
                    print(f"{time.strftime('%H:%M:%S')} {did}", flush=True)
            life.rest()
        except Wrong as wrong:
            print(f"wrong after {done} things: {wrong}")
            return 1
    print(f"{done} things happened, nothing was wrong")
    return 0


if __name__ == "__main__":
    sys.exit(main())
