"""`python -m tests.history`: the long version. As root; the lab it builds is removed at the end."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from tempfile import gettempdir

from tests.history.report import lines
from tests.history.run import Plan, run
from tests.history.site import site

CALM_S = 5.0
"""Between two faults: all that they leave behind has to work at full speed too."""


def main() -> int:
    """Run it once. Returns the exit status: 0 when nothing is wrong."""
    options = argparse.ArgumentParser(prog="python -m tests.history", description=__doc__)
    options.add_argument("--ops", type=int, default=20_000, help="at least so many operations (%(default)s)")
    options.add_argument("--faults", type=int, default=10, help="at least so many faults (%(default)s)")
    options.add_argument("--clients", type=int, default=24, help="clients at a time (%(default)s)")
    options.add_argument("--limit-s", type=float, default=240.0, help="seconds at most (%(default)s)")
    options.add_argument("--seed", type=int, default=random.randrange(1 << 16), help="of all dice")
    options.add_argument(
        "--history",
        type=Path,
        default=Path(gettempdir()) / "polder-history.jsonl",
        help="where the history is written (%(default)s)",
    )
    args = options.parse_args()
    plan = Plan(args.ops, args.faults, args.seed, args.clients, args.limit_s, calm_s=CALM_S)
    print(f"seed {plan.seed}", flush=True)
    with site() as built:
        result = run(built, plan, args.history)
    print("\n".join(lines(result)))
    enough = len(result.history.ops) >= plan.ops and len(result.faults) >= plan.faults
    if not enough:
        print(f"ended by --limit-s {plan.limit_s:g} before it had all operations and faults")
    return 0 if enough and not result.wrong else 1


if __name__ == "__main__":
    sys.exit(main())
